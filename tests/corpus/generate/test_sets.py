"""Whole sets over real HTTP: what is written, what it costs, how it stops, and how it goes on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pe_ray.config import SourceSpec
from pe_ray.config.generate import GenerateConfig
from pe_ray.corpus import generate
from pe_ray.corpus.generate.log import Log
from pe_ray.corpus.sources import dual_persona, edge_case
from pe_ray.errors import ConfigError, GateNotMet, PeRayError, UserError
from pe_ray.record import Record
from pe_ray.store import manifest
from pe_ray.store.paths import Home
from tests.corpus.generate.clocks import Jumping

Settings = Callable[..., GenerateConfig]


def silent(text: str) -> None:
    """Nobody waits here."""


def write(kind: Any, config: GenerateConfig, home: Home, **more: Any) -> generate.Result:
    """One run without keys in its environment."""
    return generate.run(kind, config, home, more.pop("say", silent), environ={}, **more)


def rows(path: Path) -> list[dict[str, Any]]:
    """A JSONL file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_offline_set_has_every_cell_and_the_corpus_reads_it(home: Home) -> None:
    result = write("edge-cases", GenerateConfig(), home)
    assert (result.summary["written"], result.summary["failed"], result.summary["asked"]) == (75, 0, 75)
    records = list(edge_case.read(SourceSpec(kind="edge_case", path=str(result.path / "edge_cases.jsonl"))))
    assert all(isinstance(r, Record) for r in records)
    assert len({(r.metadata["category"], r.metadata["difficulty"]) for r in records if isinstance(r, Record)}) == 75
    found = rows(result.path / "edge_cases.jsonl")
    assert {r["generated"] for r in found} == {"template"}
    assert all(r.get("review") == "required" for r in found if r["difficulty"] == "very_high")
    held = rows(result.path / "held.jsonl")
    assert [found[h["line"] - 1]["id"] for h in held] == [h["id"] for h in held]
    assert len(held) == result.summary["held"] == sum(r.get("review") == "required" for r in found)
    assert manifest.read(result.path, "generated", verify=True).parents["protocols"]


def test_the_offline_dialogues_are_read_by_the_corpus(home: Home) -> None:
    result = write("personas", GenerateConfig(), home)
    records = list(dual_persona.read(SourceSpec(kind="dual_persona", path=str(result.path / "dialogues.jsonl"))))
    assert len(records) == result.summary["written"] == 20
    assert all(isinstance(r, Record) for r in records)


def test_two_processes_do_not_write_one_set(home: Home) -> None:
    config = GenerateConfig(seed=9)
    target = Path(generate.plan("edge-cases", config, home).rpartition("would write ")[2]).parent
    log = Log(target.with_name(f"{target.name}.partial"))
    with pytest.raises(PeRayError, match="another process is writing this set"):
        write("edge-cases", config, home)
    log.close()
    assert write("edge-cases", config, home).path == target


def test_killed_while_it_finishes(home: Home, settings: Settings, stats: Callable[[], Any]) -> None:
    config = settings("good", edge_cases=8, seed=6)
    target = write("edge-cases", config, home).path
    draft, partial = target.with_name(f".{target.name}.0abc"), target.with_name(f"{target.name}.partial")
    log = Log(partial)
    log.close()
    assert write("edge-cases", config, home).path == target  # killed after the manifest: the log is taken away
    assert not partial.exists()
    target.rename(draft)  # killed before the directory had its name
    assert write("edge-cases", config, home).summary["written"] == 8
    assert not draft.exists()


def test_a_finished_set_is_not_asked_for_again(home: Home, settings: Settings, stats: Callable[[], Any]) -> None:
    config = settings("good", edge_cases=10, seed=1)
    first = write("edge-cases", config, home)
    before = stats()["requests"]["good"]
    said: list[str] = []
    again = write("edge-cases", config, home, say=said.append)
    assert again.path == first.path
    assert again.summary["written"] == 10
    assert stats()["requests"]["good"] == before
    assert "finished already" in said[0]
    assert not list(first.path.parent.glob("*.partial"))


