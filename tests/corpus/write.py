"""Small sources for the tests of this folder, written as users write theirs."""

from __future__ import annotations

import json
from itertools import islice, product
from pathlib import Path
from typing import Any

from pe_ray.config import Config
from pe_ray.record import digest

THINGS = ("piano", "garden", "letter", "bicycle", "kitchen", "sister", "harbour", "ladder", "violin", "orchard")
PLACES = ("Lisbon", "the bakery", "the clinic", "school", "the farm", "the museum", "the island", "the library")
FEELINGS = ("restless", "tender", "furious", "hollow", "relieved")
DETAILS = (
    *("apron", "basket", "blanket", "bridge", "button", "candle", "carpet", "cellar", "chimney", "cupboard", "curtain"),
    *("drawer", "fence", "ferry", "hammer", "kettle", "lantern", "meadow", "mirror", "needle", "pillow", "puddle"),
    *("ribbon", "saddle", "scarf", "shovel", "sparrow", "stairs", "stove", "teapot", "tunnel", "umbrella", "wagon"),
)
KINDS = ("edge_case", "voice", "psychology", "dual_persona", "standard")
Scene = tuple[str, str, str]


def scenes(num: int, start: int = 0):
    """`num` different (thing, place, feeling), each enough to write one record from."""
    found = product(FEELINGS, THINGS, PLACES)
    return ((thing, place, feeling) for feeling, thing, place in islice(found, start, start + num))


def detail(*scene: str, num: int = 3) -> str:
    """A few things that only this scene speaks of, so that no two records are nearly the same."""
    drawn = [int(digest(str(n), *scene)[:8], 16) % len(DETAILS) for n in range(num)]
    return ", then ".join(f"the {DETAILS[n]}" for n in drawn)


def question(thing: str, place: str, feeling: str) -> str:
    seen = detail(thing, place, feeling)
    return f"After {place} I felt {feeling} about the {thing}; the {thing} is on my mind at work. We saw {seen}."


def answer(thing: str, place: str, feeling: str) -> str:
    known = detail(thing, place, feeling, "answer")
    return f"What happened with the {thing} at {place}? Being {feeling} may tell you its worth. What about {known}?"


def nearly(text: str) -> str:
    """The same text but for its last words, as a second release has it."""
    return f"{text} Again."


def jsonl(path: Path, rows: list[Any]) -> Path:
    """A file of JSON lines; a row that is a str is written as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows), encoding="utf-8")
    return path


def edge_case(scene: Scene, **over: Any) -> dict[str, Any]:
    return {
        "category": "therapy_resistance",
        "difficulty": "moderate",
        "purpose": "staying curious",
        "client": question(*scene),
        "therapist": answer(*scene),
        "expected_challenges": ["silence"],
        **over,
    }


def concept(scene: Scene, **over: Any) -> dict[str, Any]:
    return {
        "concept_id": "-".join(scene).replace(" ", "-"),
        "name": scene[0],
        "category": "technique",
        "question": question(*scene),
        "definition": answer(*scene),
        "clinical_use": f"The {scene[0]} is named, then {scene[1]}.",
        "example": f"Ana says that {scene[1]} smelled of rain.",
        "related": ["grounding"],
        **over,
    }


def qa(scene: Scene, **over: Any) -> dict[str, Any]:
    return {"question": question(*scene), "answer": answer(*scene), "topics": ["home"], **over}


def statement(scene: Scene, **over: Any) -> dict[str, Any]:
    thing, place, _ = scene
    known = detail(*scene)
    return {
        "statement": f"People from {place} cannot be trusted with a {thing}.",
        "group": "origin",
        "biased": True,
        "what_is_wrong": f"It judges everybody from {place} by where they live, before anyone has seen the {thing}. "
        f"Some keep {known} there.",
        "respectful_answer": f"Let us ask each person what they know about a {thing}, wherever they come from, "
        f"and what they did with {detail(*scene, 'answer')}.",
        "swapped_statement": f"People from our street cannot be trusted with a {thing}.",
        **over,
    }


def dialogue(scene: Scene, **over: Any) -> dict[str, Any]:
    card = {"age": 30, "traits": ["calm"], "background": "Grew up by the sea.", "speaking_style": "plain"}
    return {
        "dialogue_id": "-".join(scene),
        "personas": [{"name": "Ivo", "role": "help-seeker", **card}, {"name": "Mara", "role": "listener", **card}],
        "turns": [{"speaker": "Ivo", "text": question(*scene)}, {"speaker": "Mara", "text": answer(*scene)}],
        "topic": "change",
        **over,
    }


def session(scene: Scene) -> str:
    """A WebVTT transcript of one exchange."""
    return (
        "WEBVTT\n\nNOTE\ntitle: A talk\ncontent_type: transcript\nlanguage: en\n\n"
        f"00:00:01.000 --> 00:00:05.000\n<v Client>{question(*scene)}\n\n"
        f"00:00:06.000 --> 00:00:12.000\n<v Therapist>{answer(*scene)}\n"
    )


def five_sources(folder: Path, **nums: int) -> list[dict[str, str]]:
    """Files for all five kinds; the specs for `corpus.sources`. Standard is half statements, half questions."""
    num = {"edge_case": 14, "voice": 12, "psychology": 9, "dual_persona": 6, "standard": 18} | nums
    jsonl(folder / "edge_case/a.jsonl", [edge_case(s) for s in scenes(num["edge_case"])])
    jsonl(folder / "psychology/a.jsonl", [concept(s) for s in scenes(num["psychology"], 60)])
    jsonl(folder / "dual_persona/a.jsonl", [dialogue(s) for s in scenes(num["dual_persona"], 120)])
    half = num["standard"] // 2
    jsonl(folder / "standard/bias.jsonl", [statement(s) for s in scenes(half, 180)])
    jsonl(folder / "standard/qa.jsonl", [qa(s) for s in scenes(num["standard"] - half, 240)])
    for i, scene in enumerate(scenes(num["voice"], 300)):
        path = folder / f"voice/{i:02d}.vtt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(session(scene), encoding="utf-8")
    return [{"kind": kind, "path": str(folder / kind)} for kind in num]


def config(folder: Path, **corpus: Any) -> Config:
    """A run over `five_sources(folder)` (which must have been written) on the plain engine."""
    sources = [{"kind": k, "path": str(folder / k)} for k in KINDS]
    return Config.model_validate({"corpus": {"engine": "local", "min_records": 20, "sources": sources, **corpus}})


def one_source(path: Path, kind: str = "standard", **corpus: Any) -> Config:
    """A run over one source, which may be as small as it likes."""
    told = {"engine": "local", "min_records": 0, "targets": {kind: 1.0}, "sources": [{"kind": kind, "path": str(path)}]}
    return Config.model_validate({"corpus": told | corpus})
