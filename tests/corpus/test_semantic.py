"""Duplicates by meaning: against a slow greedy version, in any order, for odd corpora, and with wrong embedders."""

from __future__ import annotations

import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from pe_ray.corpus.semantic import Semantic, semantic_duplicates
from pe_ray.errors import UserError


class Directions:
    """A text is an angle in degrees, or nothing."""

    def encode(self, texts: list[str]) -> Any:
        angles = np.radians([float(t or "nan") for t in texts])
        return np.nan_to_num(np.stack([3 * np.cos(angles), 3 * np.sin(angles)], 1))


class Sparse(Directions):
    def encode(self, texts: list[str]) -> Any:
        return csr_matrix(super().encode(texts))


def ids(num: int) -> list[str]:
    return [f"{i:05d}" for i in range(num)]


def slow(angles: list[float], rank: list[int], threshold: float) -> list[int]:
    """The best stays and removes what is near, then the best of the others."""
    found, left = list(range(len(angles))), sorted(range(len(angles)), key=lambda i: rank[i])
    while left:
        best, *others = left
        near = {i for i in others if np.cos(np.radians(angles[i] - angles[best])) >= threshold}
        for i in near:
            found[i] = best
        left = [i for i in others if i not in near]
    return found


@pytest.mark.parametrize("embedder", [Directions(), Sparse()])
def test_the_best_stays_and_removes_what_is_near(embedder: Any) -> None:
    rng = random.Random(1)
    angles = [rng.randrange(3600) / 10 for _ in range(1300)]  # more than are compared at a time
    threshold = float(np.cos(np.radians(2.55)))  # between two of the differences that occur
    priority = [rng.randrange(5) for _ in angles]
    rank = sorted(range(1300), key=lambda i: (-priority[i], i))
    place = {row: at for at, row in enumerate(rank)}
    found = semantic_duplicates(
        [repr(a) for a in angles], ids(1300), embedder=embedder, threshold=threshold, priority=priority
    )
    assert found.survivor.tolist() == slow(angles, [place[i] for i in range(1300)], threshold)
    cosine = np.cos(np.radians(np.array(angles) - np.array(angles)[found.survivor]))
    assert np.abs(found.cosine - cosine).max() < 1e-5
    assert found.facts["removed"] == np.count_nonzero(~found.keep) > 1000


def in_order(texts: list[str], rows: list[int], **options: Any) -> dict[str, str]:
    names = ids(len(texts))
    found = semantic_duplicates([texts[r] for r in rows], [names[r] for r in rows], **options)
    return {names[rows[i]]: names[rows[stays]] for i, stays in enumerate(found.survivor.tolist())}


@pytest.mark.parametrize("embedder", ["hashing", Directions(), Sparse()])
def test_order_does_not_matter_in_shards_either(embedder: Any) -> None:
    rng = random.Random(2)
    if embedder == "hashing":
        bodies = [" ".join(f"w{rng.randrange(500)}" for _ in range(30)) for _ in range(150)]
        texts = bodies + [f"{body} more" for body in bodies]
    else:
        texts = [str(rng.randrange(3600) / 10) for _ in range(300)]
    options = {"embedder": embedder, "shard_documents": 40}
    rows, plain = list(range(300)), in_order(texts, list(range(300)), **options)
    assert 50 < sum(name != stays for name, stays in plain.items()) < 295
    for _ in range(3):
        rng.shuffle(rows)
        assert in_order(texts, rows, **options) == plain


def test_shards_are_of_about_the_size_and_lose_pairs_at_borders_only() -> None:
    angles = [f"{i * 0.36:.2f}" for i in range(1000)]
    whole = semantic_duplicates(angles, ids(1000), embedder=Directions(), threshold=0.9999)
    cut = semantic_duplicates(angles, ids(1000), embedder=Directions(), threshold=0.9999, shard_documents=100)
    assert whole.facts["shards"] == 1
    assert cut.facts["shards"] == 10
    assert cut.facts["largest_shard"] < 300
    assert 0 <= whole.facts["removed"] - cut.facts["removed"] <= 20


