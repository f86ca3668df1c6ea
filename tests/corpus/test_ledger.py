from __future__ import annotations

import pytest

from pe_ray.corpus.balance import Balance
from pe_ray.corpus.ledger import Account, draw_up


def test_an_account_that_does_not_balance_is_our_own_error() -> None:
    with pytest.raises(AssertionError, match="5 rows in, 4 accounted for"):
        Account(5, 1, 1, 1, 1)


def test_every_row_is_in_one_place() -> None:
    ledger = draw_up(
        ["voice", "voice", "standard", "standard", "standard"],
        ["kept", "held", "kept", "kept", "rejected"],
        [1, 0, 2, 1, 0],
        {"voice": 2, "psychology": 1},
        {"voice": 0.25, "standard": 0.5, "psychology": 0.25},
        Balance({}, short=("psychology",)),
    )
    assert ledger.total == Account(8, 3, 1, 1, 3)
    assert ledger.by_source["voice"] == Account(4, 1, 0, 1, 2)
    assert ledger.by_source["psychology"] == Account(1, 0, 0, 0, 1)
    assert ledger.total.processed == 1 - 3 / 8
    assert ledger.shares == {"voice": 0.25, "standard": 0.75, "psychology": 0.0}
    stage = ledger.as_stage("f", "/m")
    assert stage["per_source"]["psychology"] == {"in": 1, "kept": 0, "share": 0.0, "target": 0.25, "short": True}
    assert list(stage) == [
        *("records_in", "kept", "rejected", "held_for_review", "errors", "processed", "per_source"),
        *("fingerprint", "manifest"),
    ]


def test_no_rows_are_no_failure_of_reading() -> None:
    assert draw_up([], [], [], {}, {}, Balance({})).total.processed == 1
