"""A log line keeps its sense and loses the person."""

from __future__ import annotations

import io
import logging

import pytest

from pe_ray.security import redact

CANARY = "canary-91ab"


@pytest.fixture
def log():
    before = logging.getLogRecordFactory()
    redact.install()
    redact.install()
    stream = io.StringIO()
    logger = logging.getLogger("test_redact")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    yield logger, stream
    logger.removeHandler(handler)
    logging.setLogRecordFactory(before)


def test_paths_tokens_and_keys_are_masked(log) -> None:
    logger, stream = log
    logger.warning('%s "GET /progress/api/v1/clients/%s/journal?limit=3" %d', "127.0.0.1", CANARY, 200)
    logger.warning("authorization: Bearer %s and pr_0123456789ab_%s", CANARY, CANARY)
    assert CANARY not in stream.getvalue()
    assert '"GET /progress/api/v1/clients/*/journal?limit=3" 200' in stream.getvalue()


def test_an_exception_keeps_its_kind_and_place_only(log) -> None:
    logger, stream = log
    try:
        raise ValueError(CANARY)
    except ValueError:
        logger.exception("failed")
    assert CANARY not in stream.getvalue()
    assert "ERROR failed" in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert "test_redact.py" in stream.getvalue()


def test_a_bad_format_string_still_logs(log) -> None:
    logger, stream = log
    logger.warning("%d things", "many")
    assert "%d things" in stream.getvalue()
