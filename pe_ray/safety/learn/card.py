"""A model's card as a page for people: what it is for, what it learnt from, its figures, and what it cannot do.

    python -m pe_ray.safety.learn.card docs/models

writes a page for every model that ships; a test keeps the pages in step with the cards.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pe_ray.safety.learn.model import names, read_card, shipped


def page(card: Mapping[str, Any]) -> str:
    """The page of one card."""
    weights = card["weights"]
    parts = [
        f"# {card['task']}@{card['version']}",
        card["purpose"],
        _recipe(card) + f" {weights['bytes']:,} bytes, sha256 `{weights['sha256'][:16]}`.",
        "## What it cannot do",
        "\n".join(f"- {limit}" for limit in card["limits"]),
        "## What it learnt from",
        _table(
            ["data", "licence", "used to", "sha256"],
            [[d["name"], d["licence"], d["use"], f"`{d['sha256'][:16]}`"] for d in card["data"]],
        ),
        _positive(card),
        card["split"],
        "## Figures",
        _figures(card["figures"]),
        "```bash\n"
        f"pe-ray safety train {card['task']} --out path/to/folder   # the same data gives the same bytes\n"
        + (f'pe-ray safety judge --task {card["task"]} "a text"\n' if card["recipe"] else "")
        + "```",
        "No clinician has reviewed this model, and nothing was measured on real sessions.",
    ]
    return "\n\n".join(p for p in parts if p) + "\n"


def write(folder: Path) -> list[Path]:
    """Write the pages of all models that ship."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for name in names():
        path = folder / f"{name}.md"
        path.write_text(page(read_card(shipped() / name)), encoding="utf-8")
        found.append(path)
    return found


def _recipe(card: Mapping[str, Any]) -> str:
    recipe, labels = card["recipe"], len(card["labels"])
    kind = f"A logistic regression for {labels} label{'s' if labels > 1 else ''}"
    if recipe is None:
        return f"{kind} over features that the caller brings."
    low, high = recipe["letters"]
    letters = f" and pieces of {low} to {high} letters" if high else ""
    rows = f"words, rows of up to {recipe['words']} words{letters}" if recipe["words"] > 1 else f"words{letters}"
    return f"{kind} over hashed {rows}, read as `{recipe['view']}`."


def _positive(card: Mapping[str, Any]) -> str:
    counts = card.get("positive") or {}
    if not counts:
        return ""
    told = ", ".join(f"{name} {int(n):,}" for name, n in counts.items())
    return f"{card['texts']:,} texts, of which with the label: {told}."


def _figures(figures: Sequence[Mapping[str, Any]]) -> str:
    if not figures:
        return "None are part of the card; `pe-ray evaluate validators` measures it."
    sets = list(dict.fromkeys((f["set"], f["split"]) for f in figures))
    parts = []
    for name, split in sets:
        rows = [_row(f) for f in figures if (f["set"], f["split"]) == (name, split)]
        parts += [f"{name}; {split}:", _table(["figure", "value", "95 % interval", "n"], rows)]
    return "\n\n".join(parts)


def _row(figure: Mapping[str, Any]) -> list[str]:
    interval = figure.get("interval")
    between = f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else ""
    value = figure["reason"] if figure["value"] is None else f"{figure['value']:.3f}"
    return [figure["name"], value, between, f"{figure['n']:,}"]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(r) + " |" for r in (head, ["---"] * len(head), *rows))


if __name__ == "__main__":
    for written in write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/models")):
        print(written)
