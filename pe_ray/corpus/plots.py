"""The plots of the corpus report, as images that stand inside the page. Counts and scores only, no text."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, GRID = "#1f2933", "#616e7c", "#d9dee3"
BLUE, ORANGE, GREY = "#2b6ca3", "#c8691c", "#9aa5b1"  # told apart by colour-blind readers too
STYLE = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "svg.hashsalt": "pe_ray",
}


def image(draw: Callable[[Figure], None], width: float, height: float, form: str = "svg") -> str:
    """A data URI of what `draw` puts on a figure of that many inches."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format=form, dpi=110, metadata={"Date": None} if form == "svg" else None)
    kind = "svg+xml" if form == "svg" else form
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def funnel(figure: Figure, steps: Sequence[tuple[str, int]]) -> None:
    """What is left after each step, from rows read to records kept."""
    ax = _bare(figure.subplots())
    names, counts = [s[0] for s in steps], [s[1] for s in steps]
    ax.barh(names, counts, color=[GREY] * (len(steps) - 1) + [BLUE], height=0.62)
    ax.invert_yaxis()
    ax.set_xticks([])
    top = max([*counts, 1])
    for y, count in enumerate(counts):
        lost = f"   −{counts[y - 1] - count}" if y and counts[y - 1] > count else ""
        ax.text(count + top * 0.012, y, f"{count:,}{lost}", va="center", color=INK)
    ax.set_xlim(0, top * 1.2)


def shares(figure: Figure, actual: Mapping[str, float], targets: Mapping[str, float]) -> None:
    """Share of kept records by source, with its target as a line."""
    ax = _bare(figure.subplots())
    names = sorted(actual, key=lambda s: (-targets.get(s, 0), s))
    ax.barh(names, [100 * actual[s] for s in names], color=BLUE, height=0.62)
    for y, source in enumerate(names):
        target = 100 * targets.get(source, 0)
        ax.plot([target, target], [y - 0.42, y + 0.42], color=ORANGE, lw=2.4, label="target" if y == 0 else None)
        ax.text(max(100 * actual[source], target) + 0.8, y, f"{100 * actual[source]:.1f} %", va="center")
    ax.invert_yaxis()
    ax.set_xlim(0, 1.18 * max([100 * v for v in (*actual.values(), *targets.values())] + [1]))
    ax.set_xlabel("% of kept records")
    ax.legend(loc="lower right", frameon=False)


def scores(figure: Figure, by_check: Mapping[str, Sequence[float]], least: Mapping[str, float]) -> None:
    """How the scores of each check are spread, with the threshold in force."""
    for ax, (check, values) in zip(_row(figure, len(by_check)), by_check.items(), strict=True):
        _bare(ax)
        ax.hist(values, bins=[i / 25 for i in range(26)], color=BLUE)
        if check in least:
            ax.axvline(least[check], color=ORANGE, lw=2)
        ax.set_title(f"{check}, least {least[check]:g}" if check in least else check, loc="left", fontsize=10)
        ax.set_xlim(0, 1)
        ax.set_xlabel("score (1 is good)")
        ax.tick_params(axis="y", labelcolor=MUTED)


def lengths(figure: Figure, by_side: Mapping[str, Sequence[int]]) -> None:
    """Words of the user and of the assistant in kept records."""
    longest = max([n for values in by_side.values() for n in values] + [1])
    bins = [longest * i / 30 for i in range(31)]
    for ax, (side, values) in zip(_row(figure, len(by_side)), by_side.items(), strict=True):
        _bare(ax)
        ax.hist(values, bins=bins, color=BLUE)
        ax.set_title(side, loc="left", fontsize=10)
        ax.set_xlabel("words")
        ax.tick_params(axis="y", labelcolor=MUTED)


def _row(figure: Figure, count: int) -> list[Axes]:
    return list(figure.subplots(1, max(count, 1), squeeze=False, sharey=False)[0])


def _bare(ax: Axes) -> Axes:
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.tick_params(length=0)
    return ax
