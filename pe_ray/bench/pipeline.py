"""How many dialogues a CPU second takes through the stages, which stage costs most, and what Ray adds.

The stages run here, in one thread, over generated dialogues, a batch of a thousand at a time as in a build; each round
has dialogues of its own, so that nothing is remembered from the round before. What Ray adds is measured on whole builds
in fresh processes (`building.py`).
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pe_ray.bench.building import START, Workshop
from pe_ray.bench.document import Better, Result, at_least, measured, not_measured

if TYPE_CHECKING:
    import pyarrow as pa

CORE = ("clean", "pii", "keys", "checks")
"""The stages of pipeline.records_per_cpu_s: cleaning, personal data, keys of exact duplicates, row checks."""
LEAST_WORK_S = 60.0
"""CPU seconds of work under which the cost of Ray is no figure."""
OVERHEAD: tuple[str, str, Better, float] = ("pipeline.ray_overhead", "cost ratio", "lower", 1.3)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this part."""
    parser.add_argument("--stage-records", type=at_least(10), default=4000, help="of pipeline.stage_us, in a round")


def run(args: argparse.Namespace, shop: Workshop) -> list[Result]:
    """The gated rate and cost, then what they are made of."""
    rounds = [_seconds_by_stage(shop.dialogues(args.stage_records, seed)) for seed in range(args.rounds)]
    return [_rate(rounds), *_ray(args.records, shop), *_by_stage(rounds), *_whole(args.records, shop)]


def _rate(rounds: list[tuple[int, dict[str, float]]]) -> Result:
    best = max(records / sum(seconds[name] for name in CORE) for records, seconds in rounds)
    return measured("pipeline.records_per_cpu_s", best, "records/CPU s", "higher", 3000)


def _by_stage(rounds: list[tuple[int, dict[str, float]]]) -> list[Result]:
    names = rounds[0][1]
    best = {name: min(seconds[name] / records for records, seconds in rounds) for name in names}
    return [measured(f"pipeline.stage_us.{name}", best[name] * 1e6, "us/record", "lower") for name in names]


def _ray(records: int, shop: Workshop) -> list[Result]:
    """Ray's CPU seconds over those of one process. Only Ray's own start is taken off: what it takes to build next to
    nothing on Ray, less what that takes here."""
    start = shop.built(START, "ray").cpu_s - shop.built(START).cpu_s
    here, there = shop.built(records).cpu_s, shop.built(records, "ray").cpu_s
    work = here - shop.built(START).cpu_s
    name, unit, better, bound = OVERHEAD
    if work < LEAST_WORK_S:
        reason = f"{records} records are {work:.0f} CPU s of work; {LEAST_WORK_S:.0f} are wanted: give more --records"
        gated = not_measured(name, unit, better, bound, reason)
    else:
        gated = measured(name, (there - start) / here, unit, better, bound)
    parts = {"one_process": here, "ray": there, "ray_start": start}
    return [gated, *(measured(f"{name}.{part}", value, "CPU s", "lower") for part, value in parts.items())]


def _whole(records: int, shop: Workshop) -> list[Result]:
    """A whole build in one process, from files to snapshot: its rate, and where the time goes."""
    built, start = shop.built(records), shop.built(START)
    rate = built.records_in / (built.cpu_s - start.cpu_s)
    phases = {name: (s - start.phases.get(name, 0)) / built.records_in for name, s in built.phases.items()}
    return [
        measured("pipeline.whole_records_per_cpu_s", rate, "records/CPU s", "higher"),
        *(measured(f"pipeline.phase_us.{n}", s * 1e6, "us/record", "lower") for n, s in phases.items()),
    ]


def _seconds_by_stage(folder: Path) -> tuple[int, dict[str, float]]:
    """How many records there are, and the CPU seconds of each stage over all of them."""
    from pe_ray.bench.dialogues import config
    from pe_ray.corpus.stages import Settings, annotate, stages

    corpus = config(folder).corpus
    settings = Settings.of(corpus)
    first, *_ = _batches(folder, 50)
    annotate(first, settings)  # word lists and models are loaded once in the life of a process
    seconds: dict[str, float] = {}
    began = time.process_time()
    tables = list(_batches(folder, 1000))
    seconds["read"] = time.process_time() - began
    for stage in stages(settings):
        gc.collect()
        began = time.process_time()
        tables = [stage.apply(table) for table in tables]
        seconds[stage.name] = time.process_time() - began
    return sum(map(len, tables)), seconds


def _batches(folder: Path, size: int) -> Iterator[pa.Table]:
    from pe_ray.bench.dialogues import config
    from pe_ray.corpus import sources
    from pe_ray.record import Record, to_table

    for spec in config(folder).corpus.sources:
        records = (item for item in sources.read(spec) if isinstance(item, Record))
        while batch := list(islice(records, size)):
            yield to_table(batch)
