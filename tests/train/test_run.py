"""One real run in this process: its files, its stage, going on, conflicts, and export."""

from __future__ import annotations

import json
import math
import os
import signal
from pathlib import Path

import pytest
import torch

from pe_ray.errors import RunConflict
from pe_ray.store import manifest
from pe_ray.store.paths import Home
from pe_ray.train import checkpoint, steplog
from pe_ray.train.run import export, train
from tests.train.conftest import make_config

STAGE = {
    "steps", "tokens", "tokens_per_s", "startup_s", "stop_reason", "elapsed_s", "first_loss", "last_loss",
    "eval_loss_start", "eval_loss", "perplexity", "expert_share", "trainable_share", "checkpoint",
}  # fmt: skip


@pytest.fixture(scope="module")
def done(world, tmp_path_factory):
    home, _, base, examples = world
    config = make_config()
    seen: list[dict] = []
    result = train(config, examples, base, home, "first", on_step=seen.append)
    return config, home, base, examples, result, seen


def test_a_run_learns_and_its_stage_has_every_key(done) -> None:
    config, _, _, _, result, seen = done
    stage = result.stage
    assert set(stage) >= STAGE and None not in [stage[k] for k in STAGE]
    assert stage["stop_reason"] == "steps" and stage["steps"] == config.train.steps == len(seen)
    assert stage["last_loss"] < stage["first_loss"] and stage["eval_loss"] < stage["eval_loss_start"]
    assert stage["perplexity"] == pytest.approx(math.exp(stage["eval_loss"]))
    assert sum(stage["expert_share"].values()) == pytest.approx(1) and len(stage["expert_share"]) == 4
    assert 0 < stage["trainable_share"] < 1 and result.checkpoint == Path(stage["checkpoint"])


def test_the_step_log_says_what_each_step_did(done) -> None:
    config, home, *_, seen = done
    lines = steplog.read(home.run("first") / "steps.jsonl")
    assert lines == seen and [line["step"] for line in lines] == list(range(1, 13))
    keys = {"step", "loss", "terms", "lr", "tokens", "elapsed_s", "horizon_steps", "expert_share"}
    assert all(set(line) >= keys and set(line["terms"]) == {"lm", "balance", "domain", "z"} for line in lines)
    model = config.model
    coefficients = {"lm": 1, "balance": model.balance_coef, "domain": model.domain_coef, "z": model.z_coef}
    for line in lines:
        assert line["loss"] == pytest.approx(sum(coefficients[k] * v for k, v in line["terms"].items()))
    assert lines[-1]["lr"] <= config.train.learning_rate * (config.train.floor_rate + 0.01)


def test_the_run_directory_is_whole_and_its_checkpoint_names_its_parents(done) -> None:
    _, home, base, _, result, _ = done
    run_dir = home.run("first")
    assert {"config.yaml", "plan.json", "steps.jsonl", "report.html", "checkpoints"} <= {
        p.name for p in run_dir.iterdir()
    }
    assert not (run_dir / "pids.json").exists() and not (run_dir / "stop").exists()
    page = (run_dir / "report.html").read_text()
    assert page.count("data:image/png") == 6 and "http" not in page
    made = manifest.read(result.checkpoint, "checkpoint", verify=True)
    assert set(made.parents) == {"run", "config", "corpus", "base", "code"} and all(made.parents.values())
    assert made.parents["corpus"] == "f00d"
    assert checkpoint.best(run_dir) == (result.checkpoint, base)


def test_a_finished_run_started_again_has_nothing_to_do(done) -> None:
    config, home, base, examples, first, _ = done
    seen: list[dict] = []
    again = train(config, examples, base, home, "first", profile_name="fast", on_step=seen.append)
    assert not seen and again.checkpoint == first.checkpoint
    same = STAGE - {"elapsed_s", "startup_s"}
    assert {k: again.stage[k] for k in same} == {k: first.stage[k] for k in same}
    assert json.loads((home.run("first") / "plan.json").read_text())["profile"]["name"] == "balanced"


def test_a_run_id_belongs_to_one_configuration_and_one_corpus(done, tmp_path) -> None:
    _, home, base, examples, _, _ = done
    with pytest.raises(RunConflict, match="first"):
        train(make_config(learning_rate=1e-3), examples, base, home, "first")
    other = tmp_path / "examples"
    with manifest.stage(other, kind="examples", parents={"corpus": "beef"}):
        pass
    with pytest.raises(RunConflict, match="corpus f00d, not beef"):
        train(make_config(), other, base, home, "first")


def test_export_gives_an_adapter_and_a_stock_model_that_agree(done) -> None:
    from transformers import AutoModelForCausalLM

    from pe_ray.model.adapter import load

    config, home, base, _, result, _ = done
    stage = export(config, result.checkpoint, base, home)
    assert stage["architecture"] == "MixtralForCausalLM" and stage["max_logit_diff"] <= config.export.tolerance
    adapter, merged = Path(stage["adapter"]), Path(stage["merged"])
    assert manifest.read(adapter, "adapter", verify=True).parents["run"] == "first"
    assert manifest.read(merged, "model", verify=True).parents["adapter"] == f"small@{adapter.name}"
    assert manifest.read(merged).facts["demo_base"] is True
    ours, tokenizer = load(adapter)
    stock = AutoModelForCausalLM.from_pretrained(merged)
    prompt = [{"role": "user", "content": "I am afraid of flying."}]
    ids = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    assert torch.equal(*(m.generate(**ids, max_new_tokens=12, do_sample=False) for m in (ours, stock)))
    again = Path(export(config, result.checkpoint, base, Home.at(home.root))["adapter"])
    assert again == adapter.with_name(str(int(adapter.name) + 1))


def test_export_refuses_a_merged_model_that_differs_and_leaves_none(done) -> None:
    from pe_ray.errors import PeRayError

    config, home, base, _, result, _ = done
    strict = config.model_copy(
        update={"export": config.export.model_copy(update={"tolerance": 1e-12, "name": "strict"})}
    )
    with pytest.raises(PeRayError, match="tolerance"):
        export(strict, result.checkpoint, base, home)
    assert home.versions("adapters", "strict") == [1] and home.versions("models", "strict") == []


def test_sigterm_stops_after_the_step_and_the_run_goes_on(done) -> None:
    _, home, base, examples, _, whole = done
    seen: list[dict] = []

    def terminate(line) -> None:
        seen.append(line)
        if line["step"] == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped = train(make_config(), examples, base, home, "stopped", on_step=terminate)
    assert stopped.stage["stop_reason"] == "signal" and stopped.stage["steps"] == 6 == len(seen)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL and not (home.run("stopped") / "stop").exists()
    resumed = train(make_config(), examples, base, home, "stopped", on_step=seen.append)
    assert resumed.stage["stop_reason"] == "steps"
    assert [line["loss"] for line in seen] == [line["loss"] for line in whole]
