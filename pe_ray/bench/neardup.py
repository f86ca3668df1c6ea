"""Near-duplicate removal against rensa and datasketch, in CPU seconds, and what it finds and removes.

Each engine gets the same documents in the form it takes (an Arrow array, a list of strings), the same words, shingles,
permutations and bands. The peers do what their documentation shows: LSH buckets joined by union-find, nothing
verified. Runs are interleaved in one process; each engine's fastest round counts.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pe_ray.bench.document import Better, Result, at_least, measured, not_measured

if TYPE_CHECKING:
    from pe_ray.bench.texts import Planted

NUM_PERM, BANDS, NGRAM, THRESHOLD = 128, 16, 3, 0.7
PEERS = ("rensa", "datasketch")

GATES: dict[str, tuple[Better, float]] = {
    "vs_rensa": ("higher", 1.3),
    "vs_datasketch": ("higher", 5.0),
    "recall_j80": ("higher", 0.99),
    "false_removals": ("lower", 0.002),
}
"""What near_dedup.<name> must reach. The first two are our documents per CPU second over the peer's."""


@dataclass(frozen=True)
class Outcome:
    """What an engine made of the documents: a label per row, and for each row the one it is removed for (or itself)."""

    label: Sequence[int]
    survivor: Sequence[int]


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this part."""
    parser.add_argument("--documents", type=at_least(10), default=60_000, help="of near_dedup: what its bounds are for")


def run(args: argparse.Namespace) -> list[Result]:
    """All figures; the gated ones first."""
    from pe_ray.bench.texts import plant

    planted = plant(args.documents)
    engines = {name: engine for name, engine in _engines(planted).items() if name == "ours" or find_spec(name)}
    cost, outcomes = _measure(engines, args.rounds)
    grades = {name: _grade(planted, outcome) for name, outcome in outcomes.items()}
    gated = [_versus(peer, cost) for peer in PEERS]
    gated += [_gated(name, value, "share") for name, value in grades["ours"].items() if name in GATES]
    return gated + [row for name in engines for row in _printed(name, args.documents / cost[name], grades[name])]


def _measure(engines: dict[str, Callable[[], Outcome]], rounds: int) -> tuple[dict[str, float], dict[str, Outcome]]:
    cost = {name: float("inf") for name in engines}
    outcomes: dict[str, Outcome] = {}
    for turn in range(rounds):
        for name, engine in engines.items():
            outcomes.pop(name, None)
            gc.collect()
            began = time.process_time()
            outcomes[name] = engine()
            spent = time.process_time() - began
            cost[name] = min(cost[name], spent)
            print(f"round {turn + 1}: {name} {spent:.2f} CPU s", file=sys.stderr, flush=True)
    return cost, outcomes


def _versus(peer: str, cost: dict[str, float]) -> Result:
    if peer not in cost:
        better, bound = GATES[f"vs_{peer}"]
        return not_measured(f"near_dedup.vs_{peer}", "rate ratio", better, bound, f"{peer} is not installed")
    return _gated(f"vs_{peer}", cost[peer] / cost["ours"], "rate ratio")


def _gated(name: str, value: float, unit: str) -> Result:
    return measured(f"near_dedup.{name}", value, unit, *GATES[name])


def _printed(engine: str, rate: float, grade: dict[str, float]) -> list[Result]:
    """Figures of one engine that are for the reader and have no bound."""
    rows = [measured(f"near_dedup.{engine}.rate", rate, "documents/CPU s", "higher")]
    units: dict[str, tuple[str, Better]] = {
        "recall_j80": ("share", "higher"),
        "false_removals": ("share", "lower"),
        "removed": ("documents", "higher"),
        "largest_cluster": ("documents", "lower"),
    }
    return rows + [measured(f"near_dedup.{engine}.{key}", grade[key], *units[key]) for key in units]


def _grade(planted: Planted, outcome: Outcome) -> dict[str, float]:
    """By exact Jaccard of shingle sets, made here from strings: the engines' own hashes have no say."""
    from collections import Counter

    from pe_ray.bench.texts import jaccard, shingles

    @lru_cache(maxsize=20_000)
    def of(row: int) -> set[str]:
        return shingles(planted.texts[row], NGRAM)

    close = [(a, b) for a, b in planted.pairs if jaccard(of(a), of(b)) >= 0.8]
    removed = [(row, stays) for row, stays in enumerate(outcome.survivor) if row != stays]
    removed.sort(key=lambda pair: pair[1])
    return {
        "recall_j80": sum(outcome.label[a] == outcome.label[b] for a, b in close) / max(len(close), 1),
        "false_removals": sum(jaccard(of(a), of(b)) < THRESHOLD for a, b in removed) / max(len(removed), 1),
        "removed": len(removed),
        "largest_cluster": max(Counter(outcome.label).values()),
    }


def _engines(planted: Planted) -> dict[str, Callable[[], Outcome]]:
    import pyarrow as pa

    column = pa.array(planted.texts)
    ids = pa.array([f"{row:09d}" for row in range(len(column))])
    return {
        "ours": lambda: _ours(column, ids),
        "rensa": lambda: _rensa(planted.texts),
        "datasketch": lambda: _datasketch(planted.texts),
    }


def _ours(column: object, ids: object) -> Outcome:
    from pe_ray.corpus.neardup import near_duplicates, survivors

    clusters = near_duplicates(column, num_perm=NUM_PERM, bands=BANDS, ngram=NGRAM, threshold=THRESHOLD)
    decided = survivors(clusters, ids).clusters
    survivor = list(range(len(clusters.root)))
    for row, stays in zip(decided["row"].to_pylist(), decided["survivor"].to_pylist(), strict=True):
        survivor[row] = stays
    return Outcome(clusters.root.tolist(), survivor)


def _rensa(texts: Sequence[str]) -> Outcome:
    from rensa import RMinHash, RMinHashLSH

    sketches = []
    for start in range(0, len(texts), 1000):
        sketches += RMinHash.from_token_sets([_tokens(t) for t in texts[start : start + 1000]], NUM_PERM, 42)
    index = RMinHashLSH(THRESHOLD, NUM_PERM, BANDS)
    index.insert_many(sketches)
    return _union(index.query_all(sketches))


def _datasketch(texts: Sequence[str]) -> Outcome:
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=NUM_PERM, params=(BANDS, NUM_PERM // BANDS))
    found = []
    tokens = ([t.encode() for t in _tokens(text)] for text in texts)
    for row, sketch in enumerate(MinHash.generator(tokens, num_perm=NUM_PERM)):
        found.append(index.query(sketch))
        index.insert(row, sketch, check_duplication=False)
    return _union(found)


def _tokens(text: str) -> list[str]:
    """Word n-grams for the peers, the fastest way found in Python: half the time of a regular expression."""
    words = text.lower().translate(_SEPARATORS).split()
    return [f"{a} {b} {c}" for a, b, c in zip(words, words[1:], words[2:], strict=False)]


_SEPARATORS = {code: " " for code in range(128) if not (chr(code).isalnum() or chr(code) == "_")}


def _union(candidates: Sequence[Sequence[int]]) -> Outcome:
    """Union-find over each row's candidates; the smallest row of a set stays."""
    parent = list(range(len(candidates)))

    def find(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for row, others in enumerate(candidates):
        for other in others:
            if other < row:
                left, right = find(row), find(other)
                parent[max(left, right)] = min(left, right)
    label = [find(row) for row in range(len(parent))]
    return Outcome(label, label)
