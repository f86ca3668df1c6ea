"""A live table of a run: `pe-ray train watch RUN_ID`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pe_ray.store.paths import Home
from pe_ray.train import report
from pe_ray.train.view import View, Watched

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

EVERY_S = 1.0
ROWS = 8
"""Steps in the table."""


def watch(
    home: Home,
    run_id: str,
    *,
    once: bool = False,
    every_s: float = EVERY_S,
    console: Console | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> View:
    """Show a run until it ends (Ctrl-C leaves it running); `once` prints one frame. Returns the last view.

    On something that is no terminal, only the last frame is printed.
    """
    from rich.console import Console as RichConsole
    from rich.live import Live

    out, watched = console or RichConsole(), Watched(home, run_id)
    view = watched.look()
    if once or not out.is_terminal:
        while not (once or view.over):
            sleep(every_s)
            view = watched.look()
        out.print(frame(view, watched.steps))
        return view
    with Live(frame(view, watched.steps), console=out, auto_refresh=False) as live:
        while not view.over:
            sleep(every_s)
            view = watched.look()
            live.update(frame(view, watched.steps), refresh=True)
    return view


def frame(view: View, steps: Sequence[dict[str, Any]]) -> RenderableType:
    """What a person sees: the run in a few facts, and its last steps."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    facts = Table(box=None, show_header=False, pad_edge=False)
    for name, value in _facts(view):
        facts.add_row(Text(name, style="dim"), Text(value))
    terms = list(dict.fromkeys(name for s in steps[-ROWS:] for name in s["terms"]))
    table = Table(box=None, pad_edge=False)
    for heading in ("step", "loss", *terms, "rate", "tokens", "elapsed", "held out"):
        table.add_column(heading, justify="right")
    for s in steps[-ROWS:]:
        held_out = s.get("eval_loss")
        loss = "skipped" if s.get("skipped") else _number(s["loss"])
        table.add_row(
            str(s["step"]), loss, *(_number(s["terms"].get(t)) for t in terms), f"{s['lr']:.2e}", f"{s['tokens']:,}",
            clock(s["elapsed_s"]), _number(held_out) if held_out is not None else "",
        )  # fmt: skip
    return Group(Text(f"run {view.run_id}: {_headline(view)}", style="bold"), facts, Text(), table)


def _headline(view: View) -> str:
    if view.state == "ended":
        return f"no process is left and no end was told; `pe-ray train --run-id {view.run_id}` goes on"
    if view.state == "done":
        return "done" if view.stop_reason is None else f"done, {report.WHY.get(view.stop_reason, view.stop_reason)}"
    return f"{view.state}, processes {', '.join(map(str, view.pids))}" if view.pids else view.state


def _facts(view: View) -> list[tuple[str, str]]:
    end, deadline_s = view.predicted_end_s, view.window_s - view.margin_s
    verdict = "" if end is None else f", last step expected at {clock(end)}"
    if end is not None and not view.over:
        verdict += " (the window bounds it)" if end > 0.98 * deadline_s else " (before the window ends)"
    held_out = "none yet" if view.eval_loss is None else f"{view.eval_loss:.4f} at step {view.eval_step}"
    rate = "" if view.tokens_per_s is None else f", {view.tokens_per_s:,.0f} a second, {view.step_s:.3g} s a step"
    return [
        ("steps", f"{view.step:,} of {view.horizon_steps:,}" if view.horizon_steps is not None else "none yet"),
        ("tokens", f"{view.tokens:,}{rate}"),
        ("window", f"{clock(view.elapsed_s)} of {clock(view.window_s)}{verdict}"),
        ("held-out loss", held_out),
        ("experts", ", ".join(f"{n} {v:.0%}" for n, v in view.expert_share.items()) or "none"),
        ("checkpoint", f"step {view.checkpoint_step}, {view.checkpoint}" if view.checkpoint else "none yet"),
        *([("skipped", f"{view.skipped_steps} steps, not finite")] if view.skipped_steps else []),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
