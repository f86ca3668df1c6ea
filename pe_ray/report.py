"""`report.html` of a run that went through several rooms: one section a stage, from what the summary says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pe_ray.monitor.page import Page, axes, facts, note, plot, table
from pe_ray.run import Run
from pe_ray.train import steplog

Stage = Mapping[str, Any]


def write(run: Run) -> Path:
    """Write the page into the run's directory; a stage that did not run has no section."""
    page = Page("One life of a model" if len(run.stages) > 3 else "Run", run.id)
    page.section("What it took", facts(_cost(run)))
    for name, section in SECTIONS.items():
        if name in run.stages:
            section(page, run.stages[name], run)
    page.section("What this does not show", note(LIMITS))
    return page.write(run.directory / "report.html")


LIMITS = (
    "A tiny base trained on a bundled sample shows that the machinery works, not that a reply would help anybody. No "
    "clinician has reviewed these replies. Checks and triage are first versions; their figures on public data are "
    "printed by `pe-ray evaluate`, where it has been run, and nowhere else."
)


def _cost(run: Run) -> list[tuple[str, Any]]:
    return [
        ("seconds", round(run.meter.elapsed_s, 1)),
        ("CPU seconds", round(run.meter.cpu_s, 1)),
        ("GiB at the peak", round(run.meter.peak_memory_gib, 2)),
    ]


def corpus(page: Page, stage: Stage, run: Run) -> None:
    """The ledger, and the shares against their targets."""
    ledger = facts(
        [(k.replace("_", " "), stage[k]) for k in ("records_in", "kept", "rejected", "held_for_review", "errors")]
    )
    rows = [[name, s["in"], s["kept"], s["share"], s["target"], s["short"]] for name, s in stage["per_source"].items()]
    figure, ax = axes()
    names = list(stage["per_source"])
    at = range(len(names))
    ax.bar([i - 0.2 for i in at], [stage["per_source"][n]["share"] for n in names], 0.4, label="kept")
    ax.bar([i + 0.2 for i in at], [stage["per_source"][n]["target"] or 0 for n in names], 0.4, label="target")
    ax.set_xticks(list(at), names)
    ax.set_ylabel("share of kept records")
    ax.legend(frameon=False)
    said = note(
        "records in = kept + rejected + held for review + errors. Held records wait for a clinician and are not used."
    )
    shares = table(["source", "in", "kept", "share", "target", "short"], rows)
    page.section("Corpus", ledger, said, plot(figure, "share of kept records and target by source"), shares)


def base(page: Page, stage: Stage, run: Run) -> None:
    """The frozen base."""
    page.section("Base", facts([(k, stage[k]) for k in ("name", "tokens", "loss", "elapsed_s", "cached")]))


def tune(page: Page, stage: Stage, run: Run) -> None:
    """The measured profiles and the choice in words."""
    keys = ("profile", "tokens_per_s", "peak_memory_gib", "predicted_finish_s", "fits", "reason")
    rows = [[t[k] for k in keys] for t in stage["trials"]]
    page.section("Profile", note(stage.get("why", "")), table([k.replace("_", " ") for k in keys], rows))
    if found := stage.get("search"):
        drawn = ("rank", "learning_rate", "balance_coef", "steps", "eval_loss")
        rows = [[_plain(trial[k]) for k in drawn] for trial in found["trials"]]
        page.section("Search", note(found["why"]), table([k.replace("_", " ") for k in drawn], rows))


def train(page: Page, stage: Stage, run: Run) -> None:
    """Loss over the run, and who answered."""
    keys = ("steps", "tokens", "tokens_per_s", "stop_reason", "first_loss", "last_loss", "eval_loss_start", "eval_loss")
    parts = [facts([(k.replace("_", " "), stage[k]) for k in (*keys, "perplexity", "trainable_share")])]
    steps = [s for s in steplog.read(run.directory / "steps.jsonl") if s["terms"]]  # a skipped step has no terms
    if steps:
        parts.append(plot(_curves(steps), "loss terms and learning rate by step"))
    parts.append(table(["expert", "share of routed tokens"], list(stage["expert_share"].items())))
    page.section("Training", *parts)


def _curves(steps: list[dict[str, Any]]) -> Any:
    figure, (left, right) = axes(columns=2)
    x = [s["step"] for s in steps]
    for term in steps[0]["terms"]:
        left.plot(x, [s["terms"][term] for s in steps], label=term, linewidth=1.4)
    left.set(xlabel="step", ylabel="loss term")
    left.legend(frameon=False, fontsize=8)
    right.plot(x, [s["lr"] for s in steps], linewidth=1.4)
    right.set(xlabel="step", ylabel="learning rate")
    return figure


def export(page: Page, stage: Stage, run: Run) -> None:
    """Both forms and the probe."""
    keys = ("architecture", "max_logit_diff", "near_ties", "adapter", "merged")
    said = note(
        "The merged directory is loaded with plain transformers and compared with the adapter form on a probe batch."
    )
    page.section("Export", said, table(["", ""], [[k.replace("_", " "), _plain(stage[k])] for k in keys]))


def serve(page: Page, stage: Stage, run: Run) -> None:
    """What the requests took."""
    keys = ("requests", "p50_ms", "p95_ms", "cache_hits", "cache_hit_p50_ms")
    page.section("Serving", facts([(k.replace("_", " "), stage[k]) for k in keys]))


def progress(page: Page, stage: Stage, run: Run) -> None:
    """The journal; the client's own report stands beside this page."""
    link = Markup('<p class="note"><a href="{0}">{0}</a></p>').format(Path(stage["report"]).name)
    page.section("Journal", facts([("entries read back", stage["entries"])]), link)


def _plain(value: Any) -> Any:
    return f"{value:.3g}" if isinstance(value, float) else value if value is None else str(value)


SECTIONS: dict[str, Callable[[Page, Stage, Run], None]] = {
    "corpus": corpus,
    "base": base,
    "tune": tune,
    "train": train,
    "export": export,
    "serve": serve,
    "progress": progress,
}
