"""Glossaries in Markdown: list items, definition lists, headings and tables of a term and what it means.

- **Attachment**: the bond between a child and those who care for it      | term | definition |
- Shame - a painful feeling about oneself                                 |------|------------|
Grief                                                                     | ego  | ...        |
: what follows a loss
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from pe_ray.corpus.knowledge import questions
from pe_ray.corpus.knowledge.entry import CONTEXTUAL, About, Entry, Problem, identifier, one_line, unwritable

ITEM = re.compile(r"^\s*(?:[-*+•]|\d+[.)])\s+(?P<rest>.+)$")
BOLD = re.compile(
    r"^(?:\*\*|__)(?P<term>[^*_]{1,120}?)\s*(?::\s*)?(?:\*\*|__)\s*(?:[:–—]|-(?=\s)|\s)?\s*(?P<meaning>.*)$"
)
PAIR = re.compile(r"^(?P<term>[^:–—|]{1,80}?)\s*(?::\s|:$|\s[–—-]\s|\s[–—-]$)\s*(?P<meaning>.*)$")
TABLE_ROW = re.compile(r"^\|(.+)\|$")
TABLE_RULE = re.compile(r"^\s*\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)+\|?\s*$")
HEADING = re.compile(r"^\s{0,3}(#{1,6})\s+(.+)$")
DEFINED = re.compile(r"^\s*:\s+(?P<meaning>.+)$")
MARKS = re.compile(r"\*\*|__|`|(?<!\w)[*_](?=\w)|(?<=\w)[*_](?!\w)")
PAIRS_SHARE = 0.8
LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
SEE_ALSO = re.compile(r"\s*\(?\b[Ss]ee also:?\s+([^.()]+)\)?\.?\s*$")


@dataclass
class Term:
    """A term where it stands, and the lines of its meaning."""

    line: int
    name: str
    meaning: list[str] = field(default_factory=list)


def read(text: str, uri: str) -> Iterator[Entry | Problem]:
    """An entry for each term; one without a meaning is a problem."""
    found = terms(text)
    for term in found:
        yield _entry(term)
    if not found:
        yield Problem(0, "terms", "none in the file; '- **term**: definition' in each line, or a table, is wanted")


def terms(text: str) -> list[Term]:
    """The terms of a glossary in their order; prose between them is passed over."""
    found: list[Term] = []
    open_term: Term | None = None
    lines = text.split("\n")
    pairs_alone = _mostly_pairs(lines)
    for number, line in enumerate(lines, start=1):
        following = lines[number] if number < len(lines) else ""
        term = _term(number, line, following, pairs_alone)
        if term:
            found.append(term)
            open_term = term
        elif open_term and (defined := DEFINED.match(line)):
            open_term.meaning.append(defined["meaning"])
        elif open_term and line.strip() and not HEADING.match(line) and not ITEM.match(line):
            open_term.meaning.append(line)
        else:
            open_term = open_term if not line.strip() and open_term and not open_term.meaning else None
    return found


def _term(number: int, line: str, following: str, pairs_alone: bool) -> Term | None:
    if TABLE_RULE.match(line) or TABLE_RULE.match(following):  # the rule of a table, and its headings
        return None
    if row := TABLE_ROW.match(line.strip()):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row[1])]
        return Term(number, cells[0], [c for c in cells[1:2] if c])
    if DEFINED.match(line):
        return None
    if DEFINED.match(following) and line.strip():
        return Term(number, line)
    if heading := HEADING.match(line):
        return Term(number, heading[2].rstrip("# ")) if len(heading[1]) >= 3 else None
    item = ITEM.match(line)
    body = one_line(item["rest"] if item else line)
    pair = BOLD.match(body) or (PAIR.match(body) if item or pairs_alone else None)
    return Term(number, pair["term"], [pair["meaning"]] if pair["meaning"].strip() else []) if pair else None


def _mostly_pairs(lines: list[str]) -> bool:
    """A list without bullets: nearly every line is "term: meaning"; in prose a colon is no sign of a term."""
    told = [line for line in lines if line.strip() and not HEADING.match(line)]
    return bool(told) and sum(bool(PAIR.match(one_line(line))) for line in told) >= PAIRS_SHARE * len(told)


def _entry(term: Term) -> Entry | Problem:
    name, meaning = _words(term.name), "\n".join(_words(line) for line in term.meaning)
    if not name or not meaning:
        missing = "term" if not name else "definition"
        return Problem(term.line, missing, "is empty; a line gives a term and what it means")
    if fault := unwritable(name + meaning):
        return Problem(term.line, "definition", fault)
    related = SEE_ALSO.search(meaning)
    about = About(
        identifier("term", name),
        name,
        "term",
        SEE_ALSO.sub("", meaning) or meaning,
        related=tuple(one_line(r) for r in re.split(r",|;|\band\b", related[1]) if r.strip()) if related else (),
    )
    return Entry(
        term.line,
        questions.ask(questions.TERM, about.concept_id, name=name),
        about.answer(f"See also: {', '.join(about.related)}." if about.related else ""),
        {"question": CONTEXTUAL} | about.metadata(),
    )


def _words(line: str) -> str:
    return one_line(MARKS.sub("", LINK.sub(r"\1", line))).strip(" :")
