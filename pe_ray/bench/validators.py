"""Small models that judge texts: what it costs to load one, to judge one message, and a batch, on one core.

Messages are what clients say in the dialogues of the corpus bench; no message is judged twice within a figure.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from pe_ray.bench.dialogues import said
from pe_ray.bench.document import Result, at_least, measured, not_measured
from pe_ray.safety.learn import Model, load, names

PURPOSE = "Small models that judge texts: loading, one message, a batch."
TOGETHER = ("emotion", "bias")
BOUND_P95_MS, BOUND_RATE, BOUND_LOAD_MS = 15.0, 4_000.0, 50.0
WARM_UP = 200
LOADS = 7


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this area."""
    parser.add_argument("--messages", type=at_least(500), default=2_000, help="judged one by one")
    parser.add_argument("--batch", type=at_least(500), default=20_000, help="texts of the batch")


def run(args: argparse.Namespace) -> list[Result]:
    """Loading by task, then emotion and bias over the same messages."""
    missing = [name for name in TOGETHER if name not in names()]
    found = [_loading(name) for name in names()]
    if missing:
        reason = f"no model of {', '.join(missing)} ships"
        return [*found, not_measured("together.message_p95_ms", "ms", "lower", BOUND_P95_MS, reason)]
    texts = messages(WARM_UP + args.messages + args.batch)
    judges = [load(name) for name in TOGETHER]
    return [*found, *_one_by_one(judges, texts[: WARM_UP + args.messages]), *_batch(judges, texts[-args.batch :])]


def messages(num: int) -> list[str]:
    """What clients say in the bench's dialogues, two to four sentences, the same each time."""
    return [said("standard", n, seed=5)[0] for n in range(num)]


def _loading(name: str) -> Result:
    """Milliseconds to load a model into a process that has numpy, the median of some."""
    code = (
        "import time, numpy, safetensors.numpy, pydantic\nfrom pe_ray.safety.learn import load\n"
        f"t = time.perf_counter()\nload({name!r})\nprint((time.perf_counter() - t) * 1000)"
    )
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(LOADS)
    ]
    return measured(f"load_ms.{name}", statistics.median(times), "ms", "lower", BOUND_LOAD_MS)


def _one_by_one(judges: Sequence[Model], texts: Sequence[str]) -> list[Result]:
    took_ms = []
    for n, text in enumerate(texts):
        began = time.perf_counter()
        for judge in judges:
            judge.judge([text])
        if n >= WARM_UP:
            took_ms.append((time.perf_counter() - began) * 1000)
    ordered = sorted(took_ms)
    return [
        measured("together.message_p50_ms", statistics.median(ordered), "ms", "lower"),
        measured("together.message_p95_ms", ordered[int(0.95 * len(ordered))], "ms", "lower", BOUND_P95_MS),
    ]


def _batch(judges: Sequence[Model], texts: Sequence[str]) -> list[Result]:
    found, spent_s = [], 0.0
    for judge in judges:
        began = time.process_time()
        judge.judge(texts)
        took_s = time.process_time() - began
        spent_s += took_s
        found.append(measured(f"{judge.card['task']}.texts_per_cpu_s", len(texts) / took_s, "texts/CPU s", "higher"))
    rate = len(texts) / spent_s
    words = sum(len(t.split()) for t in texts) / len(texts)
    return [
        *found,
        measured("together.texts_per_cpu_s", rate, "texts/CPU s", "higher", BOUND_RATE),
        measured("texts.mean_words", words, "words", "higher"),
    ]