def test_every_fault_of_a_provider_is_outlived(home: Home, settings: Settings) -> None:
    summary = write("edge-cases", settings("flaky", edge_cases=75, attempts=8, timeout_s=5), home).summary
    assert (summary["written"], summary["failed"]) == (75, 0)
    assert summary["retries"]["unreached"]
    assert summary["retries"]["unusable"]
    assert summary["requests"] > 75


def test_dialogues_over_http(home: Home, settings: Settings) -> None:
    result = write("personas", settings("good", dialogues=30, turns=6), home)
    found = rows(result.path / "dialogues.jsonl")
    assert len({r["dialogue_id"] for r in found}) == 30
    assert {len(r["turns"]) for r in found} == {6}


def test_the_same_settings_give_the_same_bytes(tmp_path: Path, settings: Settings) -> None:
    sets = [
        write("edge-cases", settings("flaky", edge_cases=40, attempts=8, in_flight=n), Home.at(tmp_path / str(n))).path
        for n in (1, 16)
    ]
    assert sets[0].name == sets[1].name
    for name in ("edge_cases.jsonl", "held.jsonl", "failed.jsonl"):
        assert (sets[0] / name).read_bytes() == (sets[1] / name).read_bytes()


def test_the_cap_stops_the_run_and_a_higher_one_lets_it_go_on(
    home: Home, settings: Settings, stats: Callable[[], Any]
) -> None:
    before = Counter(stats()["answered"])
    settings_of = {"edge_cases": 40, "seed": 2, "in_flight": 4}
    with pytest.raises(GateNotMet, match=r"generate.cost_cap_usd=0.05: 0.0\d+ spent") as caught:
        write("edge-cases", settings("good", cost_cap_usd=0.05, **settings_of), home)
    said = str(caught.value)
    assert "\n" not in said
    assert "raise the cap" in said
    so_far = Path(said.rpartition("so far: ")[2])
    first = rows(so_far)
    assert 0 < len(first) < 40
    spent = float(said.partition("usd=0.05: ")[2].split()[0])
    assert spent <= 0.05
    said_on: list[str] = []
    result = write("edge-cases", settings("good", cost_cap_usd=1, **settings_of), home, say=said_on.append)
    assert f"going on after {len(first)} of 40" in said_on[0]
    final = rows(result.path / "edge_cases.jsonl")
    assert len({r["id"] for r in final}) == 40
    assert all(row in final for row in first)
    assert spent < result.summary["spent_usd"] <= 1
    asked = Counter(stats()["answered"])
    asked.subtract(before)
    assert set(asked.values()) <= {0, 1}


def test_a_request_whose_worst_case_does_not_fit_is_never_sent(
    home: Home, settings: Settings, stats: Callable[[], Any]
) -> None:
    before = stats()["requests"]
    with pytest.raises(GateNotMet, match=r"0\.0000 spent, and the next request could cost"):
        write("edge-cases", settings("good", cost_cap_usd=0.001, edge_cases=5), home)
    assert stats()["requests"] == before


def test_a_provider_that_charges_more_than_it_may_stops_the_run(home: Home, settings: Settings) -> None:
    with pytest.raises(GateNotMet, match="1 of 50 scenarios are written"):
        write("edge-cases", settings("dear", cost_cap_usd=3, edge_cases=50, in_flight=1), home)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("nonsense", "the answer holds no JSON object"),
        ("empty", "the answer is empty"),
        ("cut", "the answer was cut off"),
        ("refusing", "the answer is a refusal"),
        ("harmful", r"output.diagnosis"),
    ],
)
def test_what_a_provider_talks_is_recorded_as_failed_and_the_run_ends(
    home: Home, settings: Settings, model: str, reason: str
) -> None:
    result = write("edge-cases", settings(model, edge_cases=6, attempts=2), home)
    assert (result.summary["written"], result.summary["failed"], result.summary["requests"]) == (0, 6, 12)
    failed = rows(result.path / "failed.jsonl")
    assert all(reason in f["reason"] and f["wanted"]["category"] for f in failed)


