"""The text of an HTML fragment, a line for each block. "I <3 you" and "<unsure>" are no HTML.

Most fragments are a few paragraphs whose tags are properly nested; those are read in one pass over the tags. Whatever
is not so simple (scripts, comments, tags left open, stray signs) goes to Beautiful Soup, and both give the same text.
"""

from __future__ import annotations

import re

from bs4 import BeautifulSoup

BLOCK_TAGS = ("p", "div", "br", "li", "ul", "ol", "tr", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "hr")
SILENT_TAGS = ("script", "style", "head", "title", "noscript", "iframe")
OTHER_TAGS = (
    *("a", "abbr", "b", "big", "body", "center", "code", "del", "em", "figure", "font", "head", "html", "i", "iframe"),
    *("img", "ins", "link", "meta", "noscript", "nobr", "o:p", "pre", "s", "script", "small", "span", "strike"),
    *("strong", "style", "sub", "sup", "svg", "table", "tbody", "td", "th", "thead", "title", "tt", "u", "video"),
)
TAG = re.compile(rf"<!--|<!doctype|</?(?:{'|'.join((*BLOCK_TAGS, *OTHER_TAGS))})(?=[\s/>])[^<>]*>", re.IGNORECASE)

BREAKS, VOID = frozenset(("br", "hr")), frozenset(("br", "hr", "img", "link", "meta"))
PLAIN_TAGS = frozenset((*BLOCK_TAGS, *OTHER_TAGS)) - {*SILENT_TAGS, "o:p", "pre", "svg", "body", "html", "link", "meta"}
PLAIN_TAG = re.compile(r"<(/?)([a-z]+[1-6]?)(?=[\s/>])([^<>&]*)>", re.IGNORECASE)
SPACES = " \n\t\f\r"


def text_of(text: str) -> str:
    """The words of a fragment; a text without a tag is given back as it is."""
    if "<" not in text or not TAG.search(text):
        return text
    plain = _nested(text)
    return _soup(text) if plain is None else plain


def _nested(text: str) -> str | None:
    """The words of a fragment of plain, properly nested tags; None where Beautiful Soup is needed."""
    if "&" in text:
        return None
    pieces: list[str] = []
    within: list[str] = []
    at = 0
    for tag in PLAIN_TAG.finditer(text):
        closes, name, rest = tag[1], tag[2].lower(), tag[3]
        if name not in PLAIN_TAGS or not _follows(within, closes, name, rest):
            return None
        pieces += [_between(text[at : tag.start()]), _line(closes, name)]
        at = tag.end()
    pieces.append(_between(text[at:]))
    said = "".join(pieces)
    return None if within or "<" in said else said


def _follows(within: list[str], closes: str, name: str, rest: str) -> bool:
    """Whether a tag may stand here; `within` are the tags that are open, innermost last."""
    if closes:
        return name not in VOID and not rest.strip() and bool(within) and within.pop() == name
    if name in VOID:
        return '"' not in rest or rest.count('"') % 2 == 0
    within.append(name)
    return not rest.endswith("/") and rest.count('"') % 2 == 0 and "'" not in rest


def _between(text: str) -> str:
    """What stands between two tags; of nothing but spaces one is left, as Beautiful Soup does."""
    if not text or text.strip(SPACES):
        return text
    return "\n" if "\n" in text else " "


def _line(closes: str, name: str) -> str:
    if name not in BLOCK_TAGS:
        return ""
    return "\n\n" if closes and name == "p" else "\n"


def _soup(text: str) -> str:
    soup = BeautifulSoup(text, "html.parser")
    for node in soup(list(SILENT_TAGS)):
        node.decompose()
    for node in soup(list(BLOCK_TAGS)):
        if node.name in BREAKS:
            node.replace_with("\n")
            continue
        node.insert_before("\n")
        node.insert_after("\n\n" if node.name == "p" else "\n")
    return soup.get_text()
