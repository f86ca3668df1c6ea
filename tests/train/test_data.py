from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pe_ray.errors import UserError
from pe_ray.record import EXAMPLE_SCHEMA, Example
from pe_ray.store import manifest
from pe_ray.train.data import Examples, read_examples

ROWS = [
    ([5, 6, 7], [0, 1, 1], "psychology", "a", "train"),
    ([8], [1], "unheard_of", "b", "validation"),
    ([9, 10], [0, 1], "mental_health", "c", "train"),
]
EXPERTS = ("mental_health", "psychology")


def test_examples_come_from_all_files_in_order(tmp_path) -> None:
    for i, rows in enumerate([ROWS[:1], ROWS[1:]]):
        table = pa.Table.from_pylist([dict(zip(EXAMPLE_SCHEMA.names, r, strict=True)) for r in rows], EXAMPLE_SCHEMA)
        pq.write_table(table, tmp_path / f"part-{i}.parquet")
    manifest.write(tmp_path, kind="examples", parents={}, facts={})
    train = read_examples(tmp_path, "train", EXPERTS)
    assert train.token_T.tolist() == [5, 6, 7, 9, 10] and train.mask_T.tolist() == [0, 1, 1, 0, 1]
    assert train.start_X.tolist() == [0, 3, 5] and train.domain_X.tolist() == [1, 0]
    held_out = read_examples(tmp_path, "validation", EXPERTS)
    assert held_out.token_T.tolist() == [8] and held_out.domain_X.tolist() == [-1]
    made = Examples.of([Example(tuple(r[0]), tuple(r[1]), r[2], r[3]) for r in ROWS if r[4] == "train"], EXPERTS)
    for name in ("token_T", "mask_T", "start_X", "domain_X"):
        assert np.array_equal(getattr(made, name), getattr(train, name))
        assert getattr(made, name).dtype == getattr(train, name).dtype


def test_a_directory_without_training_examples_is_refused(tmp_path) -> None:
    for split in ("train", "validation"):
        with pytest.raises(UserError, match="no training examples"):
            read_examples(tmp_path, split, EXPERTS)
    pq.write_table(pa.Table.from_pylist([], EXAMPLE_SCHEMA), tmp_path / "part-0.parquet")
    manifest.write(tmp_path, kind="examples", parents={}, facts={})
    with pytest.raises(UserError, match="no training examples"):
        read_examples(tmp_path, "train", EXPERTS)
    assert len(read_examples(tmp_path, "validation", EXPERTS)) == 0
