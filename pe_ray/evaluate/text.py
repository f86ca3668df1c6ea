"""An evaluation document for a reader at a terminal."""

from __future__ import annotations

from typing import Any

from pe_ray.record import DOMAINS


def of_model(body: dict[str, Any]) -> str:
    """The document for a reader at a terminal."""
    lines = [f"model at {body['commit']} on {body['machine']}", _who(body), ""]
    lines += [f"{'':<24}{'tokens':>9}{'loss':>9}{'perplexity':>12}{'accuracy':>10}{'base loss':>11}"]
    for name, own, base in _pairs(body):
        lines.append(f"{name:<24}{own['learnt_tokens']:>9}" + "".join(_cells(own, base)))
    return "\n".join([*lines, "", *_routing_lines(body["routing"]), *_task_lines(body["bias_detection"])])


def _who(body: dict[str, Any]) -> str:
    origin, corpus = body["subject"], body["corpus"]
    name = f"adapter {origin['adapter']}" if origin["adapter"] else f"run {origin['run']}, {origin['checkpoint']}"
    note = "" if corpus["same"] else "; not known to be the corpus it learnt from, its records may have been seen"
    return f"{name} on {corpus['split']} of {corpus['name']} {corpus['fingerprint']}{note}"


def _pairs(body: dict[str, Any]) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    own, base = body["model"], body["base"]
    return [("all", own["all"], base["all"])] + [(d, own["by_domain"][d], base["by_domain"][d]) for d in DOMAINS]


def _cells(own: dict[str, Any], base: dict[str, Any]) -> list[str]:
    wanted = [(own["loss"], 9, 4), (own["perplexity"], 12, 2), (own["accuracy"], 10, 4), (base["loss"], 11, 4)]
    return [f"{'-':>{width}}" if v is None else f"{v:>{width}.{digits}f}" for v, width, digits in wanted]


def _routing_lines(routed: dict[str, Any] | None) -> list[str]:
    if routed is None:
        return []
    lines = [f"{'share of slots':<24}" + "".join(f"{name:>21}" for name in routed["share"])]
    for domain, row in {**routed["share_by_domain"], "all, domains alike": routed["share"]}.items():
        lines.append(f"{domain:<24}" + "".join(f"{'-' if v is None else f'{v:.3f}':>21}" for v in row.values()))
    found = routed["mutual_information"]
    if found:
        chance = f"{found['p99']:.4f} is the 99th percentile of {found['permutations']} permutations"
        lines.append(
            f"information of expert and domain: {found['nats']:.4f} nats, p = {found['p_value']:.3f}; {chance}"
        )
    return [*lines, ""]


def _task_lines(task: dict[str, Any]) -> list[str]:
    lines = []
    for name in ("respect", "label"):
        for who in ("model", "base"):
            found = task[who][name]
            if found["trials"]:
                interval = f"{found['value']:.3f} (95 % {found['low']:.3f} to {found['high']:.3f})"
                lines.append(f"bias_detection {name}, {who}: {interval} of {found['trials']}")
    return lines or ["bias_detection: no labelled statement in this split"]