def test_a_model_that_says_one_thing_only_is_asked_with_other_specifications_and_then_failed(
    home: Home, settings: Settings
) -> None:
    config = settings("same", edge_cases=4, categories=("family_therapy_conflict",), difficulties=("moderate",))
    result = write("edge-cases", config, home)
    assert (result.summary["written"], result.summary["failed"]) == (1, 3)
    assert result.summary["requests"] == 1 + 3 * config.variations
    assert set(result.summary["reasons"]) == {"says what another scenario says"}


def test_after_failures_in_a_row_the_run_stops_in_one_line_and_goes_on_later(home: Home, settings: Settings) -> None:
    more = {"edge_cases": 30, "seed": 3, "attempts": 1, "stop_after_failures": 5}
    with pytest.raises(PeRayError, match=r"5 scenarios failed in a row.*no connection to 127\.0\.0\.1:9") as caught:
        write("edge-cases", settings("good", base_url="http://127.0.0.1:9/v1", in_flight=1, **more), home)
    assert "\n" not in str(caught.value)
    result = write("edge-cases", settings("good", **more), home)
    assert (result.summary["written"], result.summary["failed"]) == (30, 0)


def test_a_wrong_key_stops_at_once(home: Home, settings: Settings, stats: Callable[[], Any]) -> None:
    before = stats()["requests"].get("denied", 0)
    with pytest.raises(UserError, match=r"answers 401 \(error_401\); check the address, the model and the key"):
        write("edge-cases", settings("denied", edge_cases=30, in_flight=4), home)
    assert stats()["requests"]["denied"] - before <= 4


def test_retry_after_is_kept_and_pauses_grow(home: Home, settings: Settings) -> None:
    clock = Jumping()
    config = settings("busy", edge_cases=1, attempts=3, in_flight=1, backoff_s=1, backoff_max_s=60)
    summary = write("edge-cases", config, home, clock=clock).summary
    assert summary["reasons"] == {"the provider answers 429 (error_429)": 1}
    # the scenario is tried once more at the end: two rounds of three attempts, two pauses of 7 s in each
    assert clock.now() >= 4 * 7
    assert max(clock.slept) <= 7


def test_the_rate_of_the_settings_holds(home: Home, settings: Settings) -> None:
    clock = Jumping()
    config = settings("good", edge_cases=30, requests_per_minute=60, in_flight=4, seed=4)
    assert write("edge-cases", config, home, clock=clock).summary["written"] == 30
    assert clock.now() >= 28


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"edge_cases": 8000}, "the offline templates hold 75 different texts"),
        ({"categories": ("griefs",)}, "generate.categories: 'griefs' is not known"),
        ({"protocols": "none.toml"}, r"generate.protocols=none.toml: cannot be read"),
    ],
)
def test_settings_that_cannot_be_met_write_nothing(home: Home, config: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        write("edge-cases", GenerateConfig(**config), home)
    assert not home.root.exists()


def test_a_plan_says_counts_cost_and_place_and_does_nothing(home: Home, settings: Settings) -> None:
    said = generate.plan("edge-cases", settings("good", edge_cases=8000, cost_cap_usd=1), home)
    assert "8000 scenarios by openai good" in said
    assert "the cap is under the estimate" in said
    assert "reviewed by nobody" in said
    assert str(home.root / "generated" / "synthetic") in said
    assert "20 clients" in generate.plan("personas", GenerateConfig(), home)
    assert not home.root.exists()


def test_a_clinician_s_protocols_make_another_set(home: Home, tmp_path: Path) -> None:
    from importlib import resources

    bundled = (resources.files("pe_ray.corpus.generate") / "data" / "protocols.toml").read_text("utf-8")
    mine = tmp_path / "mine.toml"
    mine.write_text(bundled.replace('version = "1"', 'version = "clinic-2"'))
    result = write("edge-cases", GenerateConfig(protocols=mine), home)
    assert "@clinic-2" in rows(result.path / "edge_cases.jsonl")[0]["safety_protocol"]
    assert result.path.name != write("edge-cases", GenerateConfig(), home).path.name
