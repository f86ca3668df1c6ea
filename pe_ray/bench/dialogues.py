"""Dialogues made for measuring the corpus engine: five sources as JSON lines, with the faults that real ones have.

Sentences are drawn from `dialogues.toml`, about 120 words a record in two to four messages. Row n of a source follows
from the seed and n alone, so that a corpus of any size is written as a stream, and ten times as many rows are ten times
as much of everything. They are no text to learn from, and none that a quality figure may be taken from.

How often a fault occurs follows what was counted in public sets. Of CounselChat's 2,223 answers here 902 are of the
release in which 98.9 % carry HTML; in the other 46 % miss a space after a full stop, 9 % of the answers stand there
twice; names, telephone numbers and addresses of pages were in 3, 2 and 20 of a hundred.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from random import Random
from typing import Any

from pe_ray.config import Config
from pe_ray.config.corpus import SHARES
from pe_ray.corpus.sources.edge_case import CATEGORIES, DIFFICULTIES

COPIES = {"exact": 0.05, "near": 0.05}
"""Share of the rows that say what an earlier row of their source says, in other dirt or with other words here and
there."""
SUBSTITUTED = 0.03
"""Share of the words of a near copy that are others."""
UNREADABLE = 0.002
"""Share of the rows that are cut off."""
SENTENCES = (5, 10)
"""Of a dialogue, inclusive."""
SAID_BY_CLIENT = 0.4
EXTRAS = {
    "crisis": {"edge_case": 0.12, "": 0.01},
    "no_crisis": {"": 0.03},
    "private": {"psychology": 0.0, "": 0.06},
    "pointers": {"standard": 0.2, "": 0.04},
    "stock": {"standard": 0.2, "": 0.05},
}
"""Share of the dialogues of a source ("": of any other) that hold a sentence of such a list."""
BY_THERAPIST = ("pointers", "stock")

Turns = list[str]
"""What is said in turn, the client first."""


def write(folder: Path, records: int, seed: int = 7) -> None:
    """Write `records` rows over the five sources, a folder each."""
    for source, number in counts(records).items():
        path = folder / source / "rows.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(line + "\n" for line in lines(source, number, seed))


def config(folder: Path, **corpus: Any) -> Config:
    """A run over what `write` has written: every usable record may stay, whatever that makes of the shares."""
    told: dict[str, Any] = {"sources": [_spec(source, folder / source) for source in SHARES]}
    told |= {"name": "dialogues", "engine": "local", "on_shortage": "renormalise", "min_records": 0, "min_processed": 0}
    return Config.model_validate({"corpus": told | {"max_records": 10**9} | corpus})


def counts(records: int) -> dict[str, int]:
    """How many rows of each source: the design's shares."""
    found = {source: int(records * share + 1e-9) for source, share in SHARES.items()}
    return found | {"standard": records - sum(found.values()) + found["standard"]}


