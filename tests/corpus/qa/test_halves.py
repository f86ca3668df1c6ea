from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pe_ray.config import QuestionConfig
from pe_ray.corpus.qa.halves import Halves, chosen, largest, split, surplus


@pytest.mark.parametrize(
    ("extracted", "contextual", "size", "counts"),
    [(50, 50, 60, (30, 30)), (50, 50, 61, (31, 30)), (90, 10, 60, (50, 10)), (10, 90, 60, (10, 50)), (9, 0, 5, (5, 0))],
)
def test_a_size_is_split_as_near_to_half_as_there_are_enough(extracted, contextual, size, counts) -> None:
    assert split(extracted, contextual, size, 0.5) == counts


def test_the_largest_that_keeps_to_the_share() -> None:
    assert largest(90, 10, 0.5) == (10, 10)
    assert largest(90, 10, 0.25) == (30, 10)
    assert largest(0, 7, 0.5) == (0, 0)
    assert largest(5, 7, 0.0) == (5, 0)


def ids(num: int) -> pa.ChunkedArray:
    return pa.chunked_array([[f"id{n}" for n in range(num)]])


def test_records_are_chosen_half_and_half_within_one_point_and_the_same_each_time() -> None:
    contextual = np.arange(1000) % 3 == 0
    copies = chosen(ids(1000), contextual, 500, 0.5)
    assert copies.sum() == 500
    assert abs(copies[contextual].sum() / 500 - 0.5) <= 0.01
    assert (copies == chosen(ids(1000), contextual, 500, 0.5)).all()


def test_all_are_taken_where_all_are_wanted() -> None:
    contextual = np.arange(10) < 3
    assert chosen(ids(10), contextual, 10, 0.5).tolist() == [1] * 10
    assert chosen(ids(10), contextual, 20, 0.5).tolist() == [2] * 10


def test_what_is_too_much_of_one_kind_is_surplus() -> None:
    contextual = np.arange(100) < 20
    over = surplus(ids(100), contextual, 0.5)
    assert len(over) == 60
    assert not contextual[over].any()


def test_the_report_says_whether_the_share_was_kept() -> None:
    kinds = {"speech": {"extracted": 51, "contextual": 50}, "qa": {"extracted": 900}}
    found = Halves.of(kinds, QuestionConfig())
    assert (found.extracted, found.contextual, found.kept_to) == (51, 50, True)
    assert not Halves.of({"speech": {"extracted": 80, "contextual": 20}}, QuestionConfig()).kept_to
    assert Halves.of({}, QuestionConfig()).share is None
