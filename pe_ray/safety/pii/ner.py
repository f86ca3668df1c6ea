"""Names that a model finds: a spaCy model or a transformers token classifier, from a folder on this machine.

It adds to cues and lists, which stay on. Nothing is fetched: without the folder or its library there is one clear line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from pe_ray.errors import UserError
from pe_ray.safety.pii.spans import Span

PERSON = frozenset({"PERSON", "PER"})
PIECE = 1000
"""Characters that a classifier reads at once: under the 512 tokens of the usual ones."""

Model = Callable[[str], list[tuple[int, int]]]


def find_by_model(text: str, path: Path) -> Iterator[Span]:
    """The people that the model at `path` names."""
    model = load(path)
    for start, end in model(text):
        name = text[start:end].strip()
        if any(c.isalpha() for c in name):
            at = text.index(name, start)
            yield Span(at, at + len(name), "name", 0.85)


@cache
def load(path: Path) -> Model:
    """The model in a folder; raises UserError for a folder without one, or a library that is missing."""
    if not path.is_dir():
        raise UserError(
            f"corpus.pii.ner={str(path)!r} is no folder; give a spaCy model or a transformers token classifier"
        )
    if (path / "meta.json").is_file():
        return _spacy(path)
    if (path / "config.json").is_file():
        return _transformers(path)
    raise UserError(f"corpus.pii.ner={str(path)!r} holds neither meta.json (spaCy) nor config.json (transformers)")


def _spacy(path: Path) -> Model:
    try:
        import spacy
    except ImportError:
        raise UserError(f"corpus.pii.ner={str(path)!r} is a spaCy model, and spacy is not installed") from None
    try:
        nlp = spacy.load(path)
    except (OSError, ValueError, ImportError) as fault:
        raise UserError(f"corpus.pii.ner={str(path)!r} could not be loaded by spaCy ({type(fault).__name__})") from None
    return lambda text: [(e.start_char, e.end_char) for e in nlp(text).ents if e.label_ in PERSON]


def _transformers(path: Path) -> Model:
    from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        model = AutoModelForTokenClassification.from_pretrained(path, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError) as fault:
        raise UserError(
            f"corpus.pii.ner={str(path)!r} could not be loaded as a token classifier ({type(fault).__name__}); "
            "config.json, safetensors and a fast tokenizer are wanted"
        ) from None
    classify = pipeline("token-classification", model=model, tokenizer=tokenizer, aggregation_strategy="simple")

    def people(text: str) -> list[tuple[int, int]]:
        found = [(offset, entity) for offset, piece in _pieces(text) for entity in classify(piece)]
        return [(o + int(e["start"]), o + int(e["end"])) for o, e in found if e["entity_group"] in PERSON]

    return people


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Stretches of a text with their offsets, cut at spaces."""
    for match in re.finditer(rf"(?s)\S(?:.{{0,{PIECE - 1}}}(?!\S)|.{{0,{PIECE - 1}}})", text):
        yield match.start(), match.group()
