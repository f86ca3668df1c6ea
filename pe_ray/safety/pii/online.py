"""Traces on the net: mail addresses, web addresses, user names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pe_ray.safety.pii.keep import is_help_handle, is_help_host
from pe_ray.safety.pii.spans import Span

TLD = (
    r"(?:com|org|net|edu|gov|info|biz|blog|io|app|dev|me\.uk|co\.uk|org\.uk|ac\.uk|nhs\.uk|gov\.uk|com\.au|org\.au|"
    r"co\.nz|ca|ie|de|fr|eu)"
)
EMAIL = re.compile(
    r"(?<![\w.%+'-])[\w%+-](?:[\w.%+'-]{0,63}[\w%+-])?@(?P<host>(?:[A-Za-z0-9-]{1,63}\.){1,5}[A-Za-z]{2,24})(?![\w@])"
)
SPELT_EMAIL = re.compile(
    r"(?i)(?<![\w.+-])[\w.+-]{1,64}\s?(?:\(at\)|\[at\]|\bat\b|@)\s?(?P<host>[\w-]{1,63}(?:\s?(?:\(dot\)|\[dot\]|"
    r"\bdot\b)\s?[a-z]{2,10}){1,3})(?!\w)"
)
URL = re.compile(
    rf"(?i)(?<![\w@./-])(?:https?://(?P<host>[^\s/<>\"'“”)\]]{{1,255}})|www\.(?P<www>[a-z0-9.-]{{1,255}})|"
    rf"(?P<bare>(?:[a-z0-9-]{{1,63}}\.){{1,4}}{TLD})(?![\w-]|\.[a-z]))(?:[/?#][^\s<>\"“”]*)?"
)
HANDLE = re.compile(r"(?<![\w@./+-])@(?P<name>[A-Za-z_][\w.]{1,28}\w)(?![\w@]|\.\w)")
REDDIT = re.compile(r"(?<![\w/])/?u/[\w-]{3,20}(?![\w/])")
NAMED_ACCOUNT = re.compile(
    r"(?i)\b(?:user ?names?|screen ?names?|handle|instagram|insta|snapchat|snap|discord|twitter|tiktok|skype|"
    r"telegram|kik|gamer ?tag|ig|reddit|login|user id)"
    r"(?: account| handle| name| user ?name| id)?\s*(?:is|are|:|=|-|"
    r"as)?\s*[\"'“]?@?(?P<name>(?=[\w.#-]{0,30}[\d_])[A-Za-z_][\w.#-]{2,30}\w)"
)
ACCOUNT_NEEDS = (
    "user",
    "screen",
    "handle",
    "insta",
    "snap",
    "discord",
    "twitter",
    "tiktok",
    "skype",
    "telegram",
    "kik",
    "tag",
    "ig ",
    "reddit",
    "login",
)
SPELT_DOT = re.compile(r"(?i)[\w)\]] ?[(\[ ]dot[)\] ] ?\w")
DOT = re.compile(r"\.[A-Za-z]")
"""Every web address has one."""
TRAILING = ".,;:!?'’*_)]}"


def find_online(text: str) -> Iterator[Span]:
    """Every mail address, web address and account that is not one of those who help."""
    low = text.lower()
    if "@" in text:
        yield from (Span(*m.span(), "email") for m in EMAIL.finditer(text) if not is_help_host(m["host"]))
        yield from (Span(*m.span(), "username", 0.8) for m in HANDLE.finditer(text) if not is_help_handle(m["name"]))
    if "dot" in low and SPELT_DOT.search(text):
        yield from (Span(*m.span(), "email", 0.7) for m in SPELT_EMAIL.finditer(text) if not _spelt_help(m["host"]))
    if DOT.search(text):
        yield from _urls(text)
    if "u/" in text:
        yield from (Span(*m.span(), "username", 0.9) for m in REDDIT.finditer(text))
    if any(map(low.__contains__, ACCOUNT_NEEDS)):
        yield from (Span(*m.span("name"), "username", 0.8) for m in NAMED_ACCOUNT.finditer(text))


def _urls(text: str) -> Iterator[Span]:
    for match in URL.finditer(text):
        host = (match["host"] or match["www"] or match["bare"]).rsplit("@", 1)[-1].split(":")[0].split("?")[0]
        if not is_help_host(host.rstrip(TRAILING)):
            yield Span(match.start(), match.start() + len(match.group().rstrip(TRAILING)), "url")


def _spelt_help(host: str) -> bool:
    return is_help_host(re.sub(r"(?i)\s?(?:\(dot\)|\[dot\]|\bdot\b)\s?", ".", host))
