"""Incremental removal: what an index finds, that it finds what a full run would, and that a wrong one is refused."""

from __future__ import annotations

import json
import pickle
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pe_ray.bench.texts import jaccard, plant, shingles
from pe_ray.corpus.neardup import Index, Settings, matches, matches_of, near_duplicates, survivors
from pe_ray.errors import ManifestError, UserError
from pe_ray.store import manifest

EVERY_SLOT = Settings(bands=128)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return plant(400, seed=6).texts


def names(prefix: str, num: int) -> list[str]:
    return [f"{prefix}{i:04d}" for i in range(num)]


def slow_matches(old: list[str], new: list[str]) -> list[tuple[int, float]]:
    """The most alike of the old for each new one, the first of equals; (-1, 0) under the threshold."""
    sets, found = [shingles(t) for t in old], []
    for text in new:
        values = [jaccard(shingles(text), s) for s in sets]
        best = max(range(len(old)), key=lambda i: (values[i], -i))
        found.append((best, values[best]) if values[best] >= 0.7 else (-1, 0))
    return found


def test_with_a_bucket_for_every_slot_the_most_alike_is_found(texts: list[str]) -> None:
    old, new = texts[:250], texts[250:]
    found = matches(Index.of(old, names("o", 250), EVERY_SLOT), new)
    assert list(zip(found.position.tolist(), found.jaccard.tolist(), strict=True)) == slow_matches(old, new)
    assert 20 < found.found.sum() < 100
    assert found.survivor.to_pylist() == [None if p < 0 else f"o{p:04d}" for p in found.position.tolist()]


def incremental(texts: list[str], settings: Settings) -> tuple[set[int], set[int]]:
    """Rows of the second half that go: with the first half indexed, and in one run in which it has priority."""
    half, ids, options = len(texts) // 2, names("", len(texts)), {"bands": settings.bands}
    first = survivors(near_duplicates(texts[:half], **options), ids[:half]).keep
    kept = [row for row in range(half) if first[row]]
    index = Index.of([texts[r] for r in kept], [ids[r] for r in kept], settings)
    known = matches(index, texts[half:], ids=ids[half:])
    then = survivors(near_duplicates(texts[half:], **options), ids[half:], gone=known.found)
    priority = [1] * half + [0] * (len(texts) - half)
    whole = survivors(near_duplicates(texts, **options), ids, source_priority=priority)
    return set((half + np.flatnonzero(~then.keep)).tolist()), set((half + np.flatnonzero(~whole.keep[half:])).tolist())


def test_a_second_half_loses_what_it_loses_in_a_full_run_with_the_first_half_first(texts: list[str]) -> None:
    found, wanted = incremental(texts, EVERY_SLOT)
    assert found == wanted
    assert len(found) > 40


def test_with_the_default_bands_the_two_differ_by_chains_and_by_pairs_that_may_not_meet() -> None:
    texts = plant(1500, seed=8).texts
    found, wanted = incremental(texts, Settings())
    assert len(found & wanted) > 200
    assert len(found ^ wanted) <= 0.02 * len(wanted)


@pytest.mark.parametrize("seed", [1, 2])
def test_order_of_either_side_and_the_cut_into_blocks_do_not_matter(texts: list[str], seed: int) -> None:
    rng = random.Random(seed)
    old, new = list(zip(names("o", 250), texts, strict=False)), list(enumerate(texts[250:]))
    plain = matches(Index.of([t for _, t in old], [i for i, _ in old]), [t for _, t in new])
    rng.shuffle(old)
    rng.shuffle(new)
    parts = [Index.of([t for _, t in some], [i for i, _ in some]) for some in (old[:100], old[100:], [])]
    blocks = [pa.array([t for _, t in some], pa.string()) for some in (new[:7], [], new[7:])]
    found = matches_of(Index.joined(parts), blocks, lambda block: block)
    assert found.survivor.to_pylist() == [plain.survivor[i].as_py() for i, _ in new]
    assert found.jaccard.tolist() == [plain.jaccard[i] for i, _ in new]