def lines(source: str, number: int, seed: int, start: int = 0) -> Iterator[str]:
    """Rows `start` to `start + number` of a source as JSON; a few are cut off."""
    for n in range(start, start + number):
        rng = Random(f"{seed}:{source}:{n}:row")
        line = json.dumps(SHAPES[source](dirty(said(source, n, seed), source, rng), n, rng), ensure_ascii=False)
        yield line[: len(line) // 2] if rng.random() < UNREADABLE else line


def said(source: str, n: int, seed: int) -> Turns:
    """What is said in row n, before anything happens to it; a copy says what an earlier row says."""
    rng = Random(f"{seed}:{source}:{n}:copy")
    draw = rng.random()
    if not n or draw >= sum(COPIES.values()):
        return _fresh(source, Random(f"{seed}:{source}:{n}"))
    turns = _fresh(source, Random(f"{seed}:{source}:{rng.randrange(n)}"))
    return turns if draw < COPIES["exact"] else [_substituted(turn, rng) for turn in turns]


def _fresh(source: str, rng: Random) -> Turns:
    fact, size = rng.choice(_words()["fact"]), rng.randint(*SENTENCES)
    client = max(1, round(size * SAID_BY_CLIENT))
    voices = {"client": _drawn("client", client, fact, rng), "therapist": _drawn("therapist", size - client, fact, rng)}
    for extra, rates in EXTRAS.items():
        if rng.random() < rates.get(source, rates[""]):
            own = voices["therapist" if extra in BY_THERAPIST else "client"]
            own.insert(rng.randint(1, len(own)), *_drawn(extra, 1, fact, rng))
    if len(own := voices["client"]) > 1 and source in ("edge_case", "dual_persona") and rng.random() < 0.5:
        half, other = len(own) // 2, len(voices["therapist"]) // 2
        said = [own[:half], voices["therapist"][:other], own[half:], voices["therapist"][other:]]
    else:
        said = [own, voices["therapist"]]
    return [" ".join(sentences) for sentences in said]


def _drawn(kind: str, number: int, fact: str, rng: Random) -> list[str]:
    words = _words()

    def fill(match: re.Match[str]) -> str:
        return fact if match[1] == "fact" else rng.choice(words[match[1]])

    chosen = rng.sample(words[kind], min(number, len(words[kind])))
    return [re.sub(r"\{(\w+)\}", fill, sentence) for sentence in chosen]


def _substituted(text: str, rng: Random) -> str:
    others = _words()["feeling"]
    return " ".join(rng.choice(others) if rng.random() < SUBSTITUTED else word for word in text.split(" "))


@cache
def _words() -> dict[str, Any]:
    return tomllib.loads((resources.files("pe_ray.bench") / "dialogues.toml").read_text(encoding="utf-8"))


# --- what happens to text on its way ------------------------------------------------------------------------------


def dirty(turns: Turns, source: str, rng: Random) -> Turns:
    """The turns with the faults of a source, each drawn for the whole dialogue."""
    for rates, soil in DIRT:
        if rng.random() < rates.get(source, rates.get("", 0.0)):
            turns = soil(turns)
    return turns


def curly(turns: Turns) -> Turns:
    return [t.replace("'", "’") for t in turns]


def mojibake(turns: Turns) -> Turns:
    """UTF-8 read as Windows-1252."""
    return [t.replace("'", "’").encode().decode("cp1252", "ignore") for t in turns]


def stuck(turns: Turns) -> Turns:
    """Every other full stop has lost its space."""
    return [re.sub(r"([a-z]\.) ([A-Z][^.?!]*[.?!])", r"\1\2", t) for t in turns]


def html(turns: Turns) -> Turns:
    """Answers as a page's editor stores them."""
    return [_page(t) if at % 2 else t for at, t in enumerate(turns)]


def no_break(turns: Turns) -> Turns:
    return [t.replace(". ", ".\xa0 ") for t in turns]


def line_ends(turns: Turns) -> Turns:
    return [t.replace("? ", "?\r\n\r\n") for t in turns]


def invisible(turns: Turns) -> Turns:
    return [t.replace(", ", ",\u200b ") for t in turns]


def _page(text: str) -> str:
    body = text.replace("'", "&#39;").replace(". ", ".</p>\r\n<p>").replace(", and ", ",&nbsp;<em>and</em> ")
    return f'<p style="margin: 0px">{body}</p><br />'


DIRT: tuple[tuple[dict[str, float], Callable[[Turns], Turns]], ...] = (
    ({"standard": 0.3, "": 0.03}, stuck),
    ({"standard": 0.4, "": 0.01}, html),
    ({"standard": 0.3, "": 0.03}, no_break),
    ({"": 0.3}, curly),
    ({"": 0.05}, line_ends),
    ({"": 0.01}, mojibake),
    ({"": 0.01}, invisible),
)


# --- rows of each source ------------------------------------------------------------------------------------------


def _edge_case(turns: Turns, n: int, rng: Random) -> dict[str, Any]:
    category, difficulty = list(CATEGORIES)[n % len(CATEGORIES)], rng.choice(DIFFICULTIES)
    labels = {"category": category, "difficulty": difficulty, "purpose": "staying with what is said"}
    if len(turns) == 2:
        return {**labels, "client": turns[0], "therapist": turns[1], "expected_challenges": ["silence", "anger"]}
    roles = ("user", "assistant")
    return {
        **labels,
        "id": f"case {n}",
        "messages": [{"role": roles[i % 2], "content": t} for i, t in enumerate(turns)],
    }


def _voice(turns: Turns, n: int, rng: Random) -> dict[str, Any]:
    return {"asked": turns[0], "answered": turns[1], "tape": f"tape {n // 8}", "title": "A talk", "language": "en"}


def _psychology(turns: Turns, n: int, rng: Random) -> dict[str, Any]:
    sentences = re.split(r"(?<=[.?!]) ", turns[1])
    third = max(1, len(sentences) // 3)
    parts = [" ".join(sentences[i : i + third]) for i in (0, third, 2 * third)]
    definition, use, example = (part or parts[0] for part in parts)
    return {
        "concept_id": f"concept-{n}",
        "name": f"Concept {n}",
        "category": rng.choice(("technique", "theory", "symptom")),
        "question": turns[0],
        "definition": definition,
        "clinical_use": use,
        "example": example,
        "related": ["grounding"],
    }


def _dual_persona(turns: Turns, n: int, rng: Random) -> dict[str, Any]:
    cards = rng.sample(_words()["card"], 2)
    names = [card["name"] for card in cards]
    said = [{"speaker": names[i % 2], "text": t} for i, t in enumerate(turns)]
    return {"dialogue_id": f"dialogue {n}", "personas": cards, "turns": said, "topic": rng.choice(_words()["fact"])}


def _standard(turns: Turns, n: int, rng: Random) -> dict[str, Any]:
    if n % 10:
        topics = rng.sample(("anxiety", "family", "grief", "work", "sleep", "relationships"), 2)
        return {"question": turns[0], "answer": turns[1], "topics": topics}
    fact = rng.choice(_words()["fact"])
    statement, wrong, respectful, swapped = (_drawn(k, 1, fact, rng)[0] for k in STATEMENT)
    shown = {"statement": statement, "swapped_statement": swapped, "group": "origin", "biased": True}
    return {**shown, "what_is_wrong": f"{wrong} {turns[0]}", "respectful_answer": f"{respectful} {turns[1]}"}


STATEMENT = ("biased", "wrong", "respectful", "biased")
SHAPES: dict[str, Callable[[Turns, int, Random], dict[str, Any]]] = {
    "edge_case": _edge_case,
    "voice": _voice,
    "psychology": _psychology,
    "dual_persona": _dual_persona,
    "standard": _standard,
}


def _spec(source: str, path: Path) -> dict[str, Any]:
    spec: dict[str, Any] = {"kind": source, "path": str(path), "licence": "CC0-1.0", "attribution": "made for a bench"}
    if source != "voice":
        return spec
    columns = {"question": "asked", "answer": "answered", "recording": "tape", "title": "title", "language": "language"}
    return spec | {"kind": "table", "becomes": "voice", "columns": columns}
