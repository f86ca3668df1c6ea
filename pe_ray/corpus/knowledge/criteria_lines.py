"""The lines of diagnostic criteria by what they are: names, codes, criteria, symptoms, specifiers, notes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pe_ray.corpus.knowledge.entry import one_line

ICD_10 = r"[A-Z]\d{2}(?:\.[0-9A-Z]{1,4})?"
ICD_9 = r"\d{3}\.\d{1,2}"
CODES = rf"\(?(?P<code>{ICD_10}|{ICD_9})\)?(?:\s*\((?P<other>{ICD_10})\))?"
KINDS = (
    ("header", re.compile(r"^(?:#{1,6}\s+)?(?:diagnostic\s+)?criteria:?(?P<text>)$", re.I)),
    ("heading", re.compile(r"^#{1,6}\s+(?P<text>.+)$")),
    ("code", re.compile(rf"^{CODES}(?P<text>)$")),
    ("note", re.compile(r"^(?:coding\s+)?note:\s*(?P<text>.*)$", re.I)),
    ("specify", re.compile(r"^specify\b\s*(?P<label>[^:]{0,80}?)\s*(?::\s*(?P<text>.*))?$", re.I)),
    ("letter", re.compile(r"^(?:Criterion\s+)?(?P<label>[A-Z])[.:)]\s+(?P<text>\S.*)$")),
    ("number", re.compile(r"^\(?(?P<label>\d{1,2})[.)]\s+(?P<text>\S.*)$")),
    ("sub", re.compile(r"^\(?(?P<label>[a-z])[.)]\s+(?P<text>\S.*)$")),
)
"""What a line can be, the first that fits; any other is words."""
NAME_WORDS = 12
NAME_CODE = re.compile(rf"^(?:{CODES}\s+)?(?P<name>.*?\S)$")
CODE_AFTER = re.compile(rf"\s*[(\[]?\b(?P<code>{ICD_10}|{ICD_9})[)\]]?$")


@dataclass(frozen=True)
class Line:
    """A line of the text by what it is."""

    number: int
    kind: str
    text: str
    label: str = ""


def read_line(number: int, raw: str) -> Line:
    stripped = one_line(raw.replace("**", ""))
    if not stripped:
        return Line(number, "blank", "")
    for kind, pattern in KINDS:
        if found := pattern.match(stripped):
            named = found.groupdict()
            label = named.get("label") or named.get("other") or named.get("code") or ""
            return Line(number, kind, named["text"] or "", label)
    return Line(number, "words", stripped)


def begins(lines: Sequence[Line], i: int) -> bool:
    """A disorder begins at a short line after which its code, its heading or criterion A stands."""
    line = lines[i]
    following = next((after for after in lines[i + 1 :] if after.kind != "blank"), None)
    if following is None or line.kind not in ("heading", "words"):
        return False
    if line.kind == "heading":
        return following.kind not in ("heading",)
    starts_block = i == 0 or lines[i - 1].kind in ("blank", "heading")
    named = len(line.text.split()) <= NAME_WORDS and not line.text.endswith((".", ";", ":", ","))
    opens = following.kind in ("code", "header") or (following.kind, following.label) == ("letter", "A")
    return starts_block and named and opens and not (i and lines[i - 1].kind == "heading")


def name_and_code(text: str) -> tuple[str, str]:
    """A name without the code that stands before or after it."""
    before = NAME_CODE.match(text)
    name = before["name"] if before else text
    code = (before["other"] or before["code"] or "") if before else ""
    if after := CODE_AFTER.search(name):
        name, code = name[: after.start()], after["code"]
    return name.strip(" -–—:"), code
