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
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pe_ray.corpus import markup
from pe_ray.corpus.columns import Turns, with_column, with_texts

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

CURLY = "\u2013\u2014\u2018\u2019\u201c\u201d\u2026"
"""Dashes, curly quotes and the ellipsis: no step changes them, and by themselves they are no mojibake."""
SUSPECT = rf"[^\n -%'-;=-z|}}~{CURLY}]|  | \n|\n |\n\n\n|\A[ \n]|[ \n]\z|[.!?][A-Z]"  # of RE2, over a whole column
"""What every text has that a step could change."""
DOUBTFUL = r"[\[{]|\A[^A-Za-z0-9]*\z"
"""What every text has that could be a fault."""

NO_MOJIBAKE = re.compile(f"[\x00-\x7f\xa0{CURLY}]*")
LINE_END = re.compile("[\r\x0b\x0c\x85\u2028\u2029]")
SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
ZERO_WIDTH = re.compile("[\u00ad\u200b\u200e\u200f\u2060\ufeff]")
JOINERS = re.compile("(?<=[\x00-\x7f])[\u200c\u200d]+|[\u200c\u200d]+(?=[\x00-\x7f]|$)")  # elsewhere they spell
CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f]")
LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
CSS_RULE = re.compile(r"[a-z*.#@][\w.#:,>*\- ]{0,80}\{\s*[a-z-]+\s*:[^{}]*\}", re.IGNORECASE)
TEMPLATE_BLANK = re.compile(
    r"\[(?:insert |your |the |client'?s? |user ?\d*'?s? )*(?:first |last |full )?name\]|\{\{[^{}\n]*\}\}|\{\w*name\}",
    re.IGNORECASE,
)
STUCK_SENTENCE = re.compile(r"[.!?](?=[A-Z])(?:(?<=[a-z][a-z].)|(?<=\d.))(?=[A-Z][a-z]|[AI](?:[ ,'’\n]|$))")
SPACE = re.compile(r"\s")
BLANKS, BLANK_AT_LINE_END, EMPTY_LINES = (re.compile(p) for p in ("[ \t]{2,}|\t", " ?\n ?", "\n{3,}"))
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
    turns = Turns.of(table)
    texts, changed = _cleaned(turns.texts)
    if changed:
        table = with_texts(table, turns, texts)
    changes: list[list[str]] = [[] for _ in range(len(table))]
    for message, record in zip(changed, turns.record_of(np.array(list(changed), np.int64)).tolist(), strict=True):
        changes[record] += changed[message]
    order = [name for name, _ in STEPS]
    table = with_column(table, "changes", [sorted(set(c), key=order.index) if c else c for c in changes])
    return table.append_column("fault", pa.array(_faults(turns, texts), pa.string()))


def _cleaned(texts: pa.StringArray) -> tuple[pa.StringArray, dict[int, list[str]]]:
    """The repaired texts, and for each that changed the steps that did it."""
    suspect = np.flatnonzero(pc.match_substring_regex(texts, SUSPECT).to_numpy(zero_copy_only=False))
    repaired, changed = [], {}
    for message, text in zip(suspect.tolist(), texts.take(suspect).to_pylist(), strict=True):
        after, names = clean_text(text)
        if names:
            repaired.append(after)
            changed[message] = names
    if not changed:
        return texts, changed
    mask = np.zeros(len(texts), bool)
    mask[list(changed)] = True
    return pc.replace_with_mask(texts, mask, pa.array(repaired, pa.string())), changed


def _faults(turns: Turns, texts: pa.StringArray) -> list[str | None]:
    """(N,) what is wrong with the first message of a record that has something wrong."""
    faults: list[str | None] = [None] * (len(turns.offsets) - 1)
    doubtful = np.flatnonzero(pc.match_substring_regex(texts, DOUBTFUL).to_numpy(zero_copy_only=False))
    records = turns.record_of(doubtful).tolist()
    said = zip(texts.take(doubtful).to_pylist(), turns.roles.take(doubtful).to_pylist(), strict=True)
    for message, record, (text, role) in zip(doubtful.tolist(), records, said, strict=True):
        if faults[record] is None and (wrong := _wrong(text)):
            faults[record] = f"{wrong} in message {message - turns.offsets[record] + 1} ({role})"
    return faults


def _wrong(text: str) -> str | None:
    if not any(c.isalnum() for c in text):
        return "no words left"
    return "a template's blank was not filled" if TEMPLATE_BLANK.search(text) else None


def fix_line_ends(text: str) -> str:
    return LINE_ENDS.sub("\n", text) if LINE_END.search(text) else text


def fix_encoding(text: str) -> str:
    """Mojibake such as "donâ€™t", C1 controls that were meant as Windows-1252, lone surrogates (ftfy)."""
    return text if NO_MOJIBAKE.fullmatch(text) else ftfy.fix_text(text, FTFY)


def fix_control(text: str) -> str:
    return CONTROL.sub("", text)


def fix_entities(text: str) -> str:
    """`&nbsp;` and its kin; twice, because some exports escape what was escaped."""
    for _ in range(2):
        if "&" not in text or not ENTITY.search(text):
            break
        text = ENTITY.sub(lambda m: html.unescape(m.group()), text)
    return text


def fix_css(text: str) -> str:
    """Style rules that lost their tag: `p.p1 {margin: 0px; font: 12px Helvetica}`."""
    return CSS_RULE.sub("", text) if "{" in text else text


def fix_unicode(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def fix_spaces(text: str) -> str:
    """No-break, thin, wide and other typographic spaces become plain ones."""
    return text if text.isascii() else SPACES.sub(" ", text)


def fix_zero_width(text: str) -> str:
    """What cannot be seen and is not needed to spell: zero-width spaces, marks, soft hyphens, stray joiners."""
    if text.isascii():
        return text
    text = ZERO_WIDTH.sub("", text)
    return JOINERS.sub("", text) if "\u200c" in text or "\u200d" in text else text


def fix_sentence_gap(text: str) -> str:
    """ "home.But" gets its space; addresses, decimals and abbreviations keep their dots."""
    pieces, start, word_end, is_address = [], 0, 0, False
    for gap in STUCK_SENTENCE.finditer(text):
        if gap.end() > word_end:
            word_start = 1 + max(text.rfind(blank, word_end, gap.start()) for blank in " \n\t")
            word_start, word_end = max(word_start, word_end), _word_end(text, gap.end())
            is_address = ADDRESS.search(text, word_start, word_end) is not None
        if not is_address:
            pieces.append(text[start : gap.end()])
            start = gap.end()
    return " ".join([*pieces, text[start:]]) if pieces else text


def _word_end(text: str, at: int) -> int:
    blank = SPACE.search(text, at)
    return blank.start() if blank else len(text)


def fix_whitespace(text: str) -> str:
    """One space between words, at most one empty line, none at the ends."""
    if "  " in text or "\t" in text:
        text = BLANKS.sub(" ", text)
    if " \n" in text or "\n " in text:
        text = BLANK_AT_LINE_END.sub("\n", text)
    return (EMPTY_LINES.sub("\n\n", text) if "\n\n\n" in text else text).strip()


STEPS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("line_ends", fix_line_ends),
    ("encoding", fix_encoding),
    ("control", fix_control),
    ("entities", fix_entities),
    ("html", markup.text_of),
    ("css", fix_css),
    ("unicode", fix_unicode),
    ("spaces", fix_spaces),
    ("zero_width", fix_zero_width),
    ("sentence_gap", fix_sentence_gap),
    ("whitespace", fix_whitespace),
)
