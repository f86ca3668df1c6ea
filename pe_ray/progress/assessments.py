"""Questionnaires that were filled in: answers and totals sealed, self-report and clinician rating kept apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, insert, select
from ulid import ULID

from pe_ray.progress import instruments
from pe_ray.progress.entries import insert_entries, sealed_row
from pe_ray.progress.repository import Repository, instant
from pe_ray.progress.tables import ASSESSMENT
from pe_ray.progress.trends import classify, reliable_change
from pe_ray.record import JournalEntry
from pe_ray.security import audit
from pe_ray.security.access import LOCAL
from pe_ray.security.api_keys import Principal

Source = Literal["self", "clinician"]


@dataclass(frozen=True)
class Scored:
    """What an assessment came to. `attention` names rules that ask for a look by a person."""

    id: str
    total: int
    band: str
    attention: tuple[str, ...]


class Assessments:
    """The assessments of all clients."""

    def __init__(self, repository: Repository) -> None:
        self._repo = repository

    def add(
        self,
        client_id: str,
        instrument: str,
        items: Sequence[int],
        at: datetime | None = None,
        source: Source = "self",
        who: Principal = LOCAL,
    ) -> Scored:
        """Score and keep one set of answers.

        An answer that asks for attention is journalled as a crisis entry in the same transaction. Raises UserError for
        an unknown instrument, a wrong number of answers or one out of range.
        """
        repo, scale = self._repo, instruments.find(instrument)
        total, flags, id = scale.score(items), tuple(scale.flags(items)), str(ULID())
        enrol, when = repo.enrol([client_id]), instant(at or repo.clock())
        answers = {"items": list(items), "total": total}
        row = {
            "client_id": client_id,
            "id": id,
            "instrument": scale.id,
            "version": scale.version,
            "source": source,
            "at": when,
            "answers": repo.seal(ASSESSMENT, "answers", client_id, id, answers),
        }
        events = [repo.event(who, "assessments.add", client_id, id)]
        alert = _alert(client_id, when, scale.name, flags)
        rows = [sealed_row(repo, alert, who)] if alert else []

        def work(connection: Connection) -> None:
            enrol(connection)
            connection.execute(insert(ASSESSMENT).values(**row))
            audit.append(connection, events)
            insert_entries(repo, connection, rows, who)

        repo.write(work)
        return Scored(id, total, scale.band(total), flags)

    def list(self, client_id: str, who: Principal = LOCAL) -> list[dict[str, Any]]:
        """All assessments of a client by time, with answers, total and severity band."""
        found = self.unaudited(client_id)
        self._repo.note_read(who, "assessments.read", client_id)
        return found

    def unaudited(self, client_id: str) -> list[dict[str, Any]]:
        """The same for a caller that audits a larger read (a report, an export)."""
        with self._repo.reading(client_id) as connection:
            query = select(ASSESSMENT).where(ASSESSMENT.c.client_id == client_id)
            rows = connection.execute(query.order_by(ASSESSMENT.c.at, ASSESSMENT.c.id)).mappings().all()
        found = []
        for row in rows:
            opened = self._repo.opened(ASSESSMENT, "answers", row) or {"items": None, "total": None}
            total, scale = opened["total"], instruments.find(row["instrument"])
            plain = {name: row[name] for name in ("id", "instrument", "version", "source", "at")}
            found.append({**plain, **opened, "band": scale.band(total) if total is not None else None})
        return found


def series(assessments: Sequence[dict[str, Any]], until: datetime, days: int) -> list[dict[str, Any]]:
    """One series per instrument and source within the window, each with its trend and reliable change.

    Self-report and clinician rating are never joined: they answer different questions.
    """
    found = []
    for scale in instruments.INSTRUMENTS.values():
        for source in ("self", "clinician"):
            points = [
                (datetime.fromisoformat(a["at"]), a["total"])
                for a in assessments
                if a["instrument"] == scale.id and a["source"] == source and a["total"] is not None
            ]
            points = [p for p in points if until - timedelta(days=days) <= p[0] <= until]
            if points:
                found.append(_one(scale, source, points))
    return found


def _one(scale: instruments.Instrument, source: str, points: list[tuple[datetime, int]]) -> dict[str, Any]:
    begin, totals = points[0][0], [float(total) for _, total in points]
    trend = classify([(at - begin).total_seconds() / 86400 for at, _ in points], totals, scale)
    return {
        "instrument": scale.id,
        "name": scale.name,
        "version": scale.version,
        "source": source,
        "points": [{"at": instant(at), "total": total} for at, total in points],
        "band": scale.band(points[-1][1]),
        "trend": asdict(trend),
        "since_baseline": reliable_change(totals[0], totals[-1], scale) if len(totals) > 1 else None,
        "sources": dict(scale.sources),
    }


def _alert(client_id: str, at: str, name: str, flags: Sequence[str]) -> JournalEntry | None:
    if not flags:
        return None
    text = f"An answer to {name} asks for direct questions by a person."
    body = {"text": text, "safety": {"level": 2, "rules": list(flags)}}
    return JournalEntry(str(ULID()), client_id, at, "crisis", body)
