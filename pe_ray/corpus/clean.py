"""Repair of text: encoding, HTML, entities, Unicode, spaces. Each change is recorded by its name.

`clean_text` is the list `STEPS` in order; a step gives back its input where there is nothing to repair. `apply` runs it
over the messages of a table and marks records that have no words left, or that still hold a template's blank, in the
column `fault`. Ids stay those of the raw rows.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable

import ftfy
import pyarrow as pa
from bs4 import BeautifulSoup

FTFY = ftfy.TextFixerConfig(
    unescape_html=False,  # the steps below do these, each under its own name
    fix_latin_ligatures=False,
    fix_character_width=False,
    uncurl_quotes=False,
    fix_line_breaks=False,
    remove_control_chars=False,
    normalization=None,
    explain=False,
)

SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
ZERO_WIDTH = re.compile("[\u00ad\u200b\u200e\u200f\u2060\ufeff]")
JOINERS = re.compile("(?<=[\x00-\x7f])[\u200c\u200d]+|[\u200c\u200d]+(?=[\x00-\x7f]|$)")  # elsewhere they spell
CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f]")
LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
BLOCK_TAGS = ("p", "div", "br", "li", "ul", "ol", "tr", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "hr")
OTHER_TAGS = (
    *("a", "abbr", "b", "big", "body", "center", "code", "del", "em", "figure", "font", "head", "html", "i", "iframe"),
    *("img", "ins", "link", "meta", "noscript", "nobr", "o:p", "pre", "s", "script", "small", "span", "strike"),
    *("strong", "style", "sub", "sup", "svg", "table", "tbody", "td", "th", "thead", "title", "tt", "u", "video"),
)
TAG = re.compile(rf"<!--|<!doctype|</?(?:{'|'.join((*BLOCK_TAGS, *OTHER_TAGS))})(?=[\s/>])[^<>]*>", re.IGNORECASE)
CSS_RULE = re.compile(r"[a-z*.#@][\w.#:,>*\- ]{0,80}\{\s*[a-z-]+\s*:[^{}]*\}", re.IGNORECASE)
TEMPLATE_BLANK = re.compile(
    r"\[(?:insert |your |the |client'?s? |user ?\d*'?s? )*(?:first |last |full )?name\]|\{\{[^{}\n]*\}\}|\{\w*name\}",
    re.IGNORECASE,
)
STUCK_SENTENCE = re.compile(r"(?:(?<=[a-z][a-z])|(?<=\d))[.!?](?=[A-Z][a-z]|[AI](?:[ ,'’]|$))")
ADDRESS = re.compile(r"://|www\.|@|\.(?:com|org|net|edu|gov|info|html?|php|pdf|js|co\.uk)\b", re.IGNORECASE)


def clean_text(text: str) -> tuple[str, list[str]]:
    """The repaired text, and the names of the steps that changed it."""
    changes = []
    for name, step in STEPS:
        after = step(text)
        if after != text:
            changes.append(name)
            text = after
    return text, changes


def apply(table: pa.Table) -> pa.Table:
    """Clean every message. Sets `messages`, `changes`, and `fault` (null, or why the record cannot be used)."""
    messages, changes, faults = [], [], []
    for row in table["messages"].to_pylist():
        done = [(m["role"], *clean_text(m["text"])) for m in row]
        messages.append([{"role": role, "text": text} for role, text, _ in done])
        named = {name for _, _, names in done for name in names}
        changes.append([name for name, _ in STEPS if name in named])
        faults.append(_fault([(role, text) for role, text, _ in done]))
    schema = table.schema
    for name, values in (("messages", messages), ("changes", changes)):
        at = schema.get_field_index(name)
        table = table.set_column(at, schema.field(at), pa.array(values, schema.field(at).type))
    return table.append_column("fault", pa.array(faults, pa.string()))


def _fault(messages: list[tuple[str, str]]) -> str | None:
    for number, (role, text) in enumerate(messages, start=1):
        if not any(c.isalnum() for c in text):
            return f"no words left in message {number} ({role})"
        if TEMPLATE_BLANK.search(text):
            return f"a template's blank was not filled in message {number} ({role})"
    return None


def fix_line_ends(text: str) -> str:
    return LINE_ENDS.sub("\n", text)


def fix_encoding(text: str) -> str:
    """Mojibake such as "donâ€™t", C1 controls that were meant as Windows-1252, lone surrogates (ftfy)."""
    return text if text.isascii() else ftfy.fix_text(text, FTFY)


def fix_control(text: str) -> str:
    return CONTROL.sub("", text)


def fix_entities(text: str) -> str:
    """`&nbsp;` and its kin; twice, because some exports escape what was escaped."""
    for _ in range(2):
        if "&" not in text or not ENTITY.search(text):
            break
        text = ENTITY.sub(lambda m: html.unescape(m.group()), text)
    return text


def fix_html(text: str) -> str:
    """Tags out, the text of the page left, a line for each block. "I <3 you" and "<unsure>" are no HTML."""
    if "<" not in text or not TAG.search(text):
        return text
    soup = BeautifulSoup(text, "html.parser")
    for node in soup(["script", "style", "head", "title", "noscript", "iframe"]):
        node.decompose()
    for node in soup(list(BLOCK_TAGS)):
        if node.name in ("br", "hr"):
            node.replace_with("\n")
            continue
        node.insert_before("\n")
        node.insert_after("\n\n" if node.name == "p" else "\n")
    return soup.get_text()


def fix_css(text: str) -> str:
    """Style rules that lost their tag: `p.p1 {margin: 0px; font: 12px Helvetica}`."""
    return CSS_RULE.sub("", text) if "{" in text else text


def fix_unicode(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def fix_spaces(text: str) -> str:
    """No-break, thin, wide and other typographic spaces become plain ones."""
    return SPACES.sub(" ", text)


def fix_zero_width(text: str) -> str:
    """What cannot be seen and is not needed to spell: zero-width spaces, marks, soft hyphens, stray joiners."""
    return JOINERS.sub("", ZERO_WIDTH.sub("", text))


def fix_sentence_gap(text: str) -> str:
    """ "home.But" gets its space; addresses, decimals and abbreviations keep their dots."""
    if not STUCK_SENTENCE.search(text):
        return text
    return re.sub(r"\S+", lambda m: m.group() if ADDRESS.search(m.group()) else _part(m, text), text)


def _part(match: re.Match[str], text: str) -> str:
    # the pattern looks past the word's end, so it is matched in the whole text and applied to this word
    gaps = [g.end() for g in STUCK_SENTENCE.finditer(text, match.start(), min(len(text), match.end() + 1))]
    pieces, start = [], match.start()
    for gap in gaps:
        pieces.append(text[start:gap])
        start = gap
    return " ".join([*pieces, text[start : match.end()]])


def fix_whitespace(text: str) -> str:
    """One space between words, at most one empty line, none at the ends."""
    text = re.sub(r"[ \t]+", " ", text)
    text = re.sub(r" ?\n ?", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


STEPS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("line_ends", fix_line_ends),
    ("encoding", fix_encoding),
    ("control", fix_control),
    ("entities", fix_entities),
    ("html", fix_html),
    ("css", fix_css),
    ("unicode", fix_unicode),
    ("spaces", fix_spaces),
    ("zero_width", fix_zero_width),
    ("sentence_gap", fix_sentence_gap),
    ("whitespace", fix_whitespace),
)
