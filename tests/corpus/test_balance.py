from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pe_ray.config import SHARES, CorpusConfig
from pe_ray.corpus.balance import choose, even_counts, exact_counts, largest_size, share_out

PLENTY = dict.fromkeys(SHARES, 10_000)


def config(**over: object) -> CorpusConfig:
    return CorpusConfig.model_validate(over)


@given(st.integers(0, 20_000), st.lists(st.integers(1, 100), min_size=1, max_size=6))
def test_counts_are_exact_and_within_one_of_their_share(size: int, weights: list[int]) -> None:
    targets = {f"s{i}": w / sum(weights) for i, w in enumerate(weights)}
    counts = exact_counts(size, targets)
    assert sum(counts.values()) == size
    assert all(abs(counts[s] - size * t) < 1 for s, t in targets.items())


@given(st.dictionaries(st.sampled_from(sorted(SHARES)), st.integers(0, 60), min_size=5, max_size=5))
def test_the_size_is_the_largest_that_every_source_can_fill(have: dict[str, int]) -> None:
    def fits(size: int) -> bool:
        return all(n <= have[s] for s, n in exact_counts(size, SHARES).items())

    slow = max((n for n in range(sum(have.values()) + 1) if fits(n)), default=0)
    assert largest_size(have, SHARES, 10**6) == slow


def test_the_shares_of_the_design_come_out() -> None:
    balance = share_out(PLENTY, config())
    assert balance.counts == {
        "edge_case": 2000,
        "voice": 1600,
        "psychology": 1200,
        "dual_persona": 800,
        "standard": 2400,
    }
    assert (balance.short, balance.problem) == ((), None)


def test_max_records_caps() -> None:
    assert sum(share_out(PLENTY, config(max_records=250)).counts.values()) == 250
    assert share_out(PLENTY, config(max_records=20, min_records=200)).problem is None


def test_the_scarcest_source_sets_the_size() -> None:
    balance = share_out(PLENTY | {"dual_persona": 30}, config())
    assert 300 <= sum(balance.counts.values()) < 310
    assert balance.counts["dual_persona"] == 30
    assert balance.problem is None


def test_a_shortage_fails_and_says_what_is_lacking() -> None:
    balance = share_out(PLENTY | {"voice": 10, "dual_persona": 19}, config())
    assert balance.short == ("dual_persona", "voice")
    assert balance.problem is not None
    assert "voice has 10 of 40, dual_persona has 19 of 20" in balance.problem
    assert "corpus.min_records=200" in balance.problem


def test_renormalise_shares_the_rest_over_the_others() -> None:
    balance = share_out(PLENTY | {"voice": 10, "dual_persona": 0}, config(on_shortage="renormalise", max_records=710))
    assert balance.short == ("dual_persona", "voice")
    assert balance.problem is None
    assert balance.counts["voice"] == 10
    assert balance.counts["dual_persona"] == 0
    rest = {s: n for s, n in balance.counts.items() if s not in balance.short}
    assert rest == {"edge_case": 250, "psychology": 150, "standard": 300}


def test_renormalise_stops_at_what_is_wanted() -> None:
    have = {"edge_case": 30, "voice": 4, "psychology": 18, "dual_persona": 12, "standard": 36}
    balance = share_out(have, config(on_shortage="renormalise", min_records=90))
    assert balance.short == ("voice",)
    assert sum(balance.counts.values()) >= 90


def test_renormalise_does_not_let_the_richest_source_drown_the_others() -> None:
    have = {"edge_case": 90, "voice": 78, "psychology": 2900, "dual_persona": 584, "standard": 1206}
    balance = share_out(have, config(on_shortage="renormalise", min_records=3000))
    assert balance.counts == have | {"psychology": 1042}
    assert balance.short == ("edge_case", "voice")


def test_renormalise_too_can_fail() -> None:
    assert share_out(dict.fromkeys(SHARES, 3), config(on_shortage="renormalise")).problem is not None


def test_repeat_takes_as_many_copies_as_are_wanted_and_no_more_than_allowed() -> None:
    have = PLENTY | {"voice": 15}
    balance = share_out(have, config(on_shortage="repeat", max_repeat=3))
    assert balance.counts["voice"] == 40
    assert sum(balance.counts.values()) == 200
    assert (balance.short, balance.problem) == (("voice",), None)
    assert share_out(have, config(on_shortage="repeat", max_repeat=2)).problem is not None


def test_a_source_without_a_target_gives_nothing() -> None:
    balance = share_out(PLENTY, config(targets={"voice": 0.5, "standard": 0.5}))
    assert balance.counts == {"voice": 4000, "standard": 4000}


def test_the_choice_is_by_hash_and_not_by_order() -> None:
    ids = [f"r{i}" for i in range(50)]
    forwards = {ids[i] for i in np.flatnonzero(choose(pa.array(ids), 20))}
    backwards = {ids[::-1][i] for i in np.flatnonzero(choose(pa.array(ids[::-1]), 20))}
    assert forwards == backwards
    assert len(forwards) == 20
    assert forwards != set(ids[:20])


def test_copies_go_round_before_any_record_gets_another() -> None:
    assert sorted(choose(pa.array(["x", "y", "z"]), 7).tolist()) == [2, 2, 3]
    assert choose(pa.array(["w"]), 0).tolist() == [0]
    assert choose(pa.array([], pa.string()), 0).tolist() == []


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(0, 30), min_size=1, max_size=6), st.integers(0, 200))
def test_even_counts_differ_by_one_at_most_where_cells_are_not_used_up(have: dict[str, int], size: int) -> None:
    counts = even_counts(have, size)
    assert sum(counts.values()) == min(size, sum(have.values()))
    assert all(counts[c] <= have[c] for c in have)
    open_cells = [counts[c] for c in have if counts[c] < have[c]]
    if open_cells:
        assert max(counts.values()) - min(open_cells) <= 1


def test_cells_are_taken_from_evenly() -> None:
    ids = pa.array([f"r{i}" for i in range(100)])
    cells = ["big"] * 80 + ["small"] * 15 + ["tiny"] * 5
    taken = choose(ids, 30, cells)
    assert [int(taken[:80].sum()), int(taken[80:95].sum()), int(taken[95:].sum())] == [13, 12, 5]