def test_hashing_finds_the_same_words_and_not_a_swapped_meaning() -> None:
    said = [
        "I have been feeling low since my father died in spring, and most mornings I cannot get out of bed at all.",
        "I have been feeling low since my father died in spring and most mornings I cannot get out of bed at ALL!!",
        "I am not sad, I am angry.",
        "I am not angry, I am sad.",
        "What would help you to sleep?",
    ]
    assert semantic_duplicates(said, ids(5)).survivor.tolist() == [0, 0, 2, 3, 4]


@pytest.mark.parametrize("embedder", ["hashing", Directions(), Sparse()])
@pytest.mark.parametrize("num", [0, 1, 2, 50])
def test_nothing_one_all_alike_and_all_empty(embedder: Any, num: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        options: dict[str, Any] = {"embedder": embedder, "shard_documents": 5}
        alike = semantic_duplicates(["7"] * num, ids(num), threshold=1.0, **options)
        assert alike.survivor.tolist() == [0] * num
        empty = semantic_duplicates([""] * num, ids(num), **options)
    assert empty.keep.all()
    assert empty.facts == {"documents": num, "empty": num, "shards": 0, "largest_shard": 0, "removed": 0}


def test_all_unique_all_stay() -> None:
    texts = [f"a{i} b{i} c{i} d{i}" for i in range(300)]
    assert semantic_duplicates(texts, ids(300), shard_documents=50).keep.all()


def test_null_is_empty_and_every_form_of_column_will_do() -> None:
    texts, names = pa.chunked_array([["10", None], ["10"]]), pa.chunked_array([["c", "a"], ["b"]])
    found = semantic_duplicates(texts, names, embedder=Directions())
    assert isinstance(found, Semantic)
    assert found.survivor.tolist() == [2, 1, 2]  # the smallest id


def module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "my_embedders.py").write_text(
        "import numpy as np\n"
        "class Ones:\n"
        "    def encode(self, texts): return np.ones((len(texts), 2))\n"
        "class Needs(Ones):\n"
        "    def __init__(self, model): pass\n"
        "ones = Ones()\n"
        "number = 3\n"
    )
    (folder / "broken_embedder.py").write_text("raise OSError('no model\\nat all')\n")
    monkeypatch.syspath_prepend(folder)


@pytest.mark.parametrize("name", ["my_embedders:ones", "my_embedders:Ones"])
def test_an_embedder_is_named_by_its_module_and_attribute(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module(tmp_path, monkeypatch)
    assert semantic_duplicates(["a", "b"], ["1", "0"], embedder=name).survivor.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "neither hashing nor package.module:attribute"),
        ("hash", "neither hashing nor package.module:attribute"),
        ("my_embedders:", "neither hashing nor"),
        ("..:x", "cannot be imported"),
        ("no_such_module_here:x", "cannot be imported (ModuleNotFoundError"),
        ("broken_embedder:x", "cannot be imported (OSError: no model)"),
        ("my_embedders:nothing", "has no nothing"),
        ("my_embedders:number", "has no encode(texts)"),
        ("my_embedders:Needs", "cannot be made without arguments"),
    ],
)
def test_a_wrong_embedder_is_told_in_one_line(
    name: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module(tmp_path, monkeypatch)
    with pytest.raises(UserError) as raised:
        semantic_duplicates(["a"], ["1"], embedder=name)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


class Wrong:
    def __init__(self, *given: Any) -> None:
        self.given = iter(given)

    def encode(self, texts: list[str]) -> Any:
        return next(self.given)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([np.ones(2)], "shape (2,) for 2 texts; (2, D) is wanted"),
        ([np.ones((3, 4))], "shape (3, 4) for 2 texts"),
        ([[[1, float("nan")], [1, 2]]], "not a finite number"),
    ],
)
def test_what_is_no_vector_for_each_text_is_told(given: list[Any], says: str) -> None:
    with pytest.raises(UserError) as raised:
        semantic_duplicates(["a", "b"], ["1", "2"], embedder=Wrong(*given))
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"ids": ["x"]}, "ids has 1 values for 2 documents"),
        ({"priority": [1]}, "priority has shape"),
        ({"priority": [1, float("nan")]}, "priority holds"),
        ({"threshold": 0}, "threshold=0"),
        ({"threshold": 1.5}, "threshold=1.5"),
        ({"shard_documents": 1}, "shard_documents=1"),
    ],
)
def test_numbers_out_of_range_and_lengths_that_differ_are_named(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        semantic_duplicates(["a", "b"], **{"ids": ["1", "2"], **wrong})
