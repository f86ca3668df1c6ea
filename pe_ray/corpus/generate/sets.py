"""One set from its settings to its manifest: the door of this package.

    generated/<name>/<fingerprint>.partial/     shards of what is done so far, in the order in which it was done
    generated/<name>/<fingerprint>/             edge_cases.jsonl or dialogues.jsonl, held.jsonl, failed.jsonl, manifest

The fingerprint follows from the settings that decide what is written, so the same settings go on where they stopped.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pe_ray.config.generate import PRICED, GenerateConfig
from pe_ray.corpus.generate import finish, protocol, task
from pe_ray.corpus.generate.budget import cost_usd, likely_prompt_tokens, most_prompt_tokens
from pe_ray.corpus.generate.clock import Clock
from pe_ray.corpus.generate.engine import Engine
from pe_ray.corpus.generate.log import Log
from pe_ray.corpus.generate.provider import Provider, connect
from pe_ray.corpus.generate.scenario import Kind
from pe_ray.corpus.generate.task import Task
from pe_ray.errors import PeRayError
from pe_ray.store import manifest
from pe_ray.store.paths import Home

TOKENS_PER_WORD = 1.3
LIKELY_WORDS = {"edge-cases": 100 + 130, "personas": 45}
"""Words that the prompt asks for: of a scenario, and of each turn of a dialogue."""
AROUND_TOKENS = 100
"""JSON, purpose and challenges around them."""
SAMPLE = 50
"""Prompts that are looked at for an estimate."""


@dataclass(frozen=True)
class Result:
    """The finished set and what is worth saying about it."""

    path: Path
    summary: Mapping[str, Any]


def run(
    kind: Kind,
    config: GenerateConfig,
    home: Home,
    say: Callable[[str], None],
    *,
    environ: Mapping[str, str] = os.environ,
    clock: Clock | None = None,
) -> Result:
    """Write the set that the settings describe, or what is left of it.

    Raises ConfigError or UserError for settings or a key that cannot work, GateNotMet at the cost cap, PeRayError when
    the provider fails too often in a row or the disk is full. What was finished is kept, and the same call goes on.
    """
    began = time.monotonic()
    protocols = protocol.load(config.protocols)
    wanted = task.prepare(kind, config, protocols)
    target = _folder(home, config, wanted)
    if manifest.is_finished(target):
        say(f"generate: this set is finished already: {target}")
        shutil.rmtree(_partial(target), ignore_errors=True)  # of a process that was killed in its last moment
        return Result(target, _summary(target, Counts(0, {}, 0), began))
    provider = connect(config, protocols, environ)
    try:
        with _log(target) as log:
            if manifest.is_finished(target):  # by a process that held the log until now
                counts = Counts(0, {}, 0)
            else:
                counts = asyncio.run(_write(wanted, config, provider, log, say, clock, target))
    except OSError as error:
        raise PeRayError(
            f"{target}: cannot be written ({error.strerror}); mend that and run the same again: what was finished "
            "before is kept"
        ) from None
    return Result(target, _summary(target, counts, began))


def plan(kind: Kind, config: GenerateConfig, home: Home) -> str:
    """What `run` would do, in lines: counts, cost, where it would write. Nothing is sent or written."""
    protocols = protocol.load(config.protocols)
    wanted = task.prepare(kind, config, protocols)
    target = _folder(home, config, wanted)
    asked = [wanted.ask(s.specifications[0], "") for s in wanted.scenarios[:SAMPLE]]
    count, price = len(wanted.scenarios), config.price
    likely = sum(map(likely_prompt_tokens, asked)) // len(asked)
    worst = max(map(most_prompt_tokens, asked))
    reply = AROUND_TOKENS + round(TOKENS_PER_WORD * LIKELY_WORDS[kind] * (config.turns if kind == "personas" else 1))
    estimate = count * cost_usd(price, likely, reply)
    reviewed = protocols.reviewed_by or "nobody"
    lines = [
        f"generate {kind}: {count} scenarios by {config.author}" + (f" at {config.url}" if config.url else ""),
        *_cells(wanted),
        f"tokens a scenario: about {likely} of prompt and {reply} of reply",
        f"cost: about {estimate:.2f} USD if every answer can be used; a request at most "
        f"{cost_usd(price, worst, config.max_tokens):.4f} USD; stops at {config.cost_cap_usd:g} USD",
        f"safety protocols version {protocols.version}, reviewed by {reviewed}",
        f"would write {target / wanted.file}",
    ]
    if config.provider in PRICED and estimate > config.cost_cap_usd:
        lines.insert(-2, f"the cap is under the estimate: about {config.cost_cap_usd / estimate:.0%} would be written")
    return "\n".join(lines)


@contextmanager
def _log(target: Path) -> Iterator[Log]:
    """The log of an unfinished set, held by this process; taken away, still held, once the set is finished."""
    partial = _partial(target)
    log = Log(partial)
    try:
        for draft in target.parent.glob(f".{target.name}.*"):  # of a process that was killed while it finished
            shutil.rmtree(draft)
        yield log
        shutil.rmtree(partial)
    finally:
        log.close()


@dataclass(frozen=True)
class Counts:
    """What one start did beside its rows."""

    resumed: int
    retries: Mapping[str, int]
    dropped_lines: int


async def _write(
    wanted: Task,
    config: GenerateConfig,
    provider: Provider,
    log: Log,
    say: Callable[[str], None],
    clock: Clock | None,
    target: Path,
) -> Counts:
    engine = Engine(wanted, config, provider, log, say, clock)
    if engine.state.dropped_lines:
        say(f"generate: {engine.state.dropped_lines} torn lines of an earlier start dropped; they are asked for again")
    if engine.resumed:
        say(f"generate: going on after {engine.resumed} of {len(wanted.scenarios)} scenarios")
    try:
        await engine.run()
    except PeRayError as error:
        so_far = finish.write_so_far(log.folder, wanted, engine.state)
        raise type(error)(f"{error}; so far: {so_far}" if so_far else str(error)) from None
    finally:
        await provider.close()
    finish.write(target, wanted, engine.state, config.author)
    return Counts(engine.resumed, dict(engine.retries), engine.state.dropped_lines)


def _summary(target: Path, counts: Counts, began: float) -> dict[str, Any]:
    return {
        **manifest.read(target, finish.KIND).facts,
        "path": str(target),
        "fingerprint": target.name,
        "resumed": counts.resumed,
        "retries": dict(counts.retries),
        "dropped_lines": counts.dropped_lines,
        "elapsed_s": round(time.monotonic() - began, 2),
    }


def _cells(wanted: Task) -> list[str]:
    first = [s.specifications[0].data for s in wanted.scenarios]
    if wanted.kind == "personas":
        return [f"{len({d['client'] for d in first})} clients, {len({d['therapist'] for d in first})} therapists"]
    cells = {(d["category"], d["difficulty"]) for d in first}
    fewest = len(first) // len(cells)
    held = sum(d["difficulty"] == "very_high" for d in first)
    return [
        f"{len(cells)} cells of category and difficulty, {fewest} in each"
        + (f", or {fewest + 1}" if len(first) % len(cells) else ""),
        f"{held} of very_high difficulty wait for clinical review, and what triage finds beside them",
    ]


def _folder(home: Home, config: GenerateConfig, wanted: Task) -> Path:
    return home.root / "generated" / config.name / wanted.fingerprint


def _partial(target: Path) -> Path:
    return target.with_name(f"{target.name}.partial")
