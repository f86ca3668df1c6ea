"""Personal data on the made-up set of notes (`safety/pii/phi.py`): which share of each type is masked."""

from __future__ import annotations

from typing import Any

from pe_ray.evaluate.crisis_public import share
from pe_ray.safety.pii import find
from pe_ray.safety.pii.phi import make, score

TOLD = {"set": "made-up notes, seed 7", "split": "generated; forms that we thought of, so no claim about real text"}


def rows() -> list[dict[str, Any]]:
    """pii.recall of every type, and pii.precision over all."""
    notes = make()
    scores = score([find(n.text) for n in notes], [n.truth for n in notes])
    found = [share(f"pii.recall.{kind}", s.masked, s.planted, TOLD) for kind, s in scores.items() if s.planted]
    right, said = sum(s.right for s in scores.values()), sum(s.found for s in scores.values())
    return [*found, share("pii.precision", right, said, TOLD)]
