"""Sentences that judge people by their group, from RedditBias (Barikeri et al. 2021) and from sentences of our own.

The model does not see which group is spoken of (`safety.learn.frames`). Of RedditBias the file on gender is measured
and not learnt from: its labels mark any statement about a woman's work or mood ("my mom is a nurse"), which no
reader of a corpus would want removed. Comments of GoEmotions stand for ordinary talk about no group.
"""

from __future__ import annotations

import csv
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from pe_ray.safety.groups import GROUP, masked
from pe_ray.safety.learn.features import Recipe
from pe_ray.safety.learn.figures import auc, bootstrap, row, wilson
from pe_ray.safety.learn.frames import WORD
from pe_ray.safety.learn.model import Model
from pe_ray.safety.learn.task import Examples, Fit, Source, Task
from pe_ray.safety.normalise import fold

REDDIT = "labels/redditbias"
TARGETS = {"gender": "gender_female.csv", "race": "race_black.csv", "religion": "religion1_jews.csv"}
LEARNT = ("race", "religion")
LABELLED = {"0": 0.0, "0.0": 0.0, "1": 1.0, "1.0": 1.0}
"""What else stands there ("biased?", "fact?", 2, nothing) is no label."""
TALK = "labels/goemotions/train.tsv"
SENTENCES = Source("own:bias.toml", "developers' sentences", "CC0-1.0")
PAIRS = Source("own:bias_pairs.txt", "developers' pairs of sentences", "CC0-1.0")
NUM_TALK = 3000
WEIGHTS = {"reddit": 0.3, "own": 3.0, "talk": 0.3}
FILL = (
    ("women", "a woman"),
    ("muslims", "a muslim"),
    ("black people", "a black man"),
    ("gay people", "a gay man"),
    ("immigrants", "an immigrant"),
)
SUITE, FRESH = "evaluate/suites/bias.toml", "evaluate/suites/bias_fresh.toml"
UNLISTED = ("tatars", "yazidis")
"""Groups of the suite that stand in no list of ours."""


def reddit(root: Path, target: str) -> Examples:
    """The labelled comments of one target; comments that differ in signs alone are one group."""
    with (root / REDDIT / TARGETS[target]).open(encoding="utf-8", newline="") as file:
        rows = [(r["comment"], LABELLED[r["bias_sent"]]) for r in csv.DictReader(file) if r["bias_sent"] in LABELLED]
    label_N1 = np.array([[label] for _, label in rows])
    return Examples([t for t, _ in rows], label_N1, ["".join(filter(str.isalnum, t)) for t, _ in rows])


def own() -> Examples:
    """Our own sentences, written out; those of one frame are one group, so that a fold holds frames it has not seen."""
    told = tomllib.loads(SENTENCES.where(Path()).read_text(encoding="utf-8"))
    found: list[tuple[str, float, str]] = []
    for frame in told["frames"]:
        texts, each = frame["texts"], frame["each"]
        for n, word in enumerate(told["words"][frame["word"]]):
            for k in range(each):
                text = texts[(n * each + k) % len(texts)]
                found.append((text.replace("{w}", word), float(frame["biased"]), text))
    for heading, label in (("biased", 1.0), ("fair", 0.0)):
        found += [(text, label, text) for text in told["sentences"][heading]]
    for n, line in enumerate(PAIRS.where(Path()).read_text(encoding="utf-8").splitlines()):
        if not line.startswith("#"):
            found += [(t.strip(), label, f"pair {n}") for t, label in zip(line.split("|"), (1.0, 0.0), strict=True)]
    texts = [_filled(text, FILL[n % len(FILL)]) for n, (text, _, _) in enumerate(found)]
    return Examples(texts, np.array([[label] for _, label, _ in found]), [group for _, _, group in found])


def talk(root: Path) -> Examples:
    """Comments that name no group, taken for fair; nobody has labelled them for this."""
    lines = (root / TALK).read_text(encoding="utf-8").splitlines()[:NUM_TALK]
    texts = [line.partition("\t")[0] for line in lines]
    texts = [t for t in texts if GROUP not in masked(WORD.findall(fold(t)))]
    return Examples(texts, np.zeros((len(texts), 1)), ["".join(filter(str.isalnum, t.lower())) for t in texts])


def read(root: Path) -> Examples:
    """Everything that the model learns from, with weights."""
    parts = [(own(), "own"), (talk(root), "talk"), *((reddit(root, target), "reddit") for target in LEARNT)]
    return Examples(
        [t for part, _ in parts for t in part.texts],
        np.concatenate([part.label_NL for part, _ in parts]),
        [g for part, _ in parts for g in part.groups],
        np.concatenate([np.full(len(part.texts), WEIGHTS[kind]) for part, kind in parts]),
    )


def suite(name: str = SUITE) -> tuple[Examples, list[str], list[str]]:
    """A suite of the developers written out: examples (one group to a sentence), kinds, and the group named in each."""
    told = tomllib.loads((files("pe_ray") / name).read_text(encoding="utf-8"))
    found = [
        (
            _filled(text.replace("{many}", "{g}").replace("{one}", "{o}"), pair),
            label,
            text,
            f"{heading}.{kind}",
            pair[0],
        )
        for heading, label in (("biased", 1.0), ("fair", 0.0))
        for kind, texts in told[heading].items()
        for text in texts
        for pair in told["groups"]
        if "{" in text or pair is told["groups"][0]
    ]
    examples = Examples([f[0] for f in found], np.array([[f[1]] for f in found]), [f[2] for f in found])
    return examples, [f[3] for f in found], [f[4] for f in found]


def figures(model: Model, root: Path) -> list[dict[str, Any]]:
    """On the suite, by kind and group; on RedditBias's gender file; the recipe itself is measured by `evaluate`."""
    return [*on_fresh(model), *on_suite(model), *on_gender(model, root)]


