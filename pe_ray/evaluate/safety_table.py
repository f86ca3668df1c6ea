"""The document of `pe-ray evaluate safety` as text: the rows, then every figure beside the first run."""

from __future__ import annotations

from typing import Any

from pe_ray.evaluate import validators
from pe_ray.evaluate.statistics import clopper_pearson

COLUMNS = ("development", "held_out")


def text(found: dict[str, Any]) -> str:
    """Tables for a terminal."""
    told = found["crisis"]
    first = told["first_run"]
    lines = [validators.text(found), "", f"labels: {found['label_source']}"]
    lines.append(f"rules {told['rules']}; first run at {first['commit']}, rules {first['rules']}")
    lines += ["", f"{'figure':<38}{'half':<12}{'first run':>30}{'now':>30}"]
    for name in told["halves"]["all"]:
        for half in COLUMNS:
            then, now = (_cell(halves[half].get(name)) for halves in (first["halves"], told["halves"]))
            lines.append(f"{name:<38}{half:<12}{then:>30}{now:>30}")
    lines += ["", "levels over all suites: labelled (rows) against given (columns 0 to 4)"]
    lines += [f"  {label}  " + "".join(f"{n:>7}" for n in row) for label, row in enumerate(told["levels"]["table"])]
    return "\n".join(lines)


def _cell(count: list[int] | None) -> str:
    if not count or not count[1]:
        return "-"
    share = clopper_pearson(*count)
    return f"{count[0]}/{count[1]} {share.value:.3f} [{share.low:.3f}, {share.high:.3f}]"
