"""Logs without a person in them: applied to every record of a process, whoever writes it.

A client's id in a path, a key or token, and the message of an exception (which may quote a value) are taken out; the
kind of the exception and the lines of code that it passed stay.
"""

from __future__ import annotations

import logging
import re
import traceback
from typing import Any

RULES = (
    (re.compile(r"(/clients/)[^/\s\"'?]+"), r"\1*"),
    (re.compile(r"(?i)(bearer\s+)[A-Za-z0-9._~+/=-]+"), r"\1*"),
    (re.compile(r"\bpr_[0-9a-f]{12}_[A-Za-z0-9_-]+"), "pr_*"),
)


def redact(text: str) -> str:
    """The text without client ids in paths, tokens and keys."""
    for pattern, replacement in RULES:
        text = pattern.sub(replacement, text)
    return text


def install() -> None:
    """Redact every log record that this process makes from now on; a second call changes nothing."""
    make = logging.getLogRecordFactory()
    if getattr(make, "redacts", False):
        return

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        return _redacted(make(*args, **kwargs))

    factory.redacts = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(factory)


def _redacted(record: logging.LogRecord) -> logging.LogRecord:
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001 (logging swallows a bad format string as well)
        message = str(record.msg)
    if record.exc_info and record.exc_info[0] is not None:
        kind, _, trace = record.exc_info
        message += f"\n{''.join(traceback.format_tb(trace))}{kind.__name__}"
    record.msg, record.args, record.exc_info, record.exc_text = redact(message), None, None, None
    return record
