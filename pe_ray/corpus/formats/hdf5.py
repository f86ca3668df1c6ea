"""Token shards in HDF5, from the examples that `corpus/tokenise.py` wrote. Needs the extra `hdf5`.

    <split>-00000.h5    token_ids int32[T]   loss_mask int8[T]   offsets int64[X + 1]   domain enum[X]   record_id[X]

X examples of T tokens in all; example x is `token_ids[offsets[x]:offsets[x + 1]]`. Columns grow in compressed chunks.
The attributes of a file name its corpus, tokenizer and split, and count its examples and tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pe_ray.corpus.formats.rows import BATCH, Snapshot
from pe_ray.errors import UserError
from pe_ray.record import DOMAINS, EXAMPLE_SCHEMA
from pe_ray.store import manifest
from pe_ray.store.corpora import open_examples

FORMAT = "pe_ray.tokens/1"
SHARD_TOKENS = 1 << 26
"""A shard takes no further batch once it holds this many: 256 MiB of ids before compression."""
CHUNK = 1 << 16
ID_CHARACTERS = 32
COMPRESSED = {"chunks": (CHUNK,), "compression": "gzip", "compression_opts": 4, "shuffle": True}


def with_examples(snapshot: Snapshot, tokenizer: str | None) -> Snapshot:
    """The snapshot with the examples of one tokenizer; raises UserError where there are none, or several fit."""
    found = [p for p in sorted((snapshot.path / "examples").glob("*")) if manifest.is_finished(p)]
    fitting = [p for p in found if p.name.startswith(tokenizer or "")]
    if not found:
        raise UserError(f"corpus={snapshot.path}: has no examples; tokenise it first (pe-ray train does)")
    if len(fitting) != 1:
        names = ", ".join(p.name for p in found)
        said = f"tokenizer={tokenizer}: fits {len(fitting)} of" if tokenizer else "tokenizer: not given, and there are"
        raise UserError(f"{said} the examples {names}; give the name of one")
    open_examples(fitting[0])
    return replace(snapshot, examples=fitting[0])


def write(snapshot: Snapshot, out: Path, shard_tokens: int = SHARD_TOKENS) -> dict[str, Any]:
    """A run of shards for each split."""
    _h5py()
    names = {"corpus": snapshot.fingerprint, "tokenizer": snapshot.examples_name}
    series: dict[str, _Series] = {}
    with ExitStack() as stack:
        for split, examples in _by_split(snapshot.examples):
            if split not in series:
                series[split] = stack.enter_context(_Series(out, names | {"split": split}, shard_tokens))
            series[split].append(examples)
    return {
        "rows": {s: series[s].rows for s in sorted(series)},
        "tokens": {s: series[s].tokens for s in sorted(series)},
    }


def _by_split(examples: Path | None) -> Iterator[tuple[str, pa.Table]]:
    assert examples is not None
    for path in sorted(examples.glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(batch_size=BATCH, columns=EXAMPLE_SCHEMA.names):
            table = pa.Table.from_batches([batch])
            for split in sorted(pc.unique(table["split"]).to_pylist()):
                yield split, table.filter(pc.equal(table["split"], split))


@dataclass
class _Series:
    """The shards of one split; the last one is open."""

    folder: Path
    attributes: dict[str, str]
    shard_tokens: int
    rows: int = 0
    tokens: int = 0
    number: int = 0
    shard: Any = None

    def __enter__(self) -> _Series:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def append(self, examples: pa.Table) -> None:
        """Add examples, to a new shard if the open one is full."""
        if self.shard is not None and len(self.shard["token_ids"]) >= self.shard_tokens:
            self._close()
        if self.shard is None:
            self.shard = _new_shard(self.folder / f"{self.attributes['split']}-{self.number:05d}.h5", self.attributes)
            self.number += 1
        added = _fill(self.shard, examples)
        self.rows, self.tokens = self.rows + len(examples), self.tokens + added

    def _close(self) -> None:
        if self.shard is not None:
            self.shard.attrs.update(num_examples=len(self.shard["domain"]), num_tokens=len(self.shard["token_ids"]))
            self.shard.close()
            self.shard = None


def _new_shard(path: Path, attributes: dict[str, str]) -> Any:
    h5py = _h5py()
    shard = h5py.File(path, "w", libver=("v110", "v110"))
    kinds = {
        "token_ids": np.dtype("int32"),
        "loss_mask": np.dtype("int8"),
        "offsets": np.dtype("int64"),
        "domain": h5py.enum_dtype({name: i for i, name in enumerate(DOMAINS)}, basetype="int8"),
        "record_id": h5py.string_dtype("ascii", ID_CHARACTERS),
    }
    for name, kind in kinds.items():
        shard.create_dataset(name, shape=(0,), maxshape=(None,), dtype=kind, **COMPRESSED)
    _grow(shard["offsets"], np.zeros(1, np.int64))
    shard.attrs.update(format=FORMAT, **attributes)
    return shard


def _fill(shard: Any, examples: pa.Table) -> int:
    """Put examples behind those of a shard; gives back how many tokens they have."""
    tokens = examples["token_ids"].combine_chunks()
    ends = np.cumsum(tokens.value_lengths().to_numpy(), dtype=np.int64)
    ids = examples["record_id"].to_pylist()
    assert all(len(i) <= ID_CHARACTERS for i in ids), "a record id is longer than the ids that we make"
    _grow(shard["offsets"], ends + len(shard["token_ids"]))
    _grow(shard["token_ids"], tokens.flatten().to_numpy())
    _grow(shard["loss_mask"], examples["loss_mask"].combine_chunks().flatten().to_numpy())
    _grow(shard["domain"], np.array([DOMAINS.index(d) for d in examples["domain"].to_pylist()], np.int8))
    _grow(shard["record_id"], np.array(ids, dtype=f"S{ID_CHARACTERS}"))
    return int(ends[-1])


def _grow(column: Any, values: np.ndarray) -> None:
    start = len(column)
    column.resize(start + len(values), axis=0)
    column[start:] = values


def _h5py() -> Any:
    try:
        import h5py  # type: ignore[import-untyped]
    except ImportError:
        raise UserError("format=hdf5: needs the extra: pip install 'pe-ray[hdf5]'") from None
    return h5py
