"""`runs/<id>/report.html`: one file that tells how a run went, readable without a server."""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment

from pe_ray.config import Config
from pe_ray.store.manifest import write_bytes
from pe_ray.train import steplog
from pe_ray.train.profiles import Profile

NAME = "report.html"
COLOURS = ("#33608c", "#c4622d", "#5b8c3e", "#8c5b8c", "#8c7a33", "#3e8c86")

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Training run {{ run_id }}</title>
<style>
 body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
 h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
 table { border-collapse: collapse } td, th { padding: .2rem .9rem .2rem 0; text-align: left; vertical-align: top }
 td.n { text-align: right; font-variant-numeric: tabular-nums }
 .plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); gap: 1rem }
 figure { margin: 0 } img { width: 100% } figcaption { font-size: .85rem; color: #555 }
 .lead { font-size: 1.1rem } code { font-size: .85rem; overflow-wrap: anywhere }
</style></head><body>
<h1>Training run {{ run_id }}</h1>
<p class="lead">{{ lead }}</p>
<div class="plots">
{% for plot in plots %}<figure><img alt="{{ plot.title }}" src="data:image/png;base64,{{ plot.png }}">
<figcaption>{{ plot.caption }}</figcaption></figure>
{% endfor %}</div>
<h2>Figures</h2>
<table>{% for name, value in figures %}<tr><th>{{ name }}</th><td class="n">{{ value }}</td></tr>
{% endfor %}</table>
<h2>Profile {{ profile.name }}</h2>
<p>{{ profile.micro_batch }} sequences of {{ profile.context }} tokens in a forward pass; forward passes in a step, over
{{ workers }}: {{ profile.accumulation }}{% if profile.recompute %}, activations recomputed{% endif %}.</p>
{% if skipped %}
<p><strong>{{ skipped }} steps were skipped</strong> because loss or gradient was not finite.</p>{% endif %}
<p>Checkpoint: <code>{{ checkpoint }}</code></p>
</body></html>
"""

WHY = {
    "window": "the wall-clock window was used up",
    "steps": "all steps were done",
    "early_stop": "the held-out loss had stopped getting better",
    "signal": "it was asked to stop; the same run id goes on",
    "nan": "loss or gradient was not finite too often in a row",
}


def write(run_dir: Path, stage: dict[str, Any], config: Config, profile: Profile) -> Path:
    """Write the report of a run that has ended, from its step log and its "train" stage; returns its path."""
    steps = [s for s in steplog.read(run_dir / steplog.NAME) if s["loss"] is not None]
    page = Environment(autoescape=True).from_string(PAGE)
    html = page.render(
        run_id=run_dir.name,
        lead=_lead(stage),
        plots=plots(steps, stage, config) if steps else [],
        figures=_figures(stage),
        profile=profile,
        workers=f"{config.train.workers} workers" if config.train.workers else "one process",
        skipped=stage["skipped_steps"],
        checkpoint=stage["checkpoint"],
    )
    write_bytes(run_dir / NAME, html.encode())
    return run_dir / NAME


def plots(steps: Sequence[dict[str, Any]], stage: dict[str, Any], config: Config) -> list[dict[str, str]]:
    """The plots as PNG in base64, with a title and a caption that says how to read each."""
    x = [s["step"] for s in steps]
    experts = config.model.experts

    def loss(axes: Any) -> None:
        axes.plot(x, [s["terms"]["lm"] for s in steps], color=COLOURS[0], lw=1.2, label="training")
        held = [(s["step"], s["eval_loss"]) for s in steps if "eval_loss" in s]
        start = [] if stage["eval_loss_start"] is None else [(0, stage["eval_loss_start"])]
        if start + held:
            axes.plot(*zip(*(start + held), strict=True), "o-", color=COLOURS[1], ms=4, label="held out")
        axes.legend(frameon=False)

    def router(axes: Any) -> None:
        for name, colour in zip([n for n in steps[0]["terms"] if n != "lm"], COLOURS, strict=False):
            axes.plot(x, [s["terms"][name] for s in steps], color=colour, lw=1.2, label=name)
        axes.legend(frameon=False)

    def rate(axes: Any) -> None:
        axes.plot(x, [s["lr"] for s in steps], color=COLOURS[0])

    def speed(axes: Any) -> None:
        axes.plot(*_speed(steps), color=COLOURS[2], lw=1.2)
        axes.set_ylim(bottom=0)

    def share(axes: Any) -> None:
        for e, (name, colour) in enumerate(zip(experts, COLOURS, strict=False)):
            axes.plot(x, [s["expert_share"][e] for s in steps], color=colour, lw=1.2, label=name)
        axes.axhline(1 / len(experts), color="#999", lw=0.8, ls=":")
        axes.set_ylim(0, 1)
        axes.legend(frameon=False, fontsize=8)

    def time(axes: Any) -> None:
        elapsed = [s["elapsed_s"] for s in steps]
        axes.plot(elapsed, [s["horizon_steps"] for s in steps], color=COLOURS[1], ls=":", label="horizon")
        axes.plot(elapsed, x, color=COLOURS[0], label="steps done")
        axes.axvline(config.train.window_s - config.train.margin_s, color="#999", ls="--", label="training ends")
        axes.set_xlabel("seconds of the window")
        axes.set_ylim(bottom=0, top=1.1 * max(steps[-1]["horizon_steps"], x[-1]))
        axes.legend(frameon=False)

    wanted: list[tuple[str, str, Callable[[Any], None]]] = [
        ("Loss", "Language modelling: mean negative log-likelihood of the assistant's tokens, in nats.", loss),
        ("Learning rate", "Warm-up, then a cosine to the floor over the horizon in force.", rate),
        ("Tokens per second", "Over all workers, evaluations and checkpoints included.", speed),
        ("Time against the window", "Steps done, and how many the run was expected to have at that moment.", time),
    ]
    if len(steps[0]["terms"]) > 1:
        wanted.insert(
            1, ("Router terms", "Before their coefficients. Balance is top_k when all are used alike.", router)
        )
    if all("expert_share" in s for s in steps):
        wanted.append(("Share of the routed slots", "Dotted: all experts used alike.", share))
    return [{"title": title, "caption": caption, "png": _png(title, draw)} for title, caption, draw in wanted]


def _speed(steps: Sequence[dict[str, Any]]) -> tuple[list[int], list[float]]:
    """Step and tokens per second since the step before; a restart, after which the clock stood still, is left out."""
    found = [
        (b["step"], b["tokens"] / (b["elapsed_s"] - a["elapsed_s"]))
        for a, b in itertools.pairwise(steps)
        if b["elapsed_s"] > a["elapsed_s"]
    ]
    return [s for s, _ in found], [r for _, r in found]


def _png(title: str, draw: Callable[[Any], None]) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_xlabel("step")
    axes.spines[["top", "right"]].set_visible(False)
    draw(axes)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return base64.b64encode(out.getvalue()).decode()


def _lead(stage: dict[str, Any]) -> str:
    ended = f"{stage['steps']} steps in {stage['elapsed_s']:.0f} s; it ended because {WHY[stage['stop_reason']]}."
    if stage["eval_loss"] is None or stage["eval_loss_start"] is None:
        return ended
    change = f"{stage['eval_loss_start']:.3f} to {stage['eval_loss']:.3f}"
    return f"{ended} Held-out loss went from {change}, a perplexity of {stage['perplexity']:.1f}."


def _figures(stage: dict[str, Any]) -> list[tuple[str, str]]:
    shares = ", ".join(f"{n} {v:.1%}" for n, v in stage["expert_share"].items() if v is not None)
    return [
        ("Stopped by", stage["stop_reason"]),
        ("Optimizer steps", f"{stage['steps']:,}"),
        ("Tokens", f"{stage['tokens']:,}"),
        ("Tokens per second", f"{stage['tokens_per_s']:,.0f}"),
        ("Start-up", f"{stage['startup_s']:.1f} s"),
        ("Window used", f"{stage['elapsed_s']:.1f} s"),
        ("Training loss, first and last five steps", f"{_number(stage['first_loss'])}, {_number(stage['last_loss'])}"),
        (
            "Held-out loss, before and of the checkpoint",
            f"{_number(stage['eval_loss_start'])}, {_number(stage['eval_loss'])}",
        ),
        ("Trainable share of the parameters", f"{stage['trainable_share']:.2%}"),
        ("Share by expert, last steps", shares or "none"),
    ]


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"
