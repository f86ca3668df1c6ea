"""Records that mean the same: documents whose embeddings point almost the same way, and which of them stays.

    found = semantic_duplicates(texts, ids, embedder="my_models.small:encoder")
    table.filter(found.keep)

An embedder is an object with `encode(texts: list[str])` that returns an array (N, D), dense or sparse, named by an
import string. The built-in `hashing` needs no model and no network; it knows words and pairs of neighbouring words, so
that it finds texts that say the same in much the same words. What a meaning is, only a real model knows.

Documents are sorted into shards by k-means, and compared inside their shard alone: the cost is about that of N x
`SHARD_DOCUMENTS` comparisons. A pair on either side of a border is not found. Embeddings are in memory: N x D floats.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, issparse, vstack

from pe_ray.errors import UserError

SHARD_DOCUMENTS = 4000
"""About how many documents are compared with each other."""
ENCODED_AT_A_TIME = 1024
COMPARED_AT_A_TIME = 512
HASHED_FEATURES = 1 << 14
ROUNDING = 1e-6
"""What a cosine of float32 vectors may fall short of, so that equal ones reach a threshold of 1."""


class Embedder(Protocol):
    """Turns texts into vectors, each for itself: a text's vector may not depend on the others."""

    def encode(self, texts: list[str]) -> Any: ...


@dataclass(frozen=True)
class Semantic:
    """For N documents: `survivor` (N,) the row that stays for each, its own if it stays itself, and their `cosine`
    (N,), 1 for itself."""

    survivor: NDArray[np.int64]
    cosine: NDArray[np.float64]
    facts: dict[str, int] = field(default_factory=dict)
    """documents, empty (no vector: compared with none), shards, largest_shard, removed."""

    @property
    def keep(self) -> NDArray[np.bool_]:
        """Which documents stay."""
        return self.survivor == np.arange(len(self.survivor))


def semantic_duplicates(
    texts: pa.Array | pa.ChunkedArray | Sequence[str],
    ids: pa.Array | pa.ChunkedArray | Sequence[str],
    *,
    embedder: str | Embedder = "hashing",
    threshold: float = 0.95,
    priority: ArrayLike | None = None,
    shard_documents: int = SHARD_DOCUMENTS,
    seed: int = 42,
) -> Semantic:
    """Find N documents' duplicates by meaning, and decide who stays.

    In each shard the best document stays and removes those whose cosine with it reaches `threshold`, then the best of
    the others, and so on, so that each removal is verified against its own survivor. The best has the highest
    `priority` (N,), then the smallest id. A text without a vector (empty, or unknown to the embedder) has no company.

    The same documents give the same result in any order, if no id occurs twice. Raises ValueError if a number is out
    of range or lengths differ, UserError for an embedder that cannot be loaded or gives something else than vectors.
    """
    column, names = _column(texts), _column(ids)
    _check(column, names, priority, threshold, shard_documents)
    model = load(embedder) if isinstance(embedder, str) else embedder
    by_id = pc.sort_indices(pa.table({"id": names, "text": column}), [("id", "ascending"), ("text", "ascending")])
    rows = by_id.to_numpy().astype(np.int64)  # whatever the order they came in, all that follows is the same
    vectors = _encoded(model, column.take(by_id))
    shards = _shards(vectors, shard_documents, seed)
    rank = np.zeros(len(rows)) if priority is None else -np.asarray(priority, np.float64)[rows]
    survivor, cosine = np.arange(len(rows)), np.ones(len(rows))
    for members in shards:
        best_first = members[np.argsort(rank[members], kind="stable")]
        _settle(vectors, best_first, threshold, survivor, cosine)
    found = Semantic(np.empty(len(rows), np.int64), np.empty(len(rows)))
    found.survivor[rows], found.cosine[rows] = rows[survivor], cosine
    found.facts.update(
        documents=len(rows),
        empty=len(rows) - sum(map(len, shards)),
        shards=len(shards),
        largest_shard=max(map(len, shards), default=0),
        removed=int(np.count_nonzero(~found.keep)),
    )
    return found


def load(name: str) -> Embedder:
    """The embedder of that name: `hashing`, or "package.module:attribute", made if that is a class.

    Raises UserError if there is no such module or attribute, or it cannot encode.
    """
    if name == "hashing":
        return Hashing()
    module, _, attribute = name.partition(":")
    where = f"embedder {name!r}"
    if not module or not attribute:
        raise UserError(f"{where}: is neither hashing nor package.module:attribute")
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:  # noqa: BLE001 what a user's module raises is theirs
        raise UserError(
            f"{where}: module {module} cannot be imported ({type(error).__name__}: {_line(error)})"
        ) from None
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UserError(f"{where}: module {module} has no {attribute}")
        found = getattr(found, part)
    if isinstance(found, type):
        try:
            found = found()
        except Exception as error:  # noqa: BLE001
            raise UserError(f"{where}: cannot be made without arguments ({_line(error)}); name an object") from None
    if not callable(getattr(found, "encode", None)):
        raise UserError(f"{where}: has no encode(texts) that returns an array")
    return found


