"""What WebVTT and SRT share: blocks of lines between empty ones, and the line of two times."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

TIME = r"(?:(\d{1,6}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
TIMING = re.compile(rf"^\s*{TIME}\s*-->\s*{TIME}(?:\s|$)")
CLOCK = re.compile(r"(?:(?:(\d{1,4}):)?(\d{1,3}):)?(\d{1,9})(?:[.,](\d{1,9}))?")


def blocks(words: str) -> Iterator[tuple[int, list[str]]]:
    """Runs of lines between empty ones, with the number of their first line."""
    block: list[str] = []
    for number, text in enumerate([*re.split(r"\r\n|\r|\n", words), ""], start=1):
        if text.strip():
            block.append(text)
        elif block:
            yield number - len(block), block
            block = []


def timing(text: str) -> tuple[float, float] | None:
    """Start and end in seconds of `00:00:01.000 --> 00:00:02.500`; None if it is no such line."""
    match = TIMING.match(text)
    return (_seconds(match.groups()[:4]), _seconds(match.groups()[4:])) if match else None


def clock(text: str) -> float | None:
    """Seconds of `00:01:13`, `1:13.5` or `73.5`; None if it is no time."""
    match = CLOCK.fullmatch(text.strip())
    if not match:
        return None
    hours, minutes, seconds, fraction = (p or "0" for p in match.groups())
    return int(hours) * 3600 + int(minutes) * 60 + float(f"{seconds}.{fraction}")


def _seconds(parts: Sequence[str | None]) -> float:
    hours, minutes, seconds, fraction = (p or "0" for p in parts)
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction.ljust(3, "0")) / 1000
