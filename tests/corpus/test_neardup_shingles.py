"""Vectorised shingles and the verifier against Python sets of strings."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pyarrow as pa
import pytest

from pe_ray.bench.texts import jaccard
from pe_ray.bench.texts import shingles as slow
from pe_ray.corpus.neardup.shingles import BLOCK_BYTES, blocks, shingle
from pe_ray.corpus.neardup.signatures import sign
from pe_ray.corpus.neardup.verify import Verifier, shingle_sets

ODD = [
    "",
    " ",
    "...!?",
    "one",
    "one two",
    "one two three",
    "One, two; THREE.",
    "one two three four",
    "three two one four",
    "a_b 12 c3 a_b 12 c3 a_b 12",
    "naïve Café ÉCOLE naïve café école",
    "naive cafe ecole naive cafe ecole",
    "日本語の 文章 です 日本語の 文章 でした",
    "zero\0byte one two zero byte one two",
    "line\nbreak\ttab  two   spaces line break tab two spaces",
    "exactly8 exactly9x " * 3,
    "sixteen_bytes_ab sixteen_bytes_abc " * 3,
    "a" * 7 + " " + "a" * 8 + " " + "a" * 9 + " " + "a" * 16 + " " + "a" * 17 + " " + "a" * 100,
    "x" * 50 + "1" + "y" * 50 + " second third " + "x" * 50 + "2" + "y" * 50 + " second third",
    " ".join(("h" * 8 + "b" * 8 + "c" * 8, "h" * 8 + "c" * 8 + "b" * 8, "h" * 8 + "b" * 16)),
    "tail of exactly8",
    "tail of nine_byte",
]


def hashed(texts: list[str], ngram: int) -> list[set[int]]:
    found = shingle(pa.array(texts, pa.string()), ngram)
    return [set(found.flat[a:b].tolist()) for a, b in itertools.pairwise(found.offsets)]


@pytest.mark.parametrize("ngram", [1, 2, 3, 5])
def test_the_hashed_sets_meet_as_the_sets_of_strings_do(ngram: int) -> None:
    fast, obvious = hashed(ODD, ngram), [slow(t, ngram) for t in ODD]
    for left, right in itertools.combinations_with_replacement(range(len(ODD)), 2):
        assert len(fast[left] & fast[right]) == len(obvious[left] & obvious[right]), (ODD[left], ODD[right])


def test_a_shingle_never_spans_two_documents() -> None:
    assert hashed(["a b", "c d", "", "e", "f g"], 3) == [set()] * 5
    assert hashed(["a", "b c d", "e f"], 3) == [set(), hashed(["b c d"], 3)[0], set()]


def test_word_order_and_word_borders_count() -> None:
    sets = hashed(["ab c d", "a bc d", "c ab d", "abc d e"], 3)
    assert len(set.union(*sets)) == 4


def test_content_tells_word_order_but_not_shingle_order() -> None:
    found = shingle(pa.array(["a b c d e f", "f e d c b a", "a b c. d e f", ""]), 3).content()
    assert found[0] == found[2] != found[1]
    assert found[3] == 0


@pytest.mark.parametrize("chunk", [1, 2, 7, 100_000])
def test_blocks_cut_any_string_column_into_the_same_documents(chunk: int) -> None:
    texts = [f"document {i} " * (i % 5) for i in range(40)] + ["x " * BLOCK_BYTES, "y"]
    for column in (
        texts,
        pa.array(texts),
        pa.array(texts, pa.large_string()),
        pa.array(["skipped", *texts]).slice(1),
        pa.chunked_array([texts[:3], [], texts[3:]]),
        pa.array(texts).dictionary_encode(),
    ):
        parts = list(blocks(column, chunk))
        assert [t for part in parts for t in part.to_pylist()] == texts
        assert max(map(len, parts)) <= chunk


def test_null_is_an_empty_document() -> None:
    (block,) = blocks(pa.array(["a b c", None, "a b c"]), 10)
    assert shingle(block, 3).counts.tolist() == [1, 0, 1]


def test_a_slice_is_shingled_like_its_copy() -> None:
    whole = pa.array(["left out", "one two three four", "Ä b c d", "left out too"])
    part = whole.slice(1, 2)
    copy = pa.array(part.to_pylist())
    assert shingle(part, 3).flat.tolist() == shingle(copy, 3).flat.tolist()


def _variants(num: int, seed: int = 1) -> list[str]:
    """Texts around a few centres, at every Jaccard."""
    rng = random.Random(seed)
    words = [f"w{i}" for i in range(400)]
    centres = [[rng.choice(words) for _ in range(rng.randint(30, 200))] for _ in range(8)]
    return [" ".join(rng.choice(words) if rng.random() < rate else w for w in rng.choice(centres))
            for rate in (rng.random() * 0.2 for _ in range(num))]  # fmt: skip


def _verifier(texts: list[str], threshold: float = 0.7) -> Verifier:
    parts = [shingle(block, 3) for block in blocks(texts, 64)]
    signatures = np.concatenate([sign(part, 128, 42) for part in parts]).astype(np.uint8)
    rows = np.arange(len(texts))
    return Verifier(rows, shingle_sets(parts, rows), signatures, threshold)


def test_exact_jaccard_and_its_estimate() -> None:
    texts = _variants(300)
    verifier, sets = _verifier(texts), [slow(t) for t in texts]
    left, right = np.triu_indices(300, 1)
    want = np.array([jaccard(sets[a], sets[b]) for a, b in zip(left, right, strict=True)])
    assert np.array_equal(verifier.jaccard(left, right), want)
    error = verifier.estimate(left, right) - want
    assert abs(error.mean()) < 0.01
    spread = np.sqrt(np.maximum(want * (1 - want), 0.01) / 128)
    assert np.mean(np.abs(error) < 3 * spread) > 0.99


def test_the_verdict_is_that_of_the_exact_jaccard() -> None:
    texts = _variants(200, seed=2)
    left, right = np.triu_indices(200, 1)
    for threshold in (0.5, 0.7, 0.95, 1.0):
        verifier = _verifier(texts, threshold)
        exact = verifier.jaccard(left, right) >= threshold
        assert np.mean(verifier.alike(left, right) == exact) > 0.9999
        kept = verifier.jaccard_of_alike(left, right)
        assert not np.any((kept > 0) & (kept != verifier.jaccard(left, right)))
        assert np.mean((kept >= threshold) == exact) > 0.9999


def test_sets_of_some_rows_only() -> None:
    texts = _variants(150)
    parts = [shingle(block, 3) for block in blocks(texts, 40)]
    rows = np.array([0, 39, 40, 41, 79, 80, 149])
    found = shingle_sets(parts, rows)
    assert np.diff(found.indptr).tolist() == [len(slow(texts[r])) for r in rows]
    assert shingle_sets(parts, rows[:0]).shape[0] == 0