def test_an_index_on_disk_is_the_one_in_memory_and_travels_by_its_path(texts: list[str], tmp_path: Path) -> None:
    made = Index.of(texts[:250], names("é", 250))
    made.save(tmp_path / "index")
    opened = Index.open(tmp_path / "index")
    wanted = matches(made, texts[250:])
    for index in (opened, pickle.loads(pickle.dumps(opened)), pickle.loads(pickle.dumps(made))):
        assert matches(index, texts[250:]).survivor == wanted.survivor
    assert len(pickle.dumps(opened)) < 2000
    assert isinstance(opened.indices, np.memmap)
    again = Index.of(texts[249::-1], names("é", 250)[::-1])
    again.save(tmp_path / "again")
    for name in ("ids.arrow", "keys.npy", "order.npy", "indices.npy", "indptr.npy", "signatures.npy"):
        assert (tmp_path / "index" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_an_indexed_document_is_never_removed(texts: list[str]) -> None:
    index = Index.of([texts[0]] * 2, ["a", "b"])
    assert matches(index, [texts[0]], ids=["c"]).survivor.to_pylist() == ["a"]
    assert matches(index, [texts[0]], ids=["b"]).found.tolist() == [False]


def test_nothing_on_either_side_and_texts_under_a_shingle() -> None:
    empty, short = Index.of([], []), Index.of(["yes", "", "one two three"], ["a", "b", "c"])
    assert matches(empty, ["one two three", ""]).survivor.to_pylist() == [None, None]
    assert matches(short, []).position.size == 0
    assert matches(short, ["yes", "", "...", "One two, three!"]).survivor.to_pylist() == [None, None, None, "c"]
    assert Index.joined([], Settings(ngram=2)).settings.ngram == 2
    assert matches(Index.joined([]), ["one two three"]).survivor.to_pylist() == [None]
    assert matches(Index.joined([empty, short]), ["one two three"]).survivor.to_pylist() == ["c"]


def test_boilerplate_above_the_cap_is_told_apart_by_further_bands() -> None:
    header = " ".join(f"h{i}" for i in range(70))
    bodies = [f"{header} {' '.join(f'b{i}x{j}' for j in range(50))}" for i in range(100)]
    settings = Settings(num_perm=64, bands=32, bucket_cap=5)
    index = Index.of(bodies, names("o", 100), settings)
    found = matches(index, [f"{body} copied" for body in bodies])
    assert found.position.tolist() == list(range(100))
    same = Index.of([bodies[0]] * 50, names("o", 50), settings)
    assert matches(same, [bodies[0]]).survivor.to_pylist() == ["o0000"]


@pytest.mark.parametrize(
    ("ids", "says"), [(["a"], "ids has 1 values for 2 documents"), (["a", "a"], "'a' occurs twice")]
)
def test_ids_name_one_document_each(ids: list[str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Index.of(["one two three", "four five six"], ids)


def test_indexes_that_do_not_fit_are_not_joined() -> None:
    one = Index.of(["one two three"], ["a"])
    with pytest.raises(ValueError, match="'a' occurs twice"):
        Index.joined([one, one])
    with pytest.raises(ValueError, match="different settings"):
        Index.joined([one, Index.of([], [], Settings(ngram=2))])
    assert len(Index.joined([one, Index.of(["d e f"], ["b"], Settings(threshold=0.9))]).ids) == 2


def test_an_index_of_other_settings_is_refused_and_another_threshold_is_not(tmp_path: Path) -> None:
    Index.of(["one two three"], ["a"], Settings(ngram=2)).save(tmp_path / "index")
    with pytest.raises(UserError, match="made with ngram=2, the run has ngram=3") as raised:
        Index.open(tmp_path / "index", Settings())
    assert "\n" not in str(raised.value)
    opened = Index.open(tmp_path / "index", Settings(ngram=2, threshold=0.4))
    assert matches(opened, ["one two three four"]).survivor.to_pylist() == ["a"]
    assert matches(Index.open(tmp_path / "index"), ["one two three four"]).survivor.to_pylist() == [None]


def test_an_index_is_not_written_over_another(tmp_path: Path) -> None:
    index = Index.of([], [])
    index.save(tmp_path / "index")
    with pytest.raises(UserError, match="is there already"):
        index.save(tmp_path / "index")


@pytest.mark.parametrize("damage", ["absent", "unfinished", "cut", "flipped", "later", "another"])
def test_what_is_no_whole_index_is_refused_in_one_line(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "index"
    if damage != "absent":
        Index.of(["one two three four"] * 2, ["a", "b"]).save(folder)
    if damage == "unfinished":
        (folder / manifest.NAME).unlink()
    if damage == "cut":
        (folder / "keys.npy").write_bytes((folder / "keys.npy").read_bytes()[:-8])
    if damage == "flipped":
        held = bytearray((folder / "indices.npy").read_bytes())
        held[-1] ^= 1
        (folder / "indices.npy").write_bytes(held)
    if damage in ("later", "another"):
        body = json.loads((folder / manifest.NAME).read_text())
        body |= {"kind": "corpus"} if damage == "another" else {"facts": body["facts"] | {"version": 2}}
        (folder / manifest.NAME).write_text(json.dumps(body))
    with pytest.raises(ManifestError) as raised:
        Index.open(folder)
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)
