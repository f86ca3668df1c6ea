"""The HTTP routes of progress, relative to the prefix under which the application is served (`/progress`).

    /api/v1/clients/{id}/journal | sessions | goals | milestones | assessments | trends | report | history | export
    /api/v1/deliveries          sealed parcels from an outbox; the operator's token only

A client who does not exist and one whom the caller may not see get the same 404. The first entry, goal, session or
assessment of a permitted caller makes the client.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request, Response
from fastapi.responses import HTMLResponse
from ulid import ULID

from pe_ray.config import ProgressConfig
from pe_ray.errors import UserError
from pe_ray.progress import report as reports
from pe_ray.progress import schemas
from pe_ray.progress.journal import Journal
from pe_ray.progress.repository import instant
from pe_ray.record import JournalEntry
from pe_ray.security import problems
from pe_ray.security.access import Access
from pe_ray.security.api_keys import Principal
from pe_ray.security.body_guard import Limits
from pe_ray.security.text import CLIENT_ID

PRIVATE = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}
"""Headers of every answer: nothing is kept by a browser or a proxy, and a report cannot load or run anything."""

Client = Annotated[str, Path(pattern=CLIENT_ID)]
Id = Annotated[str, Path(pattern=CLIENT_ID)]
Limit = Annotated[int, Query(ge=1, le=500)]
Days = Annotated[int | None, Query(ge=1, le=3660)]


@dataclass(frozen=True)
class Service:
    """What the routes work with."""

    journal: Journal
    access: Access
    config: ProgressConfig = field(default_factory=ProgressConfig)


def application(service: Service) -> FastAPI:
    """The whole application of one service. It serves no page of documentation: that would load scripts."""
    app = FastAPI(title="pe_ray progress", docs_url=None, redoc_url=None, openapi_url=None)
    problems.install(app, Limits(max_bytes=2**18, larger={"/api/v1/deliveries": 32 * 2**20}))
    app.include_router(router(service))
    return app


def router(service: Service) -> APIRouter:
    """All routes, with authentication."""
    routes = APIRouter(dependencies=[Depends(_private)])
    clients = APIRouter(prefix="/api/v1/clients/{client_id}")
    _journal(clients, service)
    _sessions(clients, service)
    _goals(clients, service)
    _assessments(clients, service)
    _overviews(clients, service)
    _operations(routes, service)
    routes.include_router(clients)
    return routes


def _journal(routes: APIRouter, service: Service) -> None:
    journal = service.journal

    @routes.get("/journal")
    def entries(
        client_id: Client,
        who: Principal = _may(service, "journal.read"),
        after: Annotated[str | None, Query(pattern=CLIENT_ID)] = None,
        limit: Limit = 100,
    ) -> dict[str, Any]:
        with _explained():
            items, following = journal.items(client_id, after, limit, who)
        return {"items": items, "next": following}

    @routes.post("/journal", status_code=201)
    def write(
        client_id: Client, new: schemas.NewEntry, who: Principal = _may(service, "journal.write")
    ) -> dict[str, str]:
        at = instant(new.occurred_at or journal.clock())
        entry = JournalEntry(str(ULID()), client_id, at, new.kind, {"text": new.text}, session_id=new.session_id)
        return {"id": journal.append([entry], who)[0]}


def _sessions(routes: APIRouter, service: Service) -> None:
    sessions = service.journal.sessions

    @routes.get("/sessions")
    def all_sessions(client_id: Client, who: Principal = _may(service, "sessions.read")) -> dict[str, Any]:
        return {"items": sessions.list(client_id, who)}

    @routes.post("/sessions", status_code=201)
    def start(
        client_id: Client, new: schemas.NewSession, who: Principal = _may(service, "sessions.write")
    ) -> dict[str, str]:
        return {"id": sessions.start(client_id, new.channel, new.started_at, new.ended_at, new.summary, who)}

    @routes.patch("/sessions/{session_id}", status_code=204)
    def end(
        client_id: Client, session_id: Id, new: schemas.SessionEnd, who: Principal = _may(service, "sessions.write")
    ) -> None:
        sessions.end(client_id, session_id, new.ended_at, new.summary, who)


def _goals(routes: APIRouter, service: Service) -> None:
    goals = service.journal.goals

    @routes.get("/goals")
    def all_goals(client_id: Client, who: Principal = _may(service, "goals.read")) -> dict[str, Any]:
        return {"items": goals.list(client_id, who)}

    @routes.post("/goals", status_code=201)
    def add(client_id: Client, new: schemas.NewGoal, who: Principal = _may(service, "goals.write")) -> dict[str, str]:
        return {"id": goals.add(client_id, new.text, new.target_date, who)}

    @routes.patch("/goals/{goal_id}", status_code=204)
    def status(
        client_id: Client, goal_id: Id, new: schemas.GoalStatus, who: Principal = _may(service, "goals.write")
    ) -> None:
        goals.set_status(client_id, goal_id, new.status, who)

    @routes.post("/goals/{goal_id}/ratings", status_code=201)
    def rate(
        client_id: Client, goal_id: Id, new: schemas.NewRating, who: Principal = _may(service, "goals.write")
    ) -> dict[str, str]:
        return {"id": goals.rate(client_id, goal_id, new.level, _source(new.source, who), new.at, who)}

    @routes.get("/milestones")
    def milestones(client_id: Client, who: Principal = _may(service, "milestones.read")) -> dict[str, Any]:
        return {"items": goals.milestones(client_id, who)}

    @routes.post("/milestones", status_code=201)
    def milestone(
        client_id: Client, new: schemas.NewMilestone, who: Principal = _may(service, "milestones.write")
    ) -> dict[str, str]:
        return {"id": goals.add_milestone(client_id, new.goal_id, new.text, new.due, who)}

    @routes.patch("/milestones/{milestone_id}", status_code=204)
    def done(
        client_id: Client,
        milestone_id: Id,
        new: schemas.MilestoneDone,
        who: Principal = _may(service, "milestones.write"),
    ) -> None:
        goals.finish_milestone(client_id, milestone_id, new.done_at, who)


def _assessments(routes: APIRouter, service: Service) -> None:
    assessments = service.journal.assessments

    @routes.get("/assessments")
    def all_assessments(client_id: Client, who: Principal = _may(service, "assessments.read")) -> dict[str, Any]:
        return {"items": assessments.list(client_id, who)}

    @routes.post("/assessments", status_code=201)
    def add(
        client_id: Client, new: schemas.NewAssessment, who: Principal = _may(service, "assessments.write")
    ) -> dict[str, Any]:
        with _explained():
            scored = assessments.add(
                client_id, new.instrument, new.items, new.administered_at, _source(new.source, who), who
            )
        return {"id": scored.id, "total": scored.total, "band": scored.band, "attention": list(scored.attention)}


def _overviews(routes: APIRouter, service: Service) -> None:
    journal, usual = service.journal, service.config.report_window_days

    @routes.get("/trends")
    def trends(client_id: Client, who: Principal = _may(service, "trends.read"), days: Days = None) -> dict[str, Any]:
        return reports.trends(journal, client_id, days or usual, who)

    @routes.get("/report", response_model=None)
    def report(
        client_id: Client,
        who: Principal = _may(service, "report.read"),
        format: Literal["json", "html"] = "json",
        days: Days = None,
    ) -> dict[str, Any] | Response:
        found = reports.gather(journal, client_id, days or usual, who)
        return HTMLResponse(reports.html(found), headers=PRIVATE) if format == "html" else found

    @routes.get("/history")
    def history(
        client_id: Client,
        who: Principal = _may(service, "history.read"),
        after: Annotated[int, Query(ge=0, lt=2**62)] = 0,
        limit: Limit = 100,
    ) -> dict[str, Any]:
        """Who read or changed what of this client, and when."""
        items, following = journal.history(client_id, after, limit, who)
        return {"items": items, "next": following}

    @routes.get("/export")
    def export(client_id: Client, who: Principal = _may(service, "export.read")) -> dict[str, Any]:
        return journal.export(client_id, who)


def _operations(routes: APIRouter, service: Service) -> None:
    @routes.post("/api/v1/deliveries")
    def deliver(request: Request, new: schemas.Deliveries) -> dict[str, list[str]]:
        service.access.require(_who(service, request), "deliver")
        delivery = service.journal.deliver([(p.id, p.sealed) for p in new.parcels])
        return {"stored": delivery.stored, "refused": delivery.refused}

    @routes.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}


def _may(service: Service, permission: str) -> Any:
    """The caller, once they may do this to the client in the path; ClientNotFound otherwise."""

    def check(request: Request, client_id: Client) -> Principal:
        who = _who(service, request)
        service.access.require(who, permission, client_id)
        return who

    return Depends(check)


def _who(service: Service, request: Request) -> Principal:
    headers, peer = request.headers, request.client
    return service.access.identify(headers.get("authorization"), peer.host if peer else None, headers.get("host"))


def _source(asked: Literal["self", "clinician"], who: Principal) -> Literal["self", "clinician"]:
    """A client's own key rates as the client, whatever the request says."""
    return "self" if who.role == "client" else asked


def _private(response: Response) -> None:
    response.headers.update(PRIVATE)


@contextmanager
def _explained() -> Iterator[None]:
    """Hand on what a UserError of this room says: its messages name fields and ranges, never values."""
    try:
        yield
    except UserError as error:
        raise problems.Problem(422, str(error)) from None
