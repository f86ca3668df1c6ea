"""Diagnostic criteria in the manner of the DSM, from a text that the user supplies (`.criteria.txt`).

    Lantern Avoidance Disorder
    Z99.1
    Diagnostic Criteria
    A. Two (or more) of the following, for at least 3 months:
       1. Dread of lanterns.
       2. Leaving a room that is lit by one.
    B. The disturbance is not attributable to the physiological effects of a substance.
    Specify current severity:
       Mild: ...

No book's text comes with pe_ray. A disorder that cannot be read as a whole gives no criteria at all, because a part of
them would be another diagnosis.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from pe_ray.corpus.knowledge import criteria_words, questions
from pe_ray.corpus.knowledge.criteria_lines import CODES, Line, begins, name_and_code, read_line
from pe_ray.corpus.knowledge.criteria_set import CriteriaSet, Criterion, Option, Specifier
from pe_ray.corpus.knowledge.entry import (
    CONTEXTUAL,
    About,
    Entry,
    Problem,
    fold,
    identifier,
    unwritable_line,
)

WANTED = "a name, a code and criteria from A on are wanted"
DEPTH = {"letter": 0, "number": 1, "sub": 2}
OPTION_WORDS = 8
OPTION = re.compile(rf"^(?:[-*•]\s+)?(?:{CODES}\s+)?(?P<name>[A-Z][^:.]{{0,80}}?)(?::\s*(?P<text>.*))?$")


class _Unclear(ValueError):
    def __init__(self, line: int, name: str, reason: str) -> None:
        super().__init__(reason)
        self.problem = Problem(line, name, reason)


@dataclass
class Block:
    """What a marked line says, with the lines that go on with it."""

    line: int
    kind: str
    label: str
    text: str


@dataclass
class Draft:
    """A criterion while its parts are found; `depth` is that of its mark: A., 1., a."""

    block: Block
    depth: int
    of: list[Draft] = field(default_factory=list)


def read(text: str, uri: str) -> Iterator[Entry | Problem]:
    """An entry for each disorder, a problem for each that cannot be read, and for text that belongs to none."""
    for found in parse(text):
        yield found if isinstance(found, Problem) else _entry(*found)


def parse(text: str) -> Iterator[tuple[int, CriteriaSet] | Problem]:
    """Each disorder and the line of its name."""
    if fault := unwritable_line(text):
        yield fault
        return
    lines = [read_line(number, raw) for number, raw in enumerate(text.split("\n"), start=1)]
    starts = [i for i in range(len(lines)) if begins(lines, i)]
    before = [line for line in lines[: starts[0] if starts else None] if line.kind not in ("blank", "heading")]
    if before:
        yield Problem(before[0].number, "name", f"belongs to no disorder; {WANTED}")
    elif not starts:
        yield Problem(0, "file", f"holds no disorder; {WANTED}")
    for start, end in pairwise([*starts, len(lines)]):
        try:
            yield lines[start].number, _disorder(lines[start:end])
        except _Unclear as unclear:
            yield unclear.problem


def _disorder(lines: Sequence[Line]) -> CriteriaSet:
    name, code = name_and_code(lines[0].text)
    body = next((i for i, line in enumerate(lines) if line.kind in ("letter", "number", "specify")), len(lines))
    code = next((line.label for line in lines[:body] if line.kind == "code"), code)
    description = " ".join(line.text for line in lines[1:body] if line.kind == "words")
    if body == len(lines) or lines[body].kind != "letter":
        raise _Unclear(lines[0].number, "criteria", "has no criterion A; criteria begin with 'A.'")
    blocks = _blocks(lines[body:])
    criteria = tuple(_criterion(draft) for draft in _outline(blocks))
    return CriteriaSet(
        name=name,
        code=code,
        criteria=criteria,
        specifiers=_specifiers(blocks),
        exclusions=tuple(c.text for c in criteria if criteria_words.EXCLUDES.search(c.text)),
        notes=tuple(b.text for b in blocks if b.kind == "note" and b.text),
        description=description,
    )


def _blocks(lines: Sequence[Line]) -> list[Block]:
    """Lines put together: words go on with the block before, after a blank line only in lower case."""
    blocks: list[Block] = []
    blank = specifying = False
    for line in lines:
        if line.kind == "blank":
            blank = True
            continue
        specifying = line.kind == "specify" or (specifying and line.kind != "letter")
        kind = "words" if line.kind in ("code", "header", "heading") else line.kind
        if specifying and kind in ("words", "number", "sub"):
            kind = "option" if _is_option(line) else "words"
        if kind == "words" and not (blank and line.text[:1].isupper()):
            blocks[-1].text = f"{blocks[-1].text} {line.text}".strip()
        else:
            blocks.append(Block(line.number, "note" if kind == "words" else kind, line.label, line.text))
        blank = False
    return blocks


def _is_option(line: Line) -> bool:
    """In a specifier: "Mild: ...", a bullet or number, or a few words that are no sentence."""
    if line.kind in ("number", "sub"):
        return True
    found = OPTION.match(line.text)
    if not found or len(found["name"].split()) > OPTION_WORDS:
        return False
    return found["text"] is not None or line.text[0] in "-*•" or not line.text.endswith((".", ","))


def _outline(blocks: Sequence[Block]) -> list[Draft]:
    """Criteria with their parts; every mark must be the next one of its list."""
    top = Draft(Block(0, "", "", ""), -1)
    path = [top]
    for block in blocks:
        if block.kind not in DEPTH:
            continue
        depth = DEPTH[block.kind]
        while path[-1].depth >= depth:
            path.pop()
        siblings = path[-1].of
        wanted = str(len(siblings) + 1) if block.kind == "number" else chr(ord("Aa"[depth > 0]) + len(siblings))
        if block.label != wanted:
            raise _Unclear(block.line, "criterion", f"{block.label} stands where {wanted} is wanted")
        path.append(Draft(block, depth))
        siblings.append(path[-1])
    return top.of


def _criterion(draft: Draft) -> Criterion:
    text, parts = draft.block.text, tuple(_criterion(part) for part in draft.of)
    counted = criteria_words.count(text)
    needed = None if counted is None else len(parts) if counted.whole else counted.needed
    if counted and not parts:
        raise _Unclear(draft.block.line, "criterion", f"{draft.block.label} names a list that does not follow")
    if needed is not None and needed > len(parts):
        raise _Unclear(draft.block.line, "criterion", f"{draft.block.label} asks for {needed} of {len(parts)} items")
    core_needed, core = criteria_words.core(text)
    if missing := [label for label in core if label not in {part.label for part in parts}]:
        raise _Unclear(
            draft.block.line, "criterion", f"{draft.block.label} refers to a ({missing[0]}) that is not there"
        )
    return Criterion(
        label=draft.block.label,
        text=text,
        needed=needed,
        of=parts,
        duration=criteria_words.duration(text),
        core=core,
        core_needed=core_needed,
        alternatives=bool(criteria_words.ALTERNATIVES.search(text)),
    )


def _specifiers(blocks: Sequence[Block]) -> tuple[Specifier, ...]:
    """Each "Specify ..." with the options below it, and what stands behind its colon as the first."""
    found: list[tuple[str, list[Option]]] = []
    for block in blocks:
        if block.kind == "specify":
            found.append((block.label.casefold(), [_option(block.text)] if block.text else []))
        elif block.kind == "option":
            found[-1][1].append(_option(block.text))
    return tuple(Specifier(of, tuple(options)) for of, options in found)


def _option(text: str) -> Option:
    found = OPTION.match(text)
    if not found:
        return Option(text)
    return Option(found["name"].strip(), found["text"] or "", found["other"] or found["code"] or "")


def _entry(line: int, found: CriteriaSet) -> Entry:
    about = About(
        concept_id=identifier("disorder", found.name),
        name=found.name,
        kind="disorder",
        definition=found.description or found.summary(),
        criteria=found.to_json(),
    )
    metadata = {"question": CONTEXTUAL, "code": found.code, "min_total": str(found.min_total or "")}
    return Entry(
        line,
        questions.ask(questions.CRITERIA, fold(found.name), name=found.name),
        found.render(),
        {key: value for key, value in metadata.items() if value} | about.metadata(),
    )
