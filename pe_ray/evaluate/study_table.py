"""The study as a Markdown table: means and sample standard deviations over the seeds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from pe_ray.record import DOMAINS

REFERENCE = "plain"
Of = Callable[[dict[str, Any]], float | None]


def markdown(body: dict[str, Any]) -> str:
    """Losses, differences to plain LoRA under the same seed, and routing; nothing is judged."""
    corpus, seeds = body["corpus"], body["seeds"]
    facts = [
        f"{corpus['split']} of {corpus['name']} {corpus['fingerprint']}, base {body['base_fingerprint']}",
        f"{body['steps']} steps of at most {body['tokens_per_step']} tokens, peak rate {body['learning_rate']:g}",
        f"seeds {', '.join(map(str, seeds))}; mean ± sample standard deviation over the seeds",
        f"commit {body['commit']}; {body['machine']}; load {body['load'][0]} to {body['load'][1]}",
    ]
    compared = [_differences(body)] if any(arm["name"] == REFERENCE for arm in body["arms"]) else []
    return "\n\n".join(["\n".join(f"- {f}" for f in facts), _losses(body), *compared, _routing(body)])


def spread(values: Sequence[float | None], digits: int = 4, sign: str = "") -> str:
    """`mean ± deviation`; the mean alone of one value, a dash where one is missing."""
    found = [v for v in values if v is not None]
    if not found or len(found) < len(values):
        return "-"
    mean = f"{statistics.fmean(found):{sign}.{digits}f}"
    return mean if len(found) == 1 else f"{mean} ± {statistics.stdev(found):.{digits}f}"


def _losses(body: dict[str, Any]) -> str:
    head = ["held-out loss, nats per token", "trainable", "all tokens", "mean of domains", *DOMAINS]
    rows = [["the base alone", "0", *[spread([of(body["base"])]) for of in _columns()]]]
    for arm in body["arms"]:
        size = f"{arm['runs'][0]['trainable_parameters']:,}"
        rows.append([arm["what"], size, *[spread([of(run) for run in arm["runs"]]) for of in _columns()]])
    return _table(head, rows)


def _differences(body: dict[str, Any]) -> str:
    plain = next(arm for arm in body["arms"] if arm["name"] == REFERENCE)
    head = ["loss less that of plain LoRA, seed by seed", "all tokens", "mean of domains", *DOMAINS]
    rows = []
    for arm in (a for a in body["arms"] if a is not plain):
        pairs = list(zip(arm["runs"], plain["runs"], strict=True))
        rows.append([arm["what"], *[spread([_less(of(a), of(b)) for a, b in pairs], sign="+") for of in _columns()]])
    return _table(head, rows)


def _routing(body: dict[str, Any]) -> str:
    head = ["routing on held-out tokens, domains alike", "smallest share", "largest share", "information, nats"]
    head += ["99th percentile of chance", "mean of layers", "entropy, nats"]
    rows = []
    for arm in body["arms"]:
        found = [run["routing"] for run in arm["runs"]]
        if any(r is None or r["mutual_information"] is None for r in found):
            continue
        information = [r["mutual_information"] for r in found]
        columns: list[list[float | None]] = [
            [min(r["share"].values()) for r in found],
            [max(r["share"].values()) for r in found],
            [i["nats"] for i in information],
            [i["p99"] for i in information],
            [statistics.fmean(i["by_layer"]) for i in information],
            [r["entropy"]["all"] for r in found],
        ]
        rows.append([arm["what"], *map(spread, columns)])
    return _table(head, rows)


def _columns() -> list[Of]:
    def of(domain: str) -> Of:
        return lambda run: run["losses"]["by_domain"][domain]["loss"]

    return [lambda r: r["losses"]["all"]["loss"], lambda r: r["losses"]["mean_of_domains"]["loss"], *map(of, DOMAINS)]


def _less(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])
