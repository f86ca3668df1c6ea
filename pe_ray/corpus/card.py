"""The data set card: README.md in a snapshot, in the form that the Hugging Face Hub reads.

It says where the texts come from and under which licences, how they were chosen, what was checked and with which
thresholds, and what the corpus is not good for. It names no time, so the same snapshot has the same card.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from pe_ray.config import CorpusConfig
from pe_ray.corpus import tally
from pe_ray.corpus.decontaminate import counted

NAME = "README.md"
HUB_LICENCES = frozenset(
    [
        *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "unlicense", "gpl-3.0", "lgpl-3.0", "agpl-3.0"),
        *("cc0-1.0", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0"),
        *("cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-4.0"),
        *("odc-by", "odbl", "pddl", "cdla-permissive-2.0", "cdla-sharing-1.0"),
    ]
)
"""Licence ids that the Hub knows and that texts come under; another one is `other` there, one not told `unknown`."""
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10**7, "1M<n<10M"))
LARGEST = "n>10M"
"""The Hub goes on to finer sizes; nobody has told us of a therapeutic corpus of that many records."""
ORIGIN = ("source", "licence", "attribution")
LOOKS_AT = {
    "coherence": "whether the answer belongs to the question",
    "generic": "whether the answer says something of its own",
    "bias": "whether the assistant speaks of people with respect",
    "transcription": "whether speech was heard, timed and written down well",
    "naturalness": "whether a dialogue sounds like people talking",
    "persona": "whether a persona keeps to its card",
}
FOUND_BY = (
    "Names, addresses, numbers and dates that identify a person are found by {means}, and replaced by stable "
    "surrogates. Crisis lines and toll-free numbers stay."
)
PERSONAL = {
    "off": "Personal data was **not looked for** (`pii.tier: off`). Take it that there is some.",
    "patterns": FOUND_BY.format(means="patterns with validators, cues and lists of names"),
    "presidio": FOUND_BY.format(means="patterns with validators, cues, lists of names and presidio's recognisers"),
}


@dataclass(frozen=True)
class CardFacts:
    """What the card says beside what it counts in the records themselves."""

    name: str
    fingerprint: str
    stage: Mapping[str, Any]
    """The `corpus` object of summary.json."""
    splits: Mapping[str, Mapping[str, int]]
    """Split, domain, records."""
    thresholds: Mapping[str, float]
    review_level: int
    pii_tier: str
    on_shortage: str
    held: Mapping[str, int] = field(default_factory=dict)
    duplicates: Mapping[str, int] = field(default_factory=dict)
    """Removed records by kind."""
    evaluation: Mapping[str, int] = field(default_factory=dict)
    """Evaluation sets, and records that were kept out for each."""
    personal_data: Mapping[str, int] = field(default_factory=dict)
    languages: Mapping[str, int] = field(default_factory=dict)
    generated: Mapping[str, int] = field(default_factory=dict)


def render(facts: CardFacts, records: Path) -> str:
    """The card of the records in that folder; only their origin is read."""
    origins = _origins(records)
    found = sorted(origins.items(), key=lambda kv: (-kv[1], kv[0]))
    return _template().render(
        header=_header(facts, origins),
        facts=facts,
        stage=facts.stage,
        domains=sorted({d for by_domain in facts.splits.values() for d in by_domain}),
        origins=found,
        unclear=sum(n for (_, licence, _), n in found if _hub_id(licence) == "unknown"),
        looks_at=LOOKS_AT,
        personal=PERSONAL[facts.pii_tier],
    )


def facts_of(
    config: CorpusConfig, keys: pa.Table, clusters: pa.Table, stage: Mapping[str, Any], splits: Mapping[str, Any]
) -> CardFacts:
    """What a build knows: its decided key columns, its clusters (`duplicates.clusters`), its summary and splits."""
    kept = keys.filter(pc.equal(keys["status"], tally.KEPT))
    least = config.checks.model_dump()
    return CardFacts(
        name=config.name,
        fingerprint=stage["fingerprint"],
        stage=stage,
        splits=splits,
        thresholds={n.removesuffix("_min"): v for n, v in least.items() if n.endswith("_min")},
        review_level=config.checks.review_level,
        pii_tier=config.pii.tier,
        on_shortage=config.on_shortage,
        held=tally.counts(pc.list_flatten(keys["held_for"])),
        duplicates=tally.counts(clusters["kind"].filter(pc.not_equal(clusters["kind"], "survivor"))),
        evaluation=counted(keys["contaminated"].to_pylist(), [e.name for e in config.decontaminate]),
        personal_data={kind: places for kind, places, _ in tally.personal_data(kept)},
        languages=tally.counts(kept["language"]),
        generated=tally.counts(kept["generated"]),
    )


def _origins(records: Path) -> Counter[tuple[str, str, str]]:
    counts: Counter[tuple[str, str, str]] = Counter()
    for path in sorted(records.glob("*.parquet")):
        table = pq.read_table(path, columns=[*ORIGIN])
        for row in table.group_by([*ORIGIN]).aggregate([([], "count_all")]).to_pylist():
            counts[row["source"], row["licence"], row["attribution"]] += row["count_all"]
    return counts


def _header(facts: CardFacts, origins: Mapping[tuple[str, str, str], int]) -> str:
    number = facts.stage["kept"]
    body: dict[str, Any] = {
        "pretty_name": facts.name,
        "license": _one_or_all(sorted({_hub_id(licence) for _, licence, _ in origins}) or ["unknown"]),
        "language": [code for code in facts.languages if re.fullmatch("[a-z]{2,3}", code) and code != "und"] or None,
        "task_categories": ["text-generation"],
        "tags": ["conversational", "dialogue", "mental-health", "psychology"],
        "size_categories": [next((name for most, name in SIZES if number < most), LARGEST)],
        "configs": [
            {"config_name": "default", "data_files": [{"split": "kept", "path": "records/*.parquet"}]},
        ],
    }
    told = {k: v for k, v in body.items() if v is not None}
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True)


def _hub_id(licence: str) -> str:
    name = re.sub(r"\s+", "-", licence.strip().lower())
    if name in ("", "unstated", "unknown"):
        return "unknown"
    return name if name in HUB_LICENCES else "other"


def _one_or_all(names: Sequence[str]) -> str | list[str]:
    return names[0] if len(names) == 1 else list(names)


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {
        "cell": lambda text: html.escape(" ".join(str(text).split()), quote=False).replace("|", "\\|"),
        "percent": lambda share: f"{100 * share:.1f} %",
        "thousands": lambda number: f"{number:,}",
    }
    return environment.from_string((resources.files("pe_ray.corpus") / "card.md.j2").read_text(encoding="utf-8"))
