"""The plots of the corpus report, as images that stand inside the page. Counts and scores only, no text."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pe_ray.corpus.tally import BINS, Scores

INK, MUTED, GRID = "#1f2933", "#52606d", "#d9dee3"
BLUE, ORANGE = "#2b6ca3", "#b45309"  # told apart by colour-blind readers too
COLUMNS = 3
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "svg.hashsalt": "pe_ray",
}


def image(draw: Callable[[Figure], None], width: float, height: float) -> str:
    """A data URI of what `draw` puts on a figure of that many inches."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def scores(found: Sequence[Scores]) -> str:
    """How the scores of each check are spread, with the threshold in force; what is under it stands out."""

    def draw(figure: Figure) -> None:
        edges = np.arange(BINS) / BINS
        for ax, one in zip(_grid(figure, len(found)), found, strict=False):
            ax.bar(edges, one.counts, width=0.9 / BINS, align="edge", color=BLUE)
            if one.least is not None:
                ax.axvline(one.least, color=ORANGE, lw=2)
                ax.axvspan(0, one.least, color=ORANGE, alpha=0.1, lw=0)
            least = f", least {one.least:g}" if one.least is not None else ""
            ax.set_title(f"{one.check}{least}", loc="left", fontsize=10)
            ax.set_xlim(0, 1)
            ax.set_xlabel("score (1 is good)")

    return image(draw, 9.2, 2.2 * -(-len(found) // COLUMNS))


def means(by_check: Mapping[str, Sequence[float | None]]) -> str:
    """The mean score of kept records, check by check, over the snapshots of a corpus; the newest on the right."""

    def draw(figure: Figure) -> None:
        for ax, (check, values) in zip(_grid(figure, len(by_check)), by_check.items(), strict=False):
            known = [np.nan if v is None else v for v in values]
            ax.plot(range(len(known)), known, color=BLUE, marker="o", markersize=4, linewidth=1.4)
            ax.set_title(check, loc="left", fontsize=10)
            ax.set_ylim(0, 1.05)
            ax.set_xticks([0, len(known) - 1], ["first shown", "now"])

    return image(draw, 9.2, 1.9 * -(-len(by_check) // COLUMNS))


def likeness(values: Sequence[float]) -> str:
    """Jaccard of near-duplicates with the record that stays in their place."""

    def draw(figure: Figure) -> None:
        (ax,) = _grid(figure, 1, 1)
        low = min([0.7, *values])
        ax.hist(values, bins=np.linspace(np.floor(low * 20) / 20, 1, 31).tolist(), color=BLUE)
        ax.set_xlabel("Jaccard with the record that stays")
        ax.set_ylabel("removed records")

    return image(draw, 6.2, 2.2)


def lengths(by_side: Mapping[str, np.ndarray]) -> str:
    """Words of the user and of the assistant in kept records; the longest hundredth stands in the last bar."""

    def draw(figure: Figure) -> None:
        every = np.concatenate([*by_side.values(), [1]])
        most = max(10, int(np.quantile(every, 0.99)))
        for ax, (side, values) in zip(_grid(figure, len(by_side), 2), by_side.items(), strict=True):
            ax.hist(np.minimum(values, most), bins=np.linspace(0, most, 31).tolist(), color=BLUE)
            ax.set_title(side, loc="left", fontsize=10)
            ax.set_xlabel("words")

    return image(draw, 9.2, 2.2)


def _grid(figure: Figure, number: int, columns: int = COLUMNS) -> list[Axes]:
    """That many axes, a few to a row, without what is not needed."""
    rows = max(1, -(-number // columns))
    found = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax in found:
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.tick_params(length=0)
    for ax in found[number:]:
        ax.set_visible(False)
    return found[:number]
