"""The third tier: presidio's pattern recognisers, for breadth, on texts that passed the gate. No model, no network.

Left out are SpacyRecognizer (it needs a model), and those where our own patterns are stricter: mail addresses (theirs
asks tldextract, which fetches the list of public suffixes from the network), web addresses ("tell.me") and dates.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from pe_ray.errors import UserError
from pe_ray.safety.pii.spans import Span

LEFT_OUT = ("SpacyRecognizer", "EmailRecognizer", "UrlRecognizer", "DateRecognizer")
MIN_SCORE = 0.4
"""Below it stand bare digits that could be anything: a bank number has .05, a driving licence .01 to .3."""

TYPES = {
    "CREDIT_CARD": "card",
    "CRYPTO": "record_number",
    "IBAN_CODE": "iban",
    "IP_ADDRESS": "ip",
    "MAC_ADDRESS": "mac",
    "MEDICAL_LICENSE": "id_document",
    "PHONE_NUMBER": "phone",
    "UK_NHS": "record_number",
    "US_BANK_NUMBER": "record_number",
    "US_DRIVER_LICENSE": "id_document",
    "US_ITIN": "ssn",
    "US_PASSPORT": "id_document",
    "US_SSN": "ssn",
}


def find_more(text: str) -> Iterator[Span]:
    """What presidio finds; UserError, one line, where the extra is not installed."""
    for found in _analyzer().analyze(text=text, language="en", entities=list(TYPES), score_threshold=MIN_SCORE):
        yield Span(found.start, found.end, TYPES[found.entity_type], found.score)


def check() -> None:
    """Load presidio now, so that a long run does not find out later that it is missing."""
    _analyzer()


@cache
def _analyzer() -> Any:
    try:
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry  # seconds: spaCy brings torch with it
        from presidio_analyzer.nlp_engine import SpacyNlpEngine
        from spacy import blank
    except ImportError as missing:
        raise UserError(
            f"corpus.pii.tier='presidio' needs {missing.name or 'presidio_analyzer'}, which is not installed; "
            "install pe-ray[pii], or use tier 'patterns'"
        ) from None
    engine = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": "blank"}])
    engine.nlp = {"en": blank("en")}  # type: ignore[assignment]  # a loaded engine is not loaded again
    registry = RecognizerRegistry(supported_languages=["en"])
    registry.load_predefined_recognizers(languages=["en"], nlp_engine=engine)
    for name in LEFT_OUT:
        registry.remove_recognizer(name)
    return AnalyzerEngine(nlp_engine=engine, registry=registry, supported_languages=["en"])