class Hashing:
    """Counts of words and pairs of neighbouring words, hashed into a fixed number of features; nothing is learnt."""

    def __init__(self) -> None:
        from sklearn.feature_extraction.text import HashingVectorizer

        self._vectorizer = HashingVectorizer(
            n_features=HASHED_FEATURES, ngram_range=(1, 2), token_pattern=r"\w+", dtype=np.float32
        )

    def encode(self, texts: list[str]) -> Any:
        return self._vectorizer.transform(texts)


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")


def _column(values: pa.Array | pa.ChunkedArray | Sequence[str]) -> pa.Array:
    column = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, pa.string())
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return pc.fill_null(column.cast(pa.large_string()), "")


def _check(
    column: pa.Array, names: pa.Array, priority: ArrayLike | None, threshold: float, shard_documents: int
) -> None:
    if len(names) != len(column):
        raise ValueError(f"ids has {len(names)} values for {len(column)} documents")
    if priority is not None and np.shape(priority) != (len(column),):
        raise ValueError(f"priority has shape {np.shape(priority)} for {len(column)} documents")
    if priority is not None and np.isnan(np.asarray(priority, np.float64)).any():
        raise ValueError("priority holds what is not a number")
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold={threshold} is not above 0 and at most 1")
    if shard_documents < 2:
        raise ValueError(f"shard_documents={shard_documents} is not 2 or more")


def _encoded(model: Embedder, texts: pa.Array) -> Any:
    """Vectors (N, D) of length 1, or 0 where the embedder knows nothing; float32, dense or sparse as they come."""
    parts: list[Any] = []
    for start in range(0, len(texts), ENCODED_AT_A_TIME):
        some = texts.slice(start, ENCODED_AT_A_TIME).to_pylist()
        parts.append(_checked(model.encode(some), len(some), parts[0].shape[1] if parts else None))
    if not parts:
        return np.empty((0, 1), np.float32)
    return vstack(parts, "csr") if issparse(parts[0]) else np.concatenate(parts)


def _checked(vectors: Any, num: int, width: int | None) -> Any:
    found: Any = csr_array(vectors, dtype=np.float32) if issparse(vectors) else np.asarray(vectors, np.float32)
    if found.ndim != 2 or found.shape[0] != num or width not in (None, found.shape[1]):
        wanted = f"({num}, {width or 'D'})"
        raise UserError(f"embedder: gave an array of shape {found.shape} for {num} texts; {wanted} is wanted")
    if not np.isfinite(found.data if issparse(found) else found).all():
        raise UserError("embedder: gave a vector with what is not a finite number")
    length = np.sqrt(found.multiply(found).sum(1)) if issparse(found) else np.linalg.norm(found, axis=1)
    scale = 1 / np.where(length > 0, length, 1)
    return csr_array(found.multiply(scale[:, None])) if issparse(found) else found * scale[:, None]


def _shards(vectors: Any, size: int, seed: int) -> list[NDArray[np.int64]]:
    """Documents with a vector, those near each other together."""
    held = np.diff(vectors.indptr) > 0 if issparse(vectors) else vectors.any(axis=1)
    rows = np.flatnonzero(held)
    num = -(-len(rows) // size)
    if num <= 1:
        return [rows] if len(rows) else []
    label = _k_means(vectors[rows], num, seed)
    order = np.argsort(label, kind="stable")
    return np.split(rows[order], np.flatnonzero(np.diff(label[order])) + 1)


def _k_means(vectors: Any, num: int, seed: int) -> NDArray[np.int64]:
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different documents than shards: fewer shards
        means = MiniBatchKMeans(num, random_state=seed, batch_size=ENCODED_AT_A_TIME, n_init=1)
        return np.asarray(means.fit_predict(vectors), np.int64)


def _settle(
    vectors: Any,
    members: NDArray[np.int64],
    threshold: float,
    survivor: NDArray[np.int64],
    cosine: NDArray[np.float64],
) -> None:
    """Fill in who stays among `members`, which come best first."""
    staying = members[:0]
    for start in range(0, len(members), COMPARED_AT_A_TIME):
        some = members[start : start + COMPARED_AT_A_TIME]
        known = _cosines(vectors, some, staying)
        gone = (known >= threshold - ROUNDING).any(1)
        by = (known[gone] >= threshold - ROUNDING).argmax(1)
        survivor[some[gone]], cosine[some[gone]] = staying[by], known[gone, by]
        left = some[~gone]
        likeness, alive = _cosines(vectors, left, left), np.ones(len(left), np.bool_)
        for i in range(len(left)):
            if alive[i]:
                removed = i + 1 + np.flatnonzero(alive[i + 1 :] & (likeness[i, i + 1 :] >= threshold - ROUNDING))
                survivor[left[removed]], cosine[left[removed]] = left[i], likeness[i, removed]
                alive[removed] = False
        staying = np.concatenate([staying, left[alive]])


def _cosines(vectors: Any, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float32]:
    if not len(left) or not len(right):
        return np.zeros((len(left), len(right) + 1), np.float32)  # a column of zeros, so that there is a largest
    product = vectors[left] @ vectors[right].T
    return np.minimum(product.toarray() if issparse(product) else product, 1)
