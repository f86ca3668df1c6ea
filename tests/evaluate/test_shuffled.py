from __future__ import annotations

from pathlib import Path

import pytest

from pe_ray.config import SourceSpec
from pe_ray.corpus.sources import standard
from pe_ray.evaluate.shuffled import judged, rows, shuffled
from pe_ray.record import Record
from pe_ray.store.paths import Home


def sample() -> list[tuple[str, str]]:
    found = [r for r in standard.read(SourceSpec(kind="standard")) if isinstance(r, Record)]
    return [(r.text_of("user"), r.text_of("assistant")) for r in found if r.metadata["question"] == "extracted"]


def test_three_in_ten_answers_move_on_and_none_is_lost() -> None:
    pairs = sample()
    mixed, wrong = shuffled(pairs)
    assert sum(wrong) == round(0.3 * len(pairs))
    assert sorted(a for _, a in mixed) == sorted(a for _, a in pairs)
    assert [q for q, _ in mixed] == [q for q, _ in pairs]
    assert all((pair in set(pairs)) != bad for pair, bad in zip(mixed, wrong, strict=True))


def test_an_answer_that_comes_to_the_same_question_is_not_wrong() -> None:
    assert not any(shuffled([("why", "because")] * 10)[1])


def test_a_build_rejects_most_of_what_was_shuffled_and_little_else(tmp_path: Path) -> None:
    home = Home(root=tmp_path / "home", state=tmp_path / "home" / "state")
    found = judged(sample(), home, tmp_path)
    low, kept = found["shuffled.rejected"], found["shuffled.kept"]
    assert len(low) >= 10
    assert sum(low) / len(low) >= 0.6
    assert sum(kept) / len(kept) >= 0.85


def test_without_the_data_nothing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PE_RAY_DATA", raising=False)
    found = rows(Home(root=tmp_path, state=tmp_path / "state"), tmp_path)
    assert [(r["value"], r["ok"]) for r in found] == [(None, None)] * 2
