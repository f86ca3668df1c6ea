"""The model card of what was exported, written from manifests and the run's own record; no figure is typed by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pe_ray.config import Config
from pe_ray.store.paths import Home
from pe_ray.train import steplog

NAME = "README.md"
WARNING = """\
This model is not a therapist, and has not been validated clinically. It must not be used alone with people in distress:
crisis triage, an output filter and a person who is responsible belong in front of it."""
DEMO = "Its base is a demonstration that was trained in minutes: it shows the machinery, and its replies are no help."


def card(
    config: Config, home: Home, parents: Mapping[str, str], facts: Mapping[str, Any], export: Mapping[str, Any]
) -> str:
    """The card as Markdown with the header that model hubs read."""
    base, model = config.base.name, config.model
    merged = facts.get("architecture") is not None
    header = [
        "---",
        "library_name: " + ("transformers" if merged else "pe_ray"),
        *([f"base_model: {base}"] if base != "tiny" else []),
        "tags: [mixture-of-experts, lora]",
        "---",
    ]
    form = f"a stock `{facts['architecture']}` checkpoint" if merged else "an adapter over a frozen base"
    about = [
        f"# {facts['name']} {facts['version']}",
        WARNING + (f"\n\n{DEMO}" if facts.get("demo_base") else ""),
        f"This is {form}: {len(model.experts)} low-rank experts (rank {model.rank}, alpha {model.alpha:g}), of which "
        f"{model.top_k} answer for a token, over `{base}`.",
        "## Where it is from\n\n" + _table(("what", "identity"), [(k, f"`{v}`") for k, v in parents.items()]),
    ]
    measured = _measured(home, parents, export)
    if measured:
        about.append("## What was measured\n\n" + _table(("figure", "value"), measured))
    about.append("## How to load it\n\n" + (_LOAD_MERGED if merged else _LOAD_ADAPTER))
    return "\n".join(header) + "\n\n" + "\n\n".join(about) + "\n"


_LOAD_MERGED = """\
```python
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained(path)
```"""
_LOAD_ADAPTER = """\
```python
import pe_ray.model

model, tokenizer = pe_ray.model.load(path)
```"""


def _measured(home: Home, parents: Mapping[str, str], export: Mapping[str, Any]) -> list[tuple[str, str]]:
    """From the checkpoint's manifest, the step log up to it, and the probe of the export."""
    run_dir = home.run(parents.get("run", ""))
    name = parents.get("checkpoint", "").rpartition("/")[2]
    rows: list[tuple[str, str]] = []
    path = run_dir / "checkpoints" / name / "state.json"
    if path.is_file():
        state = json.loads(path.read_text())
        rows += [("optimizer steps", f"{state['step']:,}"), ("tokens", f"{state['tokens']:,}")]
        rows += _held_out(state, run_dir, state["step"])
    if export.get("max_logit_diff") is not None:
        rows.append(("largest difference of logits between adapter and merged form", f"{export['max_logit_diff']:.2g}"))
    return rows


def _held_out(state: Mapping[str, Any], run_dir: Path, step: int) -> list[tuple[str, str]]:
    lines = [s for s in steplog.read(run_dir / steplog.NAME) if s["step"] == step]
    found = lines[-1] if lines else {}
    rows = []
    if state.get("eval_loss") is not None:
        rows.append(("held-out loss, nats per token", f"{state['eval_loss']:.4f}"))
    evaluated = found.get("eval") or {}
    if evaluated.get("accuracy") is not None:
        rows.append(("held-out tokens guessed right", f"{evaluated['accuracy']:.1%}"))
    return rows


def _table(head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    return "\n".join(f"| {a} | {b} |" for a, b in [head, ("---", "---"), *rows])
