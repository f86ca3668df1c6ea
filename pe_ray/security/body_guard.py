"""The door that every request body passes first: its size, its time, and whether it is JSON that we can hold.

Python's JSON reader accepts NaN, integers of any length, half surrogate pairs, repeated keys and deep nesting; each of
them ends somewhere behind as an error 500. Here each is a 4xx. Whatever still goes wrong behind this door is answered
by a 500 without detail and logged without a person's words.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pe_ray.security.text import is_storable

LOG = logging.getLogger("pe_ray.http")
MAX_DEPTH = 64
MAX_DIGITS = 40
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


class Refused(Exception):
    """A body that goes no further; `title` says why and never what it held."""

    def __init__(self, status: int, title: str) -> None:
        super().__init__(title)
        self.status, self.title = status, title


@dataclass(frozen=True)
class Limits:
    """Bytes and seconds that a request body may take; `larger` gives some paths (by ending) more bytes."""

    max_bytes: int = 2**20
    seconds: float = 30.0
    larger: Mapping[str, int] = field(default_factory=dict)

    def bytes_for(self, path: str) -> int:
        """The most bytes for a path."""
        return next((n for end, n in self.larger.items() if path.endswith(end)), self.max_bytes)


class BodyGuard:
    """ASGI middleware: reads and checks the body, hands it on, and answers what fails behind it."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app, self.limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            body = await self._read(scope, receive)
            await self.app(scope, _replay(body, receive), watch)
        except Refused as refused:
            await problem(refused.status, refused.title)(scope, receive, send)
        except Exception as error:  # noqa: BLE001 (an exception that leaves here is printed with a person's words)
            LOG.error("unexpected %s at %s", type(error).__name__, where(error))
            if not started:
                await problem(500)(scope, receive, send)
        return None

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        headers = {k.lower(): v for k, v in scope["headers"]}
        limit = self.limits.bytes_for(scope["path"])
        if _announced(headers) > limit:
            raise Refused(413, f"the body is longer than {limit} bytes")
        try:
            async with asyncio.timeout(self.limits.seconds):
                body = await _collect(receive, limit)
        except TimeoutError:
            raise Refused(408, f"the body did not arrive within {self.limits.seconds:g} seconds") from None
        if body:
            kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
            if kind != b"application/json":  # a web page can post other kinds to loopback without asking
                raise Refused(415, "the body must be JSON, sent as content-type: application/json")
            check_json(body)
        return body


def check_json(body: bytes) -> None:
    """Whether a body is JSON that we can hold; raises Refused (400) without a word of it."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Refused(400, f"byte {error.start} of the body is not UTF-8") from None
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _depth(body) > MAX_DEPTH:
        raise Refused(400, f"the body is nested deeper than {MAX_DEPTH} levels")
    try:
        value = json.loads(
            text, parse_constant=_no_constant, parse_float=_finite, parse_int=_short, object_pairs_hook=_unique
        )
    except json.JSONDecodeError as error:
        raise Refused(400, f"the body is not JSON (line {error.lineno}, column {error.colno})") from None
    if b"\\u" in body or "\0" in text:
        _check_strings(value)


def problem(
    status: int, title: str | None = None, *, headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """A problem document (RFC 9457); `more` are members beside type, title and status."""
    from http import HTTPStatus

    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Error"
    body = {"type": "about:blank", "title": title or phrase, "status": status, **more}
    return Response(
        json.dumps(body), status, {**(headers or {}), "cache-control": "no-store"}, "application/problem+json"
    )


def where(error: BaseException) -> str:
    """File, line and function of the innermost frames of an error; no message, no values."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return " < ".join(f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno} {f.name}" for f in reversed(frames)) or "?"


async def _collect(receive: Receive, limit: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "the client left before the body was complete")
        body += message.get("body", b"")
        if len(body) > limit:
            raise Refused(413, f"the body is longer than {limit} bytes")
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()  # a streaming reply listens for the client leaving
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _announced(headers: Mapping[bytes, bytes]) -> int:
    raw = headers.get(b"content-length", b"0")
    if not raw.isdigit() or len(raw) > 18:
        raise Refused(400, "content-length is not a number")
    return int(raw)


def _depth(body: bytes) -> int:
    depth = deepest = 0
    for token in _TOKEN.finditer(body):
        first = token.group()[:1]
        depth += first in (b"[", b"{")
        depth -= first in (b"]", b"}")
        deepest = max(deepest, depth)
    return deepest


def _no_constant(_: str) -> None:
    raise Refused(400, "NaN and Infinity are not JSON")


def _finite(raw: str) -> float:
    if not math.isfinite(value := float(raw)):
        raise Refused(400, "a number is too large")
    return value


def _short(raw: str) -> int:
    if len(raw) > MAX_DIGITS:
        raise Refused(400, f"an integer has more than {MAX_DIGITS} digits")
    return int(raw)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Refused(400, "a key stands twice in one object")
    return found


def _check_strings(value: Any) -> None:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str) and not is_storable(item):
            raise Refused(400, "a string holds NUL or half of a surrogate pair")
        if isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            waiting += item
