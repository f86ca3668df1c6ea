"""Examples in memory: flat arrays read from the Parquet files that the tokeniser wrote.

A million examples of Python tuples would take gigabytes; flat, a token costs five bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pe_ray.errors import UserError
from pe_ray.record import Example
from pe_ray.store.corpora import open_examples


@dataclass(frozen=True)
class Examples:
    """X examples of T tokens in all; example x is `token_T[start_X[x]:start_X[x + 1]]`.

    `mask_T` is 1 where a token is learnt; `domain_X` is the index of the expert that should learn it, -1 for none.
    """

    token_T: np.ndarray
    mask_T: np.ndarray
    start_X: np.ndarray
    domain_X: np.ndarray

    def __len__(self) -> int:
        return len(self.domain_X)

    @property
    def num_tokens(self) -> int:
        """Tokens of all examples."""
        return len(self.token_T)

    @classmethod
    def of(cls, examples: Iterable[Example], experts: Sequence[str]) -> Examples:
        """Examples that are already in hand."""
        found = list(examples)
        lengths = [len(e.token_ids) for e in found]
        return cls(
            np.array([t for e in found for t in e.token_ids], dtype=np.int32),
            np.array([m for e in found for m in e.loss_mask], dtype=np.int8),
            np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64),
            np.array([_index(e.domain, experts) for e in found], dtype=np.int64),
        )

    def take(self, chosen: np.ndarray) -> Examples:
        """The examples at these indices, in this order."""
        spans = [(self.start_X[x], self.start_X[x + 1]) for x in chosen]
        tokens = [self.token_T[a:b] for a, b in spans] or [self.token_T[:0]]
        masks = [self.mask_T[a:b] for a, b in spans] or [self.mask_T[:0]]
        starts = np.concatenate([[0], np.cumsum([b - a for a, b in spans], dtype=np.int64)]).astype(np.int64)
        return Examples(np.concatenate(tokens), np.concatenate(masks), starts, self.domain_X[chosen])


def read_examples(directory: Path, split: str, experts: Sequence[str]) -> Examples:
    """The examples of one split (`train` or `validation`), in the order of the files.

    Raises UserError if the directory holds no examples, or none of the training split, and ManifestError if it is not
    finished or was changed.
    """
    files = sorted(directory.glob("*.parquet"))
    if files:
        open_examples(directory)
    columns, wanted = ["token_ids", "loss_mask", "domain"], [("split", "=", split)]
    tables = [pq.read_table(file, columns=columns, filters=wanted) for file in files]
    table = pa.concat_tables(tables) if tables else None
    if table is None or (split == "train" and table.num_rows == 0):
        raise UserError(f"examples={directory}: holds no training examples; build the corpus and tokenise it first")
    return _from_table(table, experts)


def _from_table(table: pa.Table, experts: Sequence[str]) -> Examples:
    table = table.combine_chunks()
    lengths = np.asarray(table["token_ids"].combine_chunks().value_lengths() if table.num_rows else [], dtype=np.int64)
    return Examples(
        _flat(table, "token_ids", np.int32),
        _flat(table, "loss_mask", np.int8),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.array([_index(d, experts) for d in table["domain"].to_pylist()], dtype=np.int64),
    )


def _flat(table: pa.Table, column: str, dtype: type) -> np.ndarray:
    if not table.num_rows:
        return np.zeros(0, dtype)
    chunks = [c.flatten().to_numpy(zero_copy_only=False) for c in table[column].chunks]
    return np.concatenate(chunks).astype(dtype, copy=False)


def _index(domain: str, experts: Sequence[str]) -> int:
    return list(experts).index(domain) if domain in experts else -1
