"""`pe-ray safety`: what ships, what is asked, what is absent."""

from __future__ import annotations

import json

import pytest

from pe_ray.safety.learn import names
from tests.test_cli import run


def test_what_ships_is_listed_with_its_figures(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capfd, "safety", "list", "--json")
    body = json.loads(out)
    assert code == 0
    assert {m["name"].partition("@")[0] for m in body["models"]} == set(names())
    assert {"bias", "emotion"} <= set(body["tasks"])
    assert all(m["licences"] and m["purpose"] for m in body["models"])
    code, out, _ = run(capfd, "safety", "list")
    assert "bias@" in out


def test_one_text_is_judged_or_left(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capfd, "safety", "judge", "--task", "bias", "All immigrants are filthy criminals.", "--json")
    body = json.loads(out)
    assert code == 0
    assert body["labels"] == ["biased"]
    code, out, _ = run(capfd, "safety", "judge", "--task", "bias", "ok")
    assert code == 0
    assert "abstains: 1 word, fewer than 3" in out


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["safety", "train", "astrology"], "task=astrology: no such task"),
        (["safety", "judge", "--task", "astrology", "x"], "model=astrology: no such model"),
        (["safety", "train", "emotion"], "PE_RAY_DATA is not set"),
        (["safety", "fairness", "--corpus", "gone"], "name=gone: no finished corpus"),
    ],
)
def test_wrong_input_is_one_line_and_exit_2(
    capfd: pytest.CaptureFixture[str], home, monkeypatch: pytest.MonkeyPatch, argv: list[str], expected: str
) -> None:
    monkeypatch.delenv("PE_RAY_DATA", raising=False)
    code, out, err = run(capfd, *argv)
    assert (code, out) == (2, "")
    assert expected in err
    assert len(err.strip().splitlines()) == 1


def test_absent_data_is_named(capfd: pytest.CaptureFixture[str], home, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PE_RAY_DATA", str(tmp_path))
    code, _, err = run(capfd, "safety", "train", "bias")
    assert code == 2
    assert "redditbias" in err
    assert len(err.strip().splitlines()) == 1


def test_a_planted_bias_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capfd, "safety", "fairness", "--json")
    body = json.loads(out)
    assert code == 0
    assert [a["group"] for a in body["before"] if a["named"]] == [body["planted"]]
