"""What an earlier corpus leaves for the next crawl, so that what is like one of its documents is not taken again.

    Index.of(texts, ids).save(folder)
    known = matches(Index.open(folder), new_texts, ids=new_ids)
    survivors(near_duplicates(new_texts), new_ids, gone=known.found)

A folder holds, for N documents by ascending id:

    ids.arrow          (N,) id, an Arrow file
    signatures.npy     (N, num_perm) uint8, lowest byte of each MinHash slot
    keys.npy           (1 + bands, N) uint64, the content hash and the band keys
    order.npy          (1 + bands, N) int64, what sorts each line of keys
    indices.npy        (S,) int64, the distinct shingles of each document, ascending
    indptr.npy         (N + 1,) int64, where those of a document begin
    manifest.json      last: version, settings, sizes and hashes of the files

Arrays are memory-mapped, so that opening an index costs nothing and a look-up reads only what it needs. About 1.6 KB a
document of 140 words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pe_ray.corpus.neardup.reading import Reading, Texts, read
from pe_ray.corpus.neardup.settings import Settings
from pe_ray.corpus.neardup.shingles import Shingles
from pe_ray.corpus.neardup.verify import lines_at, shingle_sets, taken
from pe_ray.errors import ManifestError, UserError
from pe_ray.store import manifest

KIND = "near-duplicate-index"
VERSION = 1
SHARED = ("num_perm", "bands", "ngram", "seed")
"""Settings that an index follows from; the others may change between the index and what is matched with it."""
ARRAYS = ("signatures", "keys", "order", "indices", "indptr")
Ids: TypeAlias = Sequence[str] | pa.Array | pa.ChunkedArray


@dataclass(frozen=True)
class Index:
    """N documents by ascending id; the arrays are those of the folder."""

    settings: Settings
    ids: pa.Array = field(repr=False)
    signatures: NDArray[np.uint8] = field(repr=False)
    keys: NDArray[np.uint64] = field(repr=False)
    order: NDArray[np.int64] = field(repr=False)
    indices: NDArray[np.int64] = field(repr=False)
    indptr: NDArray[np.int64] = field(repr=False)
    folder: Path | None = None
    """Where it was opened; then another process opens it there instead of being sent it."""

    @classmethod
    def of(cls, texts: Texts, ids: Ids, settings: Settings | None = None) -> Index:
        """Index documents, best those that stayed; in whatever order they come, it is the same index.

        Raises ValueError if the ids are not as many as the texts or one of them occurs twice.
        """
        settings = settings or Settings()
        reading, parts = read(texts, settings)
        column = as_column(ids, len(reading.counts))
        return cls._sorted(settings, column, reading, *_sets(parts, reading))

    @classmethod
    def joined(cls, parts: Sequence[Index], settings: Settings | None = None) -> Index:
        """One index of the documents of all; `settings` (those of the first unless given) are the new one's.

        Raises ValueError if their settings differ or an id is in two of them.
        """
        told = settings or (parts[0].settings if parts else Settings())
        kinds = {tuple(getattr(s, name) for name in SHARED) for s in (told, *(part.settings for part in parts))}
        if len(kinds) > 1:
            raise ValueError(f"{len(parts)} indexes of {len(kinds)} different settings cannot be joined")
        parts = [cls.of([], [], told), *parts]
        content = np.concatenate([p.keys[0] for p in parts])
        counts = np.concatenate([np.diff(p.indptr) for p in parts])
        keys = np.concatenate([p.keys[1:] for p in parts], axis=1)
        reading = Reading(counts, content, np.concatenate([p.signatures for p in parts]), keys)
        ids = pa.concat_arrays([p.ids for p in parts])
        return cls._sorted(told, ids, reading, np.concatenate([p.indices for p in parts]), counts)

    @classmethod
    def _sorted(
        cls, settings: Settings, ids: pa.Array, read: Reading, indices: NDArray[np.int64], counts: NDArray[np.int64]
    ) -> Index:
        by_id = pc.sort_indices(ids).to_numpy().astype(np.int64)
        ids = ids.take(pa.array(by_id))
        twice = np.flatnonzero(pc.equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)) if len(ids) else ()
        if len(twice):
            raise ValueError(f"ids: {ids[int(twice[0])].as_py()!r} occurs twice; an id names one document")
        keys = np.concatenate([read.content[None], read.keys])[:, by_id]
        order = np.argsort(keys, axis=1, kind="stable")
        sets = taken(indices, np.concatenate([[0], np.cumsum(counts)]), by_id)
        return cls(settings, ids, read.signatures[by_id], keys, order, sets.indices, sets.indptr)

    def save(self, folder: Path) -> None:
        """Write the folder, its manifest last. Raises UserError if there is something already."""
        if folder.exists():
            raise UserError(f"index {folder}: is there already; give another folder, or remove that one")
        with manifest.stage(folder, kind=KIND, parents={}) as out:
            ids = pa.table({"id": self.ids})
            with pa.OSFile(str(out.path / "ids.arrow"), "wb") as sink, pa.ipc.new_file(sink, ids.schema) as writer:
                writer.write_table(ids)
            for name in ARRAYS:
                np.save(out.path / f"{name}.npy", getattr(self, name))
            shared = {name: getattr(self.settings, name) for name in SHARED}
            out.facts.update(version=VERSION, documents=len(self.ids), **shared)

    @classmethod
    def open(cls, folder: Path, settings: Settings | None = None) -> Index:
        """Open a folder, and check that it is whole and fits the settings of this run.

        Raises ManifestError for what is no index, damaged, or of another version; UserError for other settings.
        """
        facts = manifest.read(folder, KIND, verify=True).facts
        if facts.get("version") != VERSION:
            raise ManifestError(
                f"index {folder}: has version {facts.get('version')}; this pe_ray reads {VERSION}: build it again"
            )
        settings = settings or Settings(**{name: facts[name] for name in SHARED})
        differ = [name for name in SHARED if facts[name] != getattr(settings, name)]
        if differ:
            theirs = ", ".join(f"{name}={facts[name]}" for name in differ)
            ours = ", ".join(f"{name}={getattr(settings, name)}" for name in differ)
            raise UserError(f"index {folder}: made with {theirs}, the run has {ours}; build it again or change the run")
        return _opened(folder, settings)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.folder is not None:
            return _opened, (self.folder, self.settings)
        parts = (getattr(self, name) for name in ("settings", "ids", *ARRAYS))
        return Index, tuple(parts)


def _opened(folder: Path, settings: Settings) -> Index:
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
    with pa.ipc.open_file(pa.memory_map(str(folder / "ids.arrow"))) as file:
        ids = file.read_all()["id"].combine_chunks()
    return Index(settings, ids, **arrays, folder=folder)


def as_column(ids: Ids, num: int) -> pa.Array:
    """The ids of `num` documents as one array. Raises ValueError if they are not as many."""
    column = ids if isinstance(ids, pa.Array | pa.ChunkedArray) else pa.array(ids, pa.string())
    if len(column) != num:
        raise ValueError(f"ids has {len(column)} values for {num} documents")
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return column.cast(pa.string())


def _sets(parts: Sequence[Shingles], read: Reading) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct shingles of all documents, and how many each has; those under an n-gram have none."""
    held = np.flatnonzero(read.counts)
    sets = lines_at(shingle_sets(parts, held), held, len(read.counts))
    return sets.indices, np.diff(sets.indptr)
