"""One-file HTML reports that look alike: headings, tables, notes and matplotlib plots, nothing loaded from elsewhere.

    page = Page("Corpus", "sample @ 3f2a")
    page.section("Shares", table(["source", "kept"], rows), plot(figure, alt="kept records by source"))
    page.write(path)

Everything that is not already markup is escaped.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment
from markupsafe import Markup, escape

from pe_ray import __version__
from pe_ray.store.manifest import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#3b6ea5", "#d1793b", "#4f8a5b", "#9a5b8f", "#a3a03c", "#5aa0a8")
"""Distinct in print and for the common colour deficiencies, in the order of use."""

TEMPLATE = Environment(autoescape=True).from_string(Path(__file__).with_suffix(".html").read_text())


@dataclass
class Page:
    """A report in the making."""

    title: str
    subtitle: str
    sections: list[tuple[str, list[Markup]]] = field(default_factory=list)
    footer: str = field(default_factory=lambda: f"pe_ray {__version__} · {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")

    def section(self, heading: str, *parts: Markup | str) -> None:
        """Add a block; a plain string becomes a paragraph."""
        self.sections.append((heading, [p if isinstance(p, Markup) else note(p) for p in parts]))

    def html(self) -> str:
        """The whole page."""
        return TEMPLATE.render(page=self)

    def write(self, path: Path) -> Path:
        """Write the page in one step and return its path."""
        write_bytes(path, self.html().encode())
        return path


def note(text: str) -> Markup:
    """A paragraph of small text."""
    return Markup('<p class="note">{}</p>').format(text)


def facts(pairs: Iterable[tuple[str, Any]]) -> Markup:
    """A grid of labelled figures."""
    cells = Markup("").join(Markup("<div><b>{}</b><span>{}</span></div>").format(show(v), k) for k, v in pairs)
    return Markup('<div class="facts">{}</div>').format(cells)


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> Markup:
    """A table; numbers are set flush right."""
    rows = [list(r) for r in rows]
    numeric = [
        bool(rows) and all(isinstance(r[i], int | float) or r[i] is None for r in rows) for i in range(len(headers))
    ]
    mark = [Markup(' class="n"') if n else Markup("") for n in numeric]
    head = Markup("").join(Markup("<th{}>{}</th>").format(m, h) for m, h in zip(mark, headers, strict=True))
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(Markup("<td{}>{}</td>").format(m, show(v)) for m, v in zip(mark, row, strict=True))
        )
        for row in rows
    )
    return Markup('<div class="wide"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>').format(
        head, body
    )


def plot(figure: Figure, alt: str) -> Markup:
    """A matplotlib figure as inline SVG in an image; `alt` says what it shows."""
    import base64

    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight")
    data = base64.b64encode(buffer.getvalue()).decode()
    return Markup('<img alt="{}" src="data:image/svg+xml;base64,{}">').format(alt, data)


def axes(width: float = 8.0, height: float = 2.8, columns: int = 1) -> tuple[Figure, Any]:
    """A figure in the reports' style (no pyplot: it keeps state between reports) and its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(1, columns, squeeze=False)[0]
    for one in grid:
        one.spines[["top", "right"]].set_visible(False)
        one.grid(axis="y", color="#e3e7ec", linewidth=0.8)
        one.set_axisbelow(True)
        one.set_prop_cycle(color=COLOURS)
    return figure, grid[0] if columns == 1 else grid


def show(value: Any) -> str | Markup:
    """A value as a reader wants it: 4 significant digits, thousands apart, yes and no."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return escape(value)
