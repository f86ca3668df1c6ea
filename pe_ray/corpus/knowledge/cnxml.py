"""CNXML modules, the form in which open textbooks are written: glossary, sections, questions with their solution.

A glossary term gives a concept, answered by its meaning and the paragraph that introduces it; a section gives passages;
an exercise with a solution gives its own question. Format: https://docs.openstax.org/cnxml
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO
from xml.etree.ElementTree import Element

from pe_ray.corpus.knowledge import questions
from pe_ray.corpus.knowledge.cnxml_text import Paragraph, Section, list_items, sections, title_of, words
from pe_ray.corpus.knowledge.entry import (
    CONTEXTUAL,
    EXTRACTED,
    About,
    Entry,
    Problem,
    fold,
    identifier,
    one_line,
)
from pe_ray.corpus.knowledge.passages import passages, sentences
from pe_ray.corpus.knowledge.xml import line_of, local, tree

CONTAINERS = frozenset({"document", "content", "section", "note", "glossary"})
GENERIC = {"", "introduction", "summary", "overview", "conclusion", "key terms"}
"""Titles that name no subject; what they are part of does."""
ABOUT_THE_BOOK = {"preface", "about the authors", "answer key", "index", "references", "copyright"}
"""Modules, by title, that say nothing of the field."""
EXCERPT_WORDS = 70

BLANK = re.compile(r"_{2,}")
TO_TEACHERS = re.compile(r"^(?:Student )?[Aa]nswers (?:will|may) vary[.;,]?\s*")
LETTERED = re.compile(r"^\(?([A-Za-z])[.)]?$")


@dataclass(frozen=True)
class Module:
    """One module while it is read."""

    title: str
    uri: str
    sections: list[Section]
    licence: str

    def metadata(self, **more: str) -> dict[str, str]:
        """`recording` keeps a module in one split: a definition and its passage share a paragraph."""
        return {"title": self.title, "recording": self.uri} | {key: value for key, value in more.items() if value}


def read(handle: BinaryIO, uri: str) -> Iterator[Entry | Problem]:
    """The entries of a module, then what is wrong with it."""
    page = tree(handle, CONTAINERS)
    if page.root is not None and local(page.root) != "document":
        yield Problem(line_of(page.root), "document", f"begins with <{local(page.root)}>; CNXML begins with <document>")
        return
    found = 0
    if page.root is not None and fold(title_of(page.root)) in ABOUT_THE_BOOK:
        yield Problem(0, "title", "is that of a part about the book itself; left out")
        return
    if page.root is not None:
        for item in _read(page.root, uri):
            found += 1
            yield item
    if page.damage:
        yield page.damage
    elif not found:
        yield Problem(0, "document", "holds no section, glossary or exercise with a word in it")


def _read(root: Element, uri: str) -> Iterator[Entry | Problem]:
    title = title_of(root)
    module = Module(title, uri, sections(root, title), _licence(root))
    for element in root.iter():
        if local(element) == "definition":
            yield _definition(element, module)
    for section in module.sections:
        yield from _passages(section, module)
    for element in root.iter():
        if local(element) == "exercise" and (entry := _exercise(element, module)):
            yield entry


def _definition(element: Element, module: Module) -> Entry | Problem:
    parts = {local(child): child for child in element}
    name = words(parts["term"]) if "term" in parts else ""
    meaning = words(parts["meaning"]) if "meaning" in parts else ""
    if not name or not meaning:
        missing = "term" if not name else "meaning"
        return Problem(line_of(element), missing, f"is missing or empty; a definition has a <{missing}>")
    about = About(identifier("term", name), one_line(name), "term", meaning)
    introduced = _introduction(name, module.sections)
    return Entry(
        line_of(element),
        questions.ask(questions.TERM, module.uri + fold(name), name=about.name),
        about.answer(_excerpt(introduced.text, name) if introduced else ""),
        module.metadata(question=CONTEXTUAL, introduced_at=str(introduced.line) if introduced else "")
        | about.metadata(),
        licence=module.licence,
    )


def _introduction(name: str, among: list[Section]) -> Paragraph | None:
    """The paragraph that marks the term as new, else the first that names it."""
    wanted = _stem(name)
    paragraphs = [p for section in among if section.style != "summary" for p in section.paragraphs]
    for paragraph in paragraphs:
        if wanted in map(_stem, paragraph.terms):
            return paragraph
    return next((p for p in paragraphs if _named(wanted).search(p.folded)), None)


def _excerpt(text: str, name: str) -> str:
    """From the sentence that names the term on: paragraphs that introduce several terms would be near-duplicates."""
    parts = sentences(text)
    named = _named(_stem(name))
    start = next((i for i, sentence in enumerate(parts) if named.search(fold(sentence))), 0)
    kept = parts[start : start + 1]
    for sentence in parts[start + 1 :]:
        if sum(len(s.split()) for s in (*kept, sentence)) > EXCERPT_WORDS:
            break
        kept.append(sentence)
    return " ".join(kept)


def _named(stem: str) -> re.Pattern[str]:
    return re.compile(rf"\b{re.escape(stem)}(?:s|es)?\b")


def _stem(name: str) -> str:
    """A term without what the glossary and the text write differently: an abbreviation in brackets, a plural."""
    bare = re.sub(r"\s*\([^)]*\)", "", fold(name)).strip()
    return bare[:-1] if bare.endswith("s") and not bare.endswith(("ss", "is", "us")) else bare


def _passages(section: Section, module: Module) -> Iterator[Entry]:
    found = passages([p.text for p in section.paragraphs])
    for part, (text, first) in enumerate(found, start=1):
        paragraph = section.paragraphs[first]
        terms = [t for p in section.paragraphs if p.text in text for t in p.terms]
        yield Entry(
            paragraph.line,
            _question(section, module, part, text, terms),
            text,
            module.metadata(
                question=CONTEXTUAL,
                section=section.title,
                category=section.style if section.style in ("summary", "note") else "passage",
                terms=", ".join(dict.fromkeys(terms)),
            ),
            licence=module.licence,
        )


def _question(section: Section, module: Module, part: int, text: str, terms: list[str]) -> str:
    seed = f"{module.uri}:{section.line}:{part}"
    subjects = [t for t in (section.title, section.above, module.title) if fold(t) not in GENERIC]
    if not subjects:
        return questions.ask(questions.OPENING, seed, sentence=sentences(text)[0].strip())
    title, *above = (f"“{subject}”" for subject in dict.fromkeys(subjects))
    if part > 1 and terms:
        return questions.ask(questions.FURTHER, seed, term=terms[0], title=title)
    if part > 1:
        return questions.ask(questions.CONTINUED, seed, title=title, part=str(part))
    if section.style == "summary":
        return questions.ask(questions.SUMMARY, seed, title=title)
    if subjects[0].endswith("?"):
        return subjects[0]
    if above:
        return questions.ask(questions.PASSAGE, seed, title=title, subject=above[0])
    return questions.ask(questions.PASSAGE_ALONE, seed, title=title)


def _exercise(element: Element, module: Module) -> Entry | None:
    """A question of the book with its solution; without one there is nothing to learn from it."""
    parts = {local(child): child for child in element}
    if "problem" not in parts or "solution" not in parts:
        return None
    asked, solved = words(parts["problem"]), TO_TEACHERS.sub("", words(parts["solution"]))
    choices = list_items(parts["problem"])
    letter = LETTERED.match(solved)
    if letter and choices:
        stem = asked.split("\n")[0]
        asked, solved = _lettered(stem, choices), _choice(stem, choices, letter[1])
    if not asked or not solved:
        return None
    kind = "review question" if choices else "critical thinking"
    return Entry(
        line_of(element),
        asked,
        solved,
        module.metadata(question=EXTRACTED, category=kind),
        content_type="qa",
        licence=module.licence,
    )


def _lettered(stem: str, choices: list[str]) -> str:
    return "\n".join([stem, *(f"{chr(97 + i)}. {choice}" for i, choice in enumerate(choices))])


def _choice(stem: str, choices: list[str], letter: str) -> str:
    """The right choice in words, and the sentence that it completes."""
    index = ord(letter.casefold()) - 97
    if index >= len(choices):
        return ""
    chosen = f"{chr(97 + index)}. {choices[index]}"
    blanks = BLANK.findall(stem)
    return f"{chosen}\n\n{BLANK.sub(lambda _: choices[index], stem)}" if len(blanks) == 1 else chosen


def _licence(root: Element) -> str:
    found = next((e for e in root.iter() if local(e) == "license"), None)
    return "" if found is None else one_line(found.get("url") or "".join(found.itertext()))
