"""The finished set, and what there is of an unfinished one: rows in the order of the list, not in that of their end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from pe_ray.corpus.generate.log import State, row_at
from pe_ray.corpus.generate.task import Task
from pe_ray.store import manifest

HELD = "held.jsonl"
FAILED = "failed.jsonl"
KIND = "generated"


def write(target: Path, task: Task, state: State, author: str) -> None:
    """Write the finished set with its manifest."""
    with manifest.stage(target, kind=KIND, parents=task.parents) as out:
        out.facts |= {"kind": task.kind, "generated": author, **_rows(out.path, task, state), **cost(state)}


def write_so_far(folder: Path, task: Task, state: State) -> Path | None:
    """Write what an unfinished set has, without a manifest, and return the file; None if there is nothing, or no room.

    It is a copy for people in a hurry: the shards are what the next start goes on from.
    """
    try:
        _rows(folder, task, state)
    except OSError:
        return None
    return folder / task.file if state.done else None


def cost(state: State) -> dict[str, Any]:
    """What the set has cost, over all starts."""
    return {
        "requests": state.requests,
        "prompt_tokens": state.prompt_tokens,
        "completion_tokens": state.completion_tokens,
        "spent_usd": round(state.spent_usd, 6),
        "assumed_usd": round(state.assumed_usd, 6),
    }


def _rows(folder: Path, task: Task, state: State) -> dict[str, Any]:
    """The files of a set, and how many rows they have."""
    held = 0
    with (folder / task.file).open("w", encoding="utf-8") as rows, (folder / HELD).open("w", encoding="utf-8") as waits:
        for line, (id_, done) in enumerate(_done(task, state), start=1):
            _line(rows, done["row"])
            if done["review"]:
                held += 1
                labels = {k: done["row"][k] for k in ("category", "difficulty") if k in done["row"]}
                _line(waits, {"id": id_, "line": line, **labels, "reasons": done["review"]})
    with (folder / FAILED).open("w", encoding="utf-8") as failed:
        for scenario in task.scenarios:
            if scenario.id in state.failed:
                wanted = dict(scenario.specifications[0].data)
                _line(failed, {"id": scenario.id, "reason": state.failed[scenario.id], "wanted": wanted})
    return {
        "asked": len(task.scenarios),
        "written": len(state.done),
        "held": held,
        "failed": len(state.failed),
        "reasons": dict(Counter(state.failed.values()).most_common()),
    }


def _done(task: Task, state: State) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for scenario in task.scenarios:
        if place := state.done.get(scenario.id):
            yield scenario.id, row_at(*place)


def _line(file: TextIO, data: Mapping[str, Any]) -> None:
    file.write(json.dumps(data, ensure_ascii=False) + "\n")
