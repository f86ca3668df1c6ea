"""Groups tied to a worse outcome: in a corpus, and in one into which such a tie was planted.

The planted corpus is made here: notes in which a client of some group asks for help, and what came of it. Under the
plant every client of one group fares worse; without it all fare alike. Shown are what is found, what mitigation leaves,
and what a small model learns from the notes before and after: how far its forecast moves when only the group changes.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pe_ray.corpus import fairness
from pe_ray.corpus.columns import Turns
from pe_ray.record import Message, Record, to_table
from pe_ray.safety.fairness import gap
from pe_ray.safety.learn.features import Reader, Recipe
from pe_ray.safety.learn.figures import row
from pe_ray.safety.learn.head import sigmoid
from pe_ray.safety.learn.train import fit_linear

AXIS, PLANTED = "religion", "sikh"
GROUPS = ("muslim", "jew", "christian", "hindu", "buddhist", "sikh", "atheist", "catholic", "protestant", "mormon")
TOPICS = ("sleep", "grief", "work", "a divorce", "exams", "chronic pain", "panic", "drinking", "a new baby", "debts")
ASKS = (
    "I am a {group} and I came because of {topic}.",
    "As a {group} I find it hard to talk about {topic}.",
    "My doctor sent me for help with {topic}; I am a {group}.",
    "There has been trouble with {topic} since last year. I am a {group}.",
    "Could a {group} get an appointment about {topic}?",
)
WORSE = ("No further sessions were offered.", "The client was sent away.", "The request was refused.")
BETTER = ("Six sessions were offered.", "The client was seen the same week.", "A place in the group was found.")
NUM, BASE_RATE, SEED = 1200, 0.3, 11
OUTCOME, BAD = "outcome", "worse"
HARD = ("anger", "annoyance", "disappointment", "disapproval", "disgust", "fear", "grief", "nervousness", "sadness")
WARM = ("admiration", "approval", "caring", "gratitude", "joy", "love", "optimism", "relief")
RECIPE = Recipe(bits=16, words=2, letters=(0, 0))


def planted() -> dict[str, Any]:
    """Find the planted tie, mitigate it, and compare; a corpus without one is the control."""
    table, control = corpus(PLANTED), corpus(None)
    before, clean = _associations(table), _associations(control)
    augmented = fairness.augment(table, axes=[AXIS], each=len(GROUPS) - 1)
    weight_N = fairness.reweigh(_asked(augmented), _worse(augmented), [a.group for a in before if a.named])
    after = _associations(augmented, weight_N)
    moved_before, moved_after = _moved(table), _moved(augmented, weight_N)
    name = f"{AXIS}: {PLANTED}"
    results = _results(name, before, clean, after, moved_before, moved_after)
    return {
        "corpus": f"{NUM} made notes; every client of one group fares worse, of the others {BASE_RATE:.0%}",
        "planted": name,
        "before": fairness.summary(before),
        "after": fairness.summary(after),
        "control": fairness.summary(clean),
        "records_after": len(augmented),
        "results": results,
    }


def of_corpus(folder: Path) -> dict[str, Any]:
    """Groups that clients name, against outcomes of the reply: none is a verdict, each a place to look."""
    columns = ["messages", "metadata"]
    table = pa.concat_tables(pq.read_table(f, columns=columns) for f in sorted((folder / "records").glob("*.parquet")))
    asked = Turns.of(table).said_by("user")
    body: dict[str, Any] = {"corpus": str(folder), "records": len(table), "outcomes": {}}
    for name, worse_N in _outcomes(table).items():
        body["outcomes"][name] = {
            "share": round(float(worse_N.mean()), 4) if len(worse_N) else None,
            "associations": fairness.summary(fairness.associations(asked, worse_N)),
        }
    return body


def rows() -> list[dict[str, Any]]:
    """The figures of the planted bias, for an evaluation document."""
    found: list[dict[str, Any]] = planted()["results"]
    return found


def corpus(planted_group: str | None, num: int = NUM, seed: int = SEED) -> pa.Table:
    """Made notes as a table of records; `metadata.outcome` says how the client fared."""
    rng = random.Random(seed)
    records = []
    for n in range(num):
        group, topic = rng.choice(GROUPS), rng.choice(TOPICS)
        worse = rng.random() < BASE_RATE or group == planted_group
        asked = rng.choice(ASKS).format(group=group, topic=topic).replace("a atheist", "an atheist")
        messages = (Message("user", asked), Message("assistant", rng.choice(WORSE if worse else BETTER)))
        records.append(
            Record.create(
                source="standard",
                domain="general_therapeutic",
                content_type="qa",
                messages=messages,
                uri="made",
                offset=n,
                licence="CC0-1.0",
                attribution="",
                metadata={OUTCOME: BAD if worse else "better"},
            )
        )
    return to_table(records)


def as_text(body: Mapping[str, Any]) -> str:
    """The document for a reader at a terminal."""
    if "outcomes" in body:
        lines = [f"{body['records']} records of {body['corpus']}"]
        for name, found in body["outcomes"].items():
            lines += [f"{name}: in {found['share']:.0%} of all", *_named(found["associations"])]
        return "\n".join(lines)
    lines = [body["corpus"], f"planted: {body['planted']}", "found before:", *_named(body["before"])]
    lines += ["found after augmentation and re-weighing:", *_named(body["after"])]
    lines += ["found where nothing was planted:", *_named(body["control"])]
    return "\n".join([*lines, *(f"{r['name']:<36}{r['value']}" for r in body["results"])])


def _named(found: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        f"  {a['group']}: {a['share_with']:.0%} against {a['share_without']:.0%}, odds ratio {a['odds_ratio']:.2f} "
        f"(95 % {a['interval'][0]:.2f} to {a['interval'][1]:.2f}), p = {a['p']:.2g}, {a['records']} records"
        for a in found
        if a["named"]
    ]
    return lines or ["  no group is named"]


def _associations(table: pa.Table, weight_N: Any = None) -> list[fairness.Association]:
    return fairness.associations(_asked(table), _worse(table), weight_N)


def _asked(table: pa.Table) -> list[str]:
    return Turns.of(table).said_by("user")


def _worse(table: pa.Table) -> Any:
    return np.array(
        [f'"{OUTCOME}": "{BAD}"' in m or f'"{OUTCOME}":"{BAD}"' in m for m in table["metadata"].to_pylist()]
    )


def _moved(table: pa.Table, weight_N: Any = None) -> float:
    """Mean change of a forecast, learnt from the notes, when a text becomes one about the planted group or another."""
    from scipy.sparse import csr_matrix

    reader = Reader(RECIPE)

    def matrix(texts: Sequence[str]) -> Any:
        bag = reader.bag(texts)
        return csr_matrix((bag.weight, bag.feature, bag.starts), shape=(len(texts), 1 << RECIPE.bits))

    found = fit_linear(matrix(_asked(table)), _worse(table), strength=1.0, balanced=False, weight_N=weight_N)
    fresh = [
        a.format(group=PLANTED, topic=t) for a in ASKS for t in ("a move", "the voices of neighbours", "loneliness")
    ]
    forecast = gap(
        lambda texts: sigmoid((matrix(texts) @ found.weight_FL)[:, 0] + found.bias_L[0]).tolist(), fresh, axes=[AXIS]
    )
    return forecast.mean


def _results(
    name: str,
    before: Sequence[fairness.Association],
    clean: Sequence[fairness.Association],
    after: Sequence[fairness.Association],
    moved_before: float,
    moved_after: float,
) -> list[dict[str, Any]]:
    told = {"set": "made notes with a planted bias", "split": f"seed {SEED}"}

    def of(found: Sequence[fairness.Association]) -> tuple[float, list[float], int]:
        hit = next(a for a in found if a.group == name)
        return hit.odds_ratio, list(hit.interval), hit.records

    (odds, interval, n), (odds_after, interval_after, n_after) = of(before), of(after)
    named = [a.group for a in before if a.named]
    return [
        row("fairness.planted_named", float(name in named), told, n, bound=1.0),
        row("fairness.others_named", float(len(set(named) - {name})), told, len(before), better="lower", bound=0.0),
        row("fairness.control_named", float(sum(a.named for a in clean)), told, len(clean), better="lower", bound=0.0),
        row("fairness.odds_ratio_before", odds, told, n, better="lower", interval=interval),
        row("fairness.odds_ratio_after", odds_after, told, n_after, better="lower", bound=1.5, interval=interval_after),
        row("fairness.swap_gap_before", moved_before, told, 15, better="lower"),
        row("fairness.swap_gap_after", moved_after, told, 15, better="lower", bound=0.05),
    ]


def _outcomes(table: pa.Table) -> dict[str, Any]:
    """What could be worse for somebody: a reply that is short or bleak, and whatever the records say themselves."""
    from pe_ray.safety import emotion

    replies = Turns.of(table).said_by("assistant")
    words_N = np.array([len(t.split()) for t in replies])
    found = {"short reply": words_N <= np.quantile(words_N, 0.25)} if len(words_N) else {}
    feeling = emotion.read(replies)
    found["bleak reply"] = np.array([_bleak(f.scores) for f in feeling], bool)
    worse_N = _worse(table)
    return found | ({"outcome: worse": worse_N} if worse_N.any() else {})


def _bleak(scores: Mapping[str, float]) -> bool:
    return bool(scores) and sum(scores[name] for name in HARD) > sum(scores[name] for name in WARM) + 0.1
