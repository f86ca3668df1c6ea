"""Judges of texts: what it costs to load a model, to judge one message, a batch, and a long stream, on one core.

Crisis, bias and emotion judge together, as a message is judged: triage with its rules and its model, the rules and the
model of bias (which reads sentences that name a group), the model of emotion. Messages are what clients say in the
dialogues of the corpus bench, some with a sentence about a group; none is judged twice within a figure. Memory is
measured in a process of its own, after a tenth of the stream and at its end.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from pe_ray.bench.dialogues import said
from pe_ray.bench.document import Result, at_least, measured

PURPOSE = "Crisis, bias and emotion: loading, one message, a batch, memory over a long stream."
BOUND_P95_MS, BOUND_RATE, BOUND_LOAD_MS, BOUND_GROWTH = 25.0, 2_000.0, 50.0, 1.1
WARM_UP = 200
LOADS = 7
STREAM_BATCH = 1000
QUARTERS = 4
"""The batch is measured in so many parts and the quickest is told, beside the slowest: whoever else uses the machine's
cores makes CPU seconds longer and never shorter."""
NAMES_A_GROUP = 4
"""Of the questions of CounselChat 26 in 100 name a group."""
ABOUT = (
    "The other women at work seem to manage.",
    "My brother is gay and has not told our parents.",
    "We are Muslims, and my aunt expects me to marry this year.",
    "Most of the men in my family never talk about such things.",
    "As an immigrant I never know which form to fill in.",
    "The old people in the choir are kinder to me than my friends.",
    "My daughter is autistic, and her teacher shouts.",
    "I am a Black woman in an office of forty.",
    "He says that girls always make a fuss.",
    "Our neighbours are refugees and I help them with letters.",
)

Judge = Callable[[Sequence[str]], object]


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this area."""
    parser.add_argument("--messages", type=at_least(500), default=2_000, help="judged one by one")
    parser.add_argument("--batch", type=at_least(500), default=20_000, help="texts of the batch")
    parser.add_argument("--stream", type=at_least(1_000), default=100_000, help="texts of the stream")


def run(args: argparse.Namespace) -> list[Result]:
    """Loading by task, then all judges over the same messages, then over the stream."""
    from pe_ray.monitor.memory import settled
    from pe_ray.safety.learn import names

    texts = messages(WARM_UP + args.messages + args.batch)
    told = judges()
    found = [_loading(name) for name in names()]
    for judge in told.values():
        judge(texts[:WARM_UP])
    with settled():  # as a shard of a corpus and a gateway do
        found += _one_by_one(list(told.values()), texts[WARM_UP : WARM_UP + args.messages])
        found += _batch(told, texts[-args.batch :])
    return [*found, *_stream(args.stream)]


def judges() -> Mapping[str, Judge]:
    """What judges a message, by name."""
    from pe_ray.safety import bias, emotion, prejudice, triage

    return {
        "crisis": lambda texts: triage.follow_all([[(text, False)] for text in texts]),
        "bias": lambda texts: (list(map(bias.assess, texts)), prejudice.read(texts)),
        "emotion": emotion.read,
    }


def messages(num: int) -> list[str]:
    """What clients say, two to five sentences, the same each time."""
    return [message(n, seed=5) for n in range(num)]


def message(number: int, seed: int) -> str:
    """What a client says in the bench's dialogues; every fourth names a group in a sentence more."""
    text = said("standard", number, seed)[0]
    return text if number % NAMES_A_GROUP else f"{text} {ABOUT[number // NAMES_A_GROUP % len(ABOUT)]}"


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


def _one_by_one(told: Sequence[Judge], texts: Sequence[str]) -> list[Result]:
    took_ms = []
    for text in texts:
        began = time.perf_counter()
        for judge in told:
            judge([text])
        took_ms.append((time.perf_counter() - began) * 1000)
    ordered = sorted(took_ms)
    return [
        measured("together.message_p50_ms", statistics.median(ordered), "ms", "lower"),
        measured("together.message_p95_ms", ordered[int(0.95 * len(ordered))], "ms", "lower", BOUND_P95_MS),
    ]


def _batch(told: Mapping[str, Judge], texts: Sequence[str]) -> list[Result]:
    from pe_ray.safety.groups import names_group
    from pe_ray.safety.normalise import fold

    spent_s: list[dict[str, float]] = []
    size = -(-len(texts) // QUARTERS)
    for first in range(0, len(texts), size):
        spent_s.append({name: _spent(judge, texts[first : first + size]) for name, judge in told.items()})
    share = len(texts) / len(spent_s)
    rates = [share / sum(quarter.values()) for quarter in spent_s]
    words = sum(len(t.split()) for t in texts) / len(texts)
    about = sum(names_group(fold(t).split()) for t in texts)
    alone = ((name, share / min(quarter[name] for quarter in spent_s)) for name in told)
    return [
        *(measured(f"{name}.texts_per_cpu_s", rate, "texts/CPU s", "higher") for name, rate in alone),
        measured("together.texts_per_cpu_s", max(rates), "texts/CPU s", "higher", BOUND_RATE),
        measured("together.texts_per_cpu_s_slowest", min(rates), "texts/CPU s", "higher"),
        measured("texts.mean_words", words, "words", "higher"),
        measured("texts.name_a_group", about / len(texts), "share", "higher"),
    ]


def _spent(judge: Judge, texts: Sequence[str]) -> float:
    """CPU seconds over some texts."""
    began = time.process_time()
    for batch in _batches(iter(texts)):
        judge(batch)
    return time.process_time() - began


def _stream(texts: int) -> list[Result]:
    """Memory of a process that judges a stream: all of it at the end, over that after a tenth."""
    ended = subprocess.run(
        [sys.executable, "-m", __spec__.name, str(texts)], capture_output=True, text=True, check=True
    )
    tenth_mib, whole_mib = json.loads(ended.stdout.splitlines()[-1])
    return [
        measured("stream.memory_growth_10x", whole_mib / tenth_mib, "ratio", "lower", BOUND_GROWTH),
        measured("stream.peak_memory_mib", whole_mib, "MiB", "lower"),
        measured("stream.texts", texts, "texts", "higher"),
    ]


def stream(texts: int) -> tuple[float, float]:
    """Judge a stream here; peak memory in MiB after a tenth of it, and at its end."""
    import resource

    def peak_mib() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    told, tenth = judges(), 0.0
    for number, batch in enumerate(_batches(_endless(texts)), start=1):
        for judge in told.values():
            judge(batch)
        if not tenth and number * STREAM_BATCH * 10 >= texts:
            tenth = peak_mib()
    return tenth, peak_mib()


def _batches(texts: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(texts, STREAM_BATCH)):
        yield batch


def _endless(texts: int) -> Iterator[str]:
    return (message(n, seed=6) for n in range(texts))


if __name__ == "__main__":
    print(json.dumps(stream(int(sys.argv[1]))))
