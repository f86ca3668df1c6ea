"""Providers over HTTP: what they share, and the form of what they do not (`Dialect`)."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from pe_ray.config.generate import GenerateConfig
from pe_ray.corpus.generate.provider.base import Completion, ProviderFault
from pe_ray.record import Message

AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Answers after which the same request may succeed; any other 5xx too."""
FATAL = frozenset({401, 402, 403, 404, 405})
"""Answers that every request would get: a wrong key, an empty account, a wrong address or model."""
MAX_REPLY_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Dialect:
    """How one kind of provider is asked and understood."""

    path: str
    key_name: str
    """Environment variable of its key; empty: it has none."""
    headers: Callable[[str], Mapping[str, str]]
    """Of the key."""
    body: Callable[[str, Sequence[Message], int, float, int], dict[str, Any]]
    """Of model, messages, max_tokens, temperature, seed."""
    read: Callable[[Mapping[str, Any]], Completion]
    """May raise KeyError, TypeError, IndexError, AttributeError or ValueError for a body that is not the provider's."""


class HttpProvider:
    """One connection pool to one provider."""

    def __init__(self, dialect: Dialect, config: GenerateConfig, key: str) -> None:
        self._dialect, self._config = dialect, config
        self._url = config.url + dialect.path
        headers = {**(dialect.headers(key) if key else {}), "content-type": "application/json"}
        limits = httpx.Limits(max_connections=config.in_flight, max_keepalive_connections=config.in_flight)
        self._client = httpx.AsyncClient(
            headers=headers,
            timeout=config.timeout_s,
            limits=limits,
            trust_env=not is_loopback(config.url),  # a proxy cannot reach this machine's own servers
        )

    async def complete(self, messages: Sequence[Message], max_tokens: int, temperature: float, seed: int) -> Completion:
        """One reply; raises ProviderFault."""
        body = self._dialect.body(self._config.model, messages, max_tokens, temperature, seed)
        body = {k: v for k, v in {**body, **self._config.extra_body}.items() if v is not None}
        try:
            status, headers, raw = await self._post(json.dumps(body).encode())
        except httpx.TimeoutException:
            raise ProviderFault(f"no answer within {self._config.timeout_s:g} s", charged=True) from None
        except (httpx.ConnectError, httpx.UnsupportedProtocol):
            raise ProviderFault(f"no connection to {host(self._url)}") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProviderFault(f"the connection broke ({type(error).__name__})", charged=True) from None
        if status != 200:
            raise _refused(status, headers, raw)
        try:
            return self._dialect.read(json.loads(raw))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            raise ProviderFault("the reply is not what this provider sends", charged=True) from None

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def _post(self, content: bytes) -> tuple[int, httpx.Headers, bytes]:
        async with self._client.stream("POST", self._url, content=content) as reply:
            parts, size = [], 0
            async for part in reply.aiter_bytes():
                parts.append(part)
                size += len(part)
                if size > MAX_REPLY_BYTES:
                    raise ProviderFault(f"the reply is longer than {MAX_REPLY_BYTES} bytes", charged=True)
            return reply.status_code, reply.headers, b"".join(parts)


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine."""
    name = urlsplit(url).hostname or ""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def host(url: str) -> str:
    """Host and port of a URL, without what may be private in it."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that a `Retry-After` header asks to wait, given as a number or as a date; None without a usable one."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(?:\.\d+)?", value):
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - now).total_seconds())


def _refused(status: int, headers: httpx.Headers, raw: bytes) -> ProviderFault:
    wait = retry_after_s(headers, datetime.now(UTC)) if status in AGAIN or status >= 500 else None
    return ProviderFault(f"the provider answers {status}{_code(raw)}", retry_after_s=wait, fatal=status in FATAL)


def _code(raw: bytes) -> str:
    """The provider's own word for an error, if it is a word: its sentences may repeat what was sent."""
    try:
        error = json.loads(raw)["error"]
        words = [error.get("type"), error.get("code")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
    found = [w for w in words if isinstance(w, str) and re.fullmatch(r"[a-z0-9_.-]{1,40}", w)]
    return f" ({', '.join(dict.fromkeys(found))})" if found else ""
