"""`evaluate model` on a run, its adapter, other corpora, and input that is wrong."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from pe_ray.errors import AdapterNotFound, ManifestError, UserError
from pe_ray.evaluate import text
from pe_ray.evaluate.held_out import held_out
from pe_ray.evaluate.model import evaluate_model
from pe_ray.evaluate.subject import of_adapter
from pe_ray.record import DOMAINS
from tests.corpus.finished import snapshot
from tests.evaluate.conftest import World, make_records


@pytest.fixture(scope="module")
def found(world: World) -> dict:
    return evaluate_model(world.home, run_id="first")


def test_the_document_is_json_and_says_where_it_is_from(world: World, found: dict) -> None:
    body = json.loads(json.dumps(found, allow_nan=False))
    assert {"suite", "commit", "machine", "load", "subject", "corpus", "results"} <= set(body)
    assert body["suite"] == "model"
    assert body["subject"]["run"] == "first"
    assert body["corpus"] == {
        "name": "small", "fingerprint": "fp40", "split": "validation", "trained_on": "fp40",
        "same": True, "left_out": 0,
    }  # fmt: skip


def test_all_is_weighted_by_tokens_and_domains_make_the_whole(found: dict) -> None:
    for who in (found["model"], found["base"], *found["alone"].values()):
        parts = who["by_domain"].values()
        learnt = sum(m["learnt_tokens"] for m in parts)
        assert who["all"]["learnt_tokens"] == learnt > 0
        assert who["all"]["loss"] == pytest.approx(sum(m["loss"] * m["learnt_tokens"] for m in parts) / learnt)
        assert who["all"]["perplexity"] == pytest.approx(math.exp(who["all"]["loss"]))
        assert who["mean_of_domains"]["loss"] == pytest.approx(sum(m["loss"] for m in parts) / 4)
    assert found["model"]["all"]["loss"] != found["base"]["all"]["loss"]
    assert [m["documents"] for m in found["model"]["by_domain"].values()] == [2, 2, 2, 2]


def test_shares_are_those_of_domains_that_count_alike(found: dict) -> None:
    routed = found["routing"]
    for name, share in routed["share"].items():
        by_domain = [row[name] for row in routed["share_by_domain"].values()]
        assert share == pytest.approx(sum(by_domain) / 4)
    assert sum(routed["share"].values()) == pytest.approx(1)
    assert 0 < routed["entropy"]["all"] <= routed["entropy"]["largest"] == math.log(4)
    assert routed["mutual_information"]["permutations"] == 200


def test_a_run_and_its_adapter_are_the_same_model(world: World, found: dict) -> None:
    exported = evaluate_model(world.home, adapter_ref=str(world.adapter))
    again = evaluate_model(world.home, adapter_ref="small@1", corpus_dir=world.corpus)
    assert exported["subject"]["adapter"] == "small@1"
    assert exported["model"]["all"]["loss"] == pytest.approx(found["model"]["all"]["loss"], rel=1e-5)
    for part in ("model", "base", "alone", "routing", "bias_detection"):
        assert exported[part] == again[part]


def test_a_corpus_that_it_did_not_learn_from_is_said_to_be_another(world: World, tmp_path: Path) -> None:
    other = snapshot(tmp_path, make_records(20), lambda i: "test" if i >= 16 else "train")
    found = evaluate_model(world.home, run_id="first", corpus_dir=other, split="test", max_tokens=1)
    assert found["corpus"]["same"] is False
    assert "may have been seen" in text.of_model(found)
    assert sum(m["documents"] for m in found["model"]["by_domain"].values()) == 4


def test_a_domain_that_the_split_lacks_is_none_and_not_a_number(world: World, tmp_path: Path) -> None:
    psychology = [r for r in make_records() if r.domain == "psychology"]
    found = evaluate_model(world.home, run_id="first", corpus_dir=snapshot(tmp_path, psychology))
    json.dumps(found, allow_nan=False)
    assert found["model"]["by_domain"]["mental_health"]["loss"] is None
    assert found["routing"]["mutual_information"] is None
    assert found["bias_detection"]["model"]["respect"]["value"] is None
    row = next(r for r in found["results"] if r["name"] == "mutual_information.nats")
    assert row["value"] is None
    assert row["reason"]
    assert "no labelled statement" in text.of_model(found)


def test_the_text_names_every_domain_and_both_losses(found: dict) -> None:
    said = text.of_model(found)
    assert all(domain in said for domain in DOMAINS)
    assert f"{found['base']['all']['loss']:.4f}" in said
    assert "permutations" in said


def test_most_tokens_of_a_domain_choose_the_same_documents_again(world: World) -> None:
    base = of_adapter(world.home, str(world.adapter)).tokenizer_dir
    few = held_out(world.corpus, base, "validation", max_tokens=40)
    assert few.left_out == held_out(world.corpus, base, "validation", max_tokens=40).left_out > 0
    assert set(few.examples.domain_X.tolist()) == {0, 1, 2, 3}
    assert held_out(world.corpus, base, "validation", max_tokens=10**6).left_out == 0


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({}, UserError, "either --run-id or --adapter"),
        ({"run_id": "first", "adapter_ref": "small"}, UserError, "either --run-id or --adapter"),
        ({"run_id": "gone"}, UserError, "--run-id gone: no such training run; known: first"),
        ({"adapter_ref": "gone@3"}, AdapterNotFound, "no model 'gone@3'"),
        ({"adapter_ref": "."}, AdapterNotFound, "adapter.json is missing"),
        ({"run_id": "first", "split": "train"}, UserError, "--split train: is not one of validation, test"),
        ({"run_id": "first", "split": "test"}, UserError, "--split test: the corpus small fp40 holds no record of it"),
        ({"run_id": "first", "corpus_dir": Path("/nowhere")}, ManifestError, "never finished"),
        ({"run_id": "first", "max_tokens": 0}, UserError, "--max-tokens 0: must be 1 or more"),
    ],
)
def test_wrong_input_is_one_clear_line(world: World, asked: dict, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said.replace(".", r"\.")) as raised:
        evaluate_model(world.home, **asked)
    assert "\n" not in str(raised.value)


def test_an_adapter_of_an_unknown_corpus_needs_one(world: World, tmp_path: Path) -> None:
    import shutil

    from pe_ray.store.manifest import NAME

    lost = world.adapter.parent / "lost"
    shutil.copytree(world.adapter, lost)
    (lost / NAME).unlink()
    try:
        with pytest.raises(UserError, match="it names no corpus"):
            evaluate_model(world.home, adapter_ref=str(lost))
        assert evaluate_model(world.home, adapter_ref=str(lost), corpus_dir=world.corpus)["corpus"]["same"] is None
    finally:
        shutil.rmtree(lost)
