"""What moved is told, what chance explains is not, and neither holds a word of a record."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pe_ray.corpus import history
from pe_ray.corpus.drift import FEWEST, compare, index
from pe_ray.corpus.pipeline import build
from pe_ray.store.paths import Home
from tests.corpus.write import concept, config, edge_case, jsonl, one_source, qa, scenes
from tests.test_cli import run

pytestmark = pytest.mark.usefixtures("no_plots")


def test_the_index_is_that_of_the_formula() -> None:
    now, before = np.array([300, 100, 100]), np.array([100, 100, 300])
    p, q = (now + 0.5) / 501.5, (before + 0.5) / 501.5
    assert index(now, before)[0] == pytest.approx(
        sum((a - b) * np.log(a / b) for a, b in zip(p, q, strict=True)), abs=1e-4
    )
    assert index(now, now)[0] == 0
    assert index(np.array([5, 5]), before[:2]) == (None, 0.0)
    empty, _ = index(np.array([100, 0]), np.array([0, 100]))
    assert np.isfinite(empty)


@pytest.mark.parametrize("size", [30, 2000])
def test_chance_alone_is_called_no_shift(size: int) -> None:
    rng = np.random.default_rng(size)
    population = rng.dirichlet(np.ones(12))
    calls = 0
    for _ in range(1000):
        found, chance = index(*rng.multinomial(size, population, size=2))
        calls += found > chance
    assert calls <= 5  # one is expected of 1,000


def scored(mean: float, number: int, seed: int) -> dict:
    values = np.clip(np.random.default_rng(seed).normal(mean, 0.15, number), 0, 1)
    bins, _ = np.histogram(values, bins=25, range=(0, 1))
    return {"bins": bins.tolist(), "mean": round(float(values.mean()), 4)}


def figures(mean: float, number: int = 400, seed: int = 1, shares: tuple[int, int] = (200, 200)) -> dict:
    return {
        "scores": {"coherence": scored(mean, number, seed)},
        "by_source": {"standard": {"coherence": scored(mean, number // 2, seed + 9)}},
        "labels": {"source": {"voice": shares[0], "standard": shares[1]}},
        "crisis_level": {"0": number},
    }


def test_a_shift_is_named_with_what_it_was() -> None:
    found = compare(figures(0.4, seed=2, shares=(100, 300)), figures(0.6), "fp", "2026-01-01")
    assert {s.name for s in found.shifted} == {"coherence", "coherence of standard", "source"}
    assert {s.size for s in found.shifted} == {"much"}
    assert "source moved much (standard 50.0 % to 75.0 %, voice 50.0 % to 25.0 %)" in found.words
    assert "3 of 4 figures moved by more than chance explains" in found.words
    same = compare(figures(0.6, seed=3), figures(0.6), "fp", "2026-01-01")
    assert same.shifted == [] and "None of 4 figures moved" in same.words
    few = compare(figures(0.1, FEWEST - 1, shares=(1, 2)), figures(0.9, FEWEST - 1), "fp", "2026-01-01")
    assert few.shifted == [] and "too few records" in few.words


def test_a_check_that_is_new_or_gone_is_not_compared() -> None:
    now, before = figures(0.5), figures(0.5)
    now["scores"]["fresh"] = now["scores"].pop("coherence")
    assert "fresh" not in {s.name for s in compare(now, before, "fp", "").shifts}


def test_a_source_that_went_wrong_is_found_from_one_build_to_the_next(
    tmp_path: Path, home: Home, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = [qa(s) for s in scenes(80)]
    path = jsonl(tmp_path / "a.jsonl", rows)
    first = build(one_source(path), home)
    page = (first.path / "report.html").read_text()
    assert "there is nothing to compare it with" in page
    wrong = [{**row, "answer": other["answer"]} for row, other in zip(rows, rows[11:] + rows[:11], strict=True)]
    second = build(one_source(jsonl(tmp_path / "a.jsonl", wrong)), home)
    assert "coherence" in {s.name for s in history.between(history.history(home, "therapy"))[1].shifted}
    page = (second.path / "report.html").read_text()
    assert f"<code>{first.fingerprint[:12]}</code>" in page and "moved much" in page
    code, out, _ = run(capfd, "corpus", "report", "--history")
    assert code == 0
    assert first.fingerprint[:12] in out and second.fingerprint[:12] in out and "coherence, mean kept" in out
    told = json.loads(run(capfd, "corpus", "report", "--history", "--last", "1", "--json")[1])
    (one,) = told["snapshots"]
    assert one["fingerprint"] == second.fingerprint and one["drift"]["against"] == first.fingerprint
    assert one["quality"]["scores"]["coherence"]["judged"] == 80
    (second.path / history.NAME).rename(tmp_path / "moved")  # a snapshot without figures, or a damaged one
    assert "–" not in run(capfd, "corpus", "report", "--history")[1].splitlines()[0]


def test_means_by_category_and_no_label_that_a_row_made_up(tmp_path: Path, no_plots: None, home: Home) -> None:
    cases = [
        edge_case(s, category=c)
        for s, c in zip(scenes(12), ["therapy_resistance", "cultural_conflicts"] * 6, strict=True)
    ]
    words = [concept(s, category="Eulalia died in Porto") for s in scenes(4, 60)]
    jsonl(tmp_path / "edge_case/a.jsonl", cases)
    jsonl(tmp_path / "psychology/a.jsonl", words)
    specs = [{"kind": k, "path": str(tmp_path / k)} for k in ("edge_case", "psychology")]
    told = {
        "sources": specs,
        "targets": {"edge_case": 0.5, "psychology": 0.5},
        "on_shortage": "renormalise",
        "min_records": 0,
    }
    result = build(config(tmp_path, **told), home)
    quality = json.loads((result.path / "quality.json").read_text())
    assert set(quality["categories"]) == {"therapy_resistance", "cultural_conflicts", "another label"}
    one = quality["categories"]["therapy_resistance"]
    assert one["records"] == 6 and one["scores"]["coherence"][0] == 6 and 0 < one["scores"]["coherence"][1] <= 1
    assert "Eulalia" not in (result.path / "quality.json").read_text()