def on_fresh(model: Model) -> list[dict[str, Any]]:
    """On the suite that was written after the recipe was fixed: AUC, and what is said of biased and fair sentences."""
    examples, kinds, _ = suite(FRESH)
    told = {"set": "developers' second suite", "split": "written when the recipe was fixed; nothing was chosen by it"}
    score_N, true_N = model.probabilities(examples.texts)[:, 0], examples.label_NL[:, 0]
    said_N = score_N >= model.head.thresholds[0]
    found = [_auc("bias.fresh_auc", score_N, true_N, examples.groups, np.ones(len(score_N), bool), told)]
    for heading, better in (("biased", "higher"), ("fair", "lower")):
        here = np.array([k.startswith(heading) for k in kinds])
        interval = bootstrap(lambda r, here=here: float(said_N[here][r].mean()), _at(examples.groups, here))
        share = float(said_N[here].mean())
        found.append(row(f"bias.fresh_said.{heading}", share, told, int(here.sum()), better=better, interval=interval))
    return found


def on_suite(model: Model) -> list[dict[str, Any]]:
    """AUC on the suite, over groups in our lists and over others, and what is said of each kind and group."""
    examples, kinds, named = suite()
    told = {"set": "developers' suite", "split": "written before the model, apart from what it learns from"}
    score_N, true_N = model.probabilities(examples.texts)[:, 0], examples.label_NL[:, 0]
    listed_N = ~np.isin(named, UNLISTED)
    said_N = score_N >= model.head.thresholds[0]
    found = [
        _auc("bias.suite_auc", score_N, true_N, examples.groups, listed_N, told),
        _auc("bias.suite_auc_unlisted_groups", score_N, true_N, examples.groups, ~listed_N, told),
    ]
    for kind in dict.fromkeys(kinds):
        here = (np.array(kinds) == kind) & listed_N
        hits, n = int(said_N[here].sum()), int(here.sum())
        better = "higher" if kind.startswith("biased") else "lower"
        interval = bootstrap(lambda r, here=here: float(said_N[here][r].mean()), _at(examples.groups, here))
        found.append(row(f"bias.suite_said.{kind}", hits / n, told, n, better=better, interval=interval))
    for name in dict.fromkeys(named):
        here = np.array(named) == name
        found.append(row(f"bias.suite_auc.{name}", auc(score_N[here], true_N[here]), told, int(here.sum())))
    return found


def on_gender(model: Model, root: Path) -> list[dict[str, Any]]:
    """RedditBias's gender file, which the model that ships has not seen."""
    examples = reddit(root, "gender")
    told = {"set": "RedditBias gender", "split": "a file that was not learnt from"}
    score_N = model.probabilities(examples.texts)[:, 0]
    every = np.ones(len(score_N), bool)
    said = int((score_N >= model.head.thresholds[0]).sum())
    return [
        _auc("bias.reddit_gender_auc", score_N, examples.label_NL[:, 0], examples.groups, every, told),
        row("bias.reddit_gender_said", said / len(score_N), told, len(score_N), interval=wilson(said, len(score_N))),
    ]


def _auc(name: str, score_N: Any, true_N: Any, groups: Any, here: Any, told: dict[str, str]) -> dict[str, Any]:
    score_N, true_N = score_N[here], true_N[here]
    interval = bootstrap(lambda r: auc(score_N[r], true_N[r]), _at(groups, here))
    return row(name, auc(score_N, true_N), told, len(score_N), interval=interval)


def _at(groups: Any, here: Any) -> list[str]:
    return [g for g, h in zip(groups, here, strict=True) if h]


def _filled(text: str, pair: Any) -> str:
    return text.replace("{g}", pair[0]).replace("{o}", pair[1])


TASK = Task(
    name="bias",
    version=1,
    purpose="Whether a short English text judges people by the group that they belong to.",
    labels=("biased",),
    recipe=Recipe(view="grouped", bits=18, words=2, letters=(3, 5)),
    sources=(
        SENTENCES,
        PAIRS,
        Source(f"{REDDIT}/{TARGETS['race']}", "RedditBias race", "MIT"),
        Source(f"{REDDIT}/{TARGETS['religion']}", "RedditBias religion", "MIT"),
        Source(TALK, "GoEmotions train", "Apache-2.0"),
        Source(f"{REDDIT}/{TARGETS['gender']}", "RedditBias gender", "MIT", use="measure"),
    ),
    split="Calibration and threshold come from four folds of what was learnt, by comment, by frame of sentence and by "
    "pair. The first suite was written before the model (its first run gave an AUC of .69) and looked at while the "
    "recipe was chosen: it is a development set. The second was written when it was fixed and gave .735; then pairs "
    "of sentences were added to what is learnt, without a look at that suite, and it was scored again. RedditBias "
    "gender was not learnt from.",
    limits=(
        "It judges forms of sentence: irony, hints and what only the context tells are missed.",
        "Groups that stand in no list of ours are found much less often: see suite_auc_unlisted_groups.",
        "It does not see which group is meant, so it cannot tell a stereotype from its turned-round form; on pairs of "
        "sentences that differ in the group alone (CrowS-Pairs) it is at chance by design.",
        "Its probability holds for a mixture in which two in five texts are biased; where bias is rare it is too high.",
        "Labels are those of crowd workers and of the developers; nobody who belongs to a group reviewed ours.",
        "It names a sentence for a person to look at. It proves nobody fair.",
    ),
    read=read,
    figures=figures,
    band=(0.35, 0.6),
    fit=Fit(strength=0.07, word_weight=0.5, keep=40_000, weigh_calibration=True, aim="balanced"),
)
