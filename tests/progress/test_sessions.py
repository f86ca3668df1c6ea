"""Sessions begin, end and keep their summary to themselves."""

from __future__ import annotations

import pytest

from pe_ray.errors import ClientNotFound
from pe_ray.progress.journal import Journal
from tests.progress.conftest import Clock


def test_a_session_from_beginning_to_end(journal: Journal, clock: Clock) -> None:
    late = journal.sessions.start("ada", channel="ai")
    early = journal.sessions.start("ada", started_at=clock.back(3), ended_at=clock.back(2.9), summary="about sleep")
    journal.sessions.end("ada", late, summary="about work")
    assert journal.sessions.list("ada") == [
        {
            "id": early,
            "channel": "human",
            "started_at": "2026-02-26T12:00:00Z",
            "ended_at": "2026-02-26T14:24:00Z",
            "summary": "about sleep",
        },
        {
            "id": late,
            "channel": "ai",
            "started_at": "2026-03-01T12:00:00Z",
            "ended_at": "2026-03-01T12:00:00Z",
            "summary": "about work",
        },
    ]


def test_nobody_ends_the_session_of_another(journal: Journal) -> None:
    session = journal.sessions.start("ada")
    journal.sessions.start("bob")
    with pytest.raises(ClientNotFound):
        journal.sessions.end("bob", session, summary="mine now")
    assert journal.sessions.list("ada")[0]["ended_at"] is None
