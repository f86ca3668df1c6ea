"""Goals with goal attainment scaling, and the milestones on the way.

A rating is -2 (much less than hoped) to +2 (much more than hoped), 0 being the expected outcome. The T-score over all
rated goals is 50 where they are met on average (Kiresuk and Sherman 1968, equal weights, inter-correlation .3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import Connection, Table, insert, select, update
from ulid import ULID

from pe_ray.errors import ClientNotFound, UserError
from pe_ray.progress.repository import Repository, instant
from pe_ray.progress.tables import GOAL, MILESTONE, RATING
from pe_ray.security import audit
from pe_ray.security.access import LOCAL
from pe_ray.security.api_keys import Principal

Status = Literal["active", "achieved", "paused", "dropped"]
Source = Literal["self", "clinician"]
CORRELATION = 0.3


class Goals:
    """The goals, ratings and milestones of all clients."""

    def __init__(self, repository: Repository) -> None:
        self._repo = repository

    def add(self, client_id: str, text: str, target_date: date | None = None, who: Principal = LOCAL) -> str:
        """Set a goal; its id."""
        id = str(ULID())
        enrol = self._repo.enrol([client_id])
        row = {
            "client_id": client_id,
            "id": id,
            "status": "active",
            "created_at": self._repo.now(),
            "target_date": target_date.isoformat() if target_date else None,
            "text": self._repo.seal(GOAL, "text", client_id, id, text),
        }
        self._insert(GOAL, row, "goals.add", who, enrol)
        return id

    def set_status(self, client_id: str, goal_id: str, status: Status, who: Principal = LOCAL) -> None:
        """Change a goal's status. Raises ClientNotFound for a goal that is not theirs."""
        self._update(GOAL, client_id, goal_id, {"status": status}, f"goals.{status}", who)

    def rate(
        self,
        client_id: str,
        goal_id: str,
        level: int,
        source: Source = "self",
        at: datetime | None = None,
        who: Principal = LOCAL,
    ) -> str:
        """Rate a goal's attainment; the rating's id.

        Raises UserError for a level outside -2..2, ClientNotFound for a goal that is not theirs.
        """
        if isinstance(level, bool) or not isinstance(level, int) or not -2 <= level <= 2:
            raise UserError("level: a rating is a whole number from -2 to 2")
        id = str(ULID())
        with self._repo.reading(client_id):
            row = {
                "client_id": client_id,
                "id": id,
                "goal_id": goal_id,
                "at": instant(at or self._repo.clock()),
                "source": source,
                "level": self._repo.seal(RATING, "level", client_id, id, level),
            }
        self._insert(RATING, row, "goals.rate", who, lambda c: _require_goal(c, client_id, goal_id))
        return id

    def add_milestone(
        self, client_id: str, goal_id: str, text: str, due: date | None = None, who: Principal = LOCAL
    ) -> str:
        """Set a milestone of a goal; its id. Raises ClientNotFound for a goal that is not theirs."""
        id = str(ULID())
        with self._repo.reading(client_id):
            row = {
                "client_id": client_id,
                "id": id,
                "goal_id": goal_id,
                "created_at": self._repo.now(),
                "due": due.isoformat() if due else None,
                "text": self._repo.seal(MILESTONE, "text", client_id, id, text),
            }
        self._insert(MILESTONE, row, "milestones.add", who, lambda c: _require_goal(c, client_id, goal_id))
        return id

    def finish_milestone(
        self, client_id: str, milestone_id: str, done_at: datetime | None = None, who: Principal = LOCAL
    ) -> None:
        """Note that a milestone is reached. Raises ClientNotFound for one that is not theirs."""
        values = {"done_at": instant(done_at or self._repo.clock())}
        self._update(MILESTONE, client_id, milestone_id, values, "milestones.finish", who)

    def list(self, client_id: str, who: Principal = LOCAL) -> list[dict[str, Any]]:
        """All goals of a client, oldest first, with their ratings and milestones."""
        found = self.unaudited(client_id)
        self._repo.note_read(who, "goals.read", client_id)
        return found

    def milestones(self, client_id: str, who: Principal = LOCAL) -> list[dict[str, Any]]:
        """All milestones of a client, oldest first."""
        found = self._rows(MILESTONE, client_id, "text")
        self._repo.note_read(who, "milestones.read", client_id)
        return found

    def unaudited(self, client_id: str) -> list[dict[str, Any]]:
        """The goals for a caller that audits a larger read (a report, an export)."""
        ratings, milestones = self._rows(RATING, client_id, "level"), self._rows(MILESTONE, client_id, "text")
        return [
            {
                **goal,
                "ratings": sorted(_without_goal(ratings, goal["id"]), key=lambda r: r["at"]),
                "milestones": _without_goal(milestones, goal["id"]),
            }
            for goal in self._rows(GOAL, client_id, "text")
        ]

    def _rows(self, table: Table, client_id: str, sealed: str) -> list[dict[str, Any]]:
        with self._repo.reading(client_id) as connection:
            query = select(table).where(table.c.client_id == client_id).order_by(table.c.id)
            rows = connection.execute(query).mappings().all()
        plain = [c.name for c in table.columns if c.name not in ("client_id", sealed)]
        return [{**{n: row[n] for n in plain}, sealed: self._repo.opened(table, sealed, row)} for row in rows]

    def _insert(self, table: Table, row: dict[str, Any], action: str, who: Principal, before: Any) -> None:
        event = self._repo.event(who, action, row["client_id"], row["id"])

        def work(connection: Connection) -> None:
            before(connection)
            connection.execute(insert(table).values(**row))
            audit.append(connection, [event])

        self._repo.write(work)

    def _update(
        self, table: Table, client_id: str, id: str, values: dict[str, Any], action: str, who: Principal
    ) -> None:
        with self._repo.reading(client_id):
            event = self._repo.event(who, action, client_id, id)

        def work(connection: Connection) -> None:
            mine = (table.c.client_id == client_id, table.c.id == id)
            if connection.execute(update(table).where(*mine).values(**values)).rowcount != 1:
                raise ClientNotFound(f"no such {table.name}")
            audit.append(connection, [event])

        self._repo.write(work)


def t_score(levels: Sequence[int]) -> float | None:
    """Goal attainment T-score of the latest level of each rated goal; None where none is rated."""
    n = len(levels)
    if not n:
        return None
    return 50 + 10 * sum(levels) / math.sqrt((1 - CORRELATION) * n + CORRELATION * n * n)


def latest_levels(goals: Sequence[dict[str, Any]], source: Source) -> list[int]:
    """The last rating by `source` of each goal that is not dropped. Self and clinician ratings are never mixed."""
    found = []
    for goal in goals:
        levels = [r["level"] for r in goal["ratings"] if r["source"] == source and r["level"] is not None]
        if levels and goal["status"] != "dropped":
            found.append(levels[-1])
    return found


def _require_goal(connection: Connection, client_id: str, goal_id: str) -> None:
    mine = (GOAL.c.client_id == client_id, GOAL.c.id == goal_id)
    if connection.execute(select(GOAL.c.id).where(*mine)).first() is None:
        raise ClientNotFound("no such goal")


def _without_goal(rows: Sequence[dict[str, Any]], goal_id: str) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != "goal_id"} for row in rows if row["goal_id"] == goal_id]
