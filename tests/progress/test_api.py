"""The routes under their real prefix: the contract's shapes, one 404 for all, no echo, keys in production."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable, Iterator

import httpx
import pytest
from fastapi import FastAPI

from pe_ray.progress.api import Service, application
from pe_ray.progress.journal import Journal
from pe_ray.record import JournalEntry
from pe_ray.security import redact
from pe_ray.security.access import Access
from pe_ray.security.api_keys import ApiKeys
from pe_ray.security.keys import Keys
from pe_ray.security.transit import operator_token, seal_entry
from pe_ray.store.paths import Home

CANARY = "canary-77aa"
ADA = "/progress/api/v1/clients/ada"
Send = Callable[..., httpx.Response]


def sender(app: FastAPI, peer: str = "127.0.0.1", **defaults: object) -> Send:
    """Requests as Serve hands them to the application: the prefix in the path and in root_path."""

    def send(method: str, path: str, **more: object) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(app, root_path="/progress", client=(peer, 4711))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", **defaults) as client:
                return await client.request(method, path, **more)

        return asyncio.run(once())

    return send


@pytest.fixture
def app(home: Home, journal: Journal) -> FastAPI:
    return application(Service(journal, Access(home, Keys(home))))


@pytest.fixture
def send(app: FastAPI) -> Send:
    return sender(app)


def test_the_journal_contract(send: Send) -> None:
    wrote = send(
        "POST", f"{ADA}/journal", json={"text": "slept", "kind": "mood", "occurred_at": "2026-01-02T10:00:00+02:00"}
    )
    assert wrote.status_code == 201
    id = wrote.json()["id"]
    assert list(wrote.json()) == ["id"]
    found = send("GET", f"{ADA}/journal")
    assert found.status_code == 200
    assert found.headers["cache-control"] == "no-store"
    (item,) = found.json()["items"]
    assert found.json()["next"] is None
    assert {k: item[k] for k in ("id", "response_id", "at", "kind", "text")} == {
        "id": id,
        "response_id": None,
        "at": "2026-01-02T08:00:00Z",
        "kind": "mood",
        "text": "slept",
    }
    assert send("POST", f"{ADA}/journal", json={"text": "only words"}).status_code == 201


def test_pages_by_http(send: Send) -> None:
    for i in range(5):
        send("POST", f"{ADA}/journal", json={"text": f"{i}"})
    seen, path = [], f"{ADA}/journal?limit=2"
    while path:
        page = send("GET", path).json()
        seen += [item["text"] for item in page["items"]]
        path = f"{ADA}/journal?limit=2&after={page['next']}" if page["next"] else ""
    assert seen == ["0", "1", "2", "3", "4"]
    assert send("GET", f"{ADA}/journal?after=unknown").status_code == 422


def test_a_whole_course_of_care(send: Send) -> None:
    goal = send("POST", f"{ADA}/goals", json={"text": "walk", "target_date": "2026-06-01"}).json()["id"]
    assert send("POST", f"{ADA}/goals/{goal}/ratings", json={"level": 2}).status_code == 201
    step = send("POST", f"{ADA}/milestones", json={"goal_id": goal, "text": "ten minutes"}).json()["id"]
    assert send("PATCH", f"{ADA}/milestones/{step}", json={}).status_code == 204
    assert send("PATCH", f"{ADA}/goals/{goal}", json={"status": "achieved"}).status_code == 204
    session = send("POST", f"{ADA}/sessions", json={}).json()["id"]
    assert send("PATCH", f"{ADA}/sessions/{session}", json={"summary": "we met"}).status_code == 204
    scored = send("POST", f"{ADA}/assessments", json={"instrument": "phq9", "items": [1] * 9})
    assert scored.status_code == 201
    assert {k: scored.json()[k] for k in ("total", "band", "attention")} == {
        "total": 9,
        "band": "mild",
        "attention": ["phq9-item9@1"],
    }
    for thing in ("sessions", "goals", "milestones", "assessments", "journal", "history"):
        assert send("GET", f"{ADA}/{thing}").json()["items"], thing
    assert send("GET", f"{ADA}/trends").json()["series"][0]["trend"]["label"] == "insufficient"
    assert send("GET", f"{ADA}/report").json()["goals"]["items"][0]["status"] == "achieved"
    assert send("GET", f"{ADA}/export").json()["format"] == "pe_ray.export.v1"
    page = send("GET", f"{ADA}/report?format=html")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "not a diagnosis" in page.text
    actions = [h["action"] for h in send("GET", f"{ADA}/history").json()["items"]]
    assert {"report.read", "export.read", "trends.read", "goals.rate"} <= set(actions)


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    document = app.openapi()["paths"]
    for path, methods in document.items():
        for method in methods:
            yield method.upper(), path


BODIES = {
    ("POST", "journal"): {"text": CANARY},
    ("POST", "sessions"): {},
    ("PATCH", "sessions/{session_id}"): {},
    ("POST", "goals"): {"text": CANARY},
    ("PATCH", "goals/{goal_id}"): {"status": "paused"},
    ("POST", "goals/{goal_id}/ratings"): {"level": 1},
    ("POST", "milestones"): {"goal_id": "g1", "text": CANARY},
    ("PATCH", "milestones/{milestone_id}"): {},
    ("POST", "assessments"): {"instrument": "gad7", "items": [0] * 7},
}


def request_for(path: str, client: str, method: str) -> tuple[str, dict[str, object]]:
    thing = path.partition("{client_id}/")[2]
    filled = f"/progress{path}".replace("{client_id}", client)
    for name in ("session_id", "goal_id", "milestone_id"):
        filled = filled.replace(f"{{{name}}}", "x1")
    return filled, {} if method == "GET" else {"json": BODIES[method, thing]}


def test_every_route_of_an_unknown_client_says_the_same(app: FastAPI, send: Send) -> None:
    seen = set()
    for method, path in routes(app):
        if "client_id" in path and (method == "GET" or "_id}" in path.replace("{client_id}", "")):
            filled, more = request_for(path, "nobody", method)
            answer = send(method, filled, **more)
            seen.add((answer.status_code, answer.text))
    assert seen == {(404, '{"type": "about:blank", "title": "no such client", "status": 404}')}


def test_in_production_every_route_needs_the_right_key(home: Home, journal: Journal) -> None:
    keys = Keys(home)
    issued = ApiKeys(home, keys)
    journal.append([JournalEntry("e1", "ada", "2026-01-01T00:00:00Z", "note", {"text": CANARY})])
    app = application(Service(journal, Access(home, Keys(home, "production"))))
    bearer = {
        "ada": issued.issue("client", "a", ["ada"]),
        "bob": issued.issue("client", "b", ["bob"]),
        "operator": issued.issue("operator", "o"),
        "nobody": "pr_000000000000_" + "a" * 43,
    }
    statuses: dict[str, set[int]] = {name: set() for name in [*bearer, "no key"]}
    for method, path in routes(app):
        if "client_id" not in path:
            continue
        filled, more = request_for(path, "ada", method)
        for name in statuses:
            headers = {"authorization": f"Bearer {bearer[name]}"} if name in bearer else {}
            answer = sender(app, "10.1.2.3", headers=headers)(method, filled, **more)
            statuses[name].add(answer.status_code)
            assert name == "ada" or CANARY not in answer.text
    assert statuses["no key"] == statuses["nobody"] == {401}
    assert statuses["bob"] == statuses["operator"] == {404}
    assert {200, 201} <= statuses["ada"]
    therapist = issued.issue("therapist", "t", ["ada"])
    assert sender(app, headers={"authorization": f"Bearer {therapist}"})("GET", f"{ADA}/journal").status_code == 200
    answer = sender(app)("GET", f"{ADA}/journal")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_client_with_a_key_begins_by_writing_and_rates_as_themselves(home: Home, journal: Journal) -> None:
    keys = Keys(home)
    token = ApiKeys(home, keys).issue("client", "e", ["eve"])
    app = application(Service(journal, Access(home, Keys(home, "production"))))
    send = sender(app, headers={"authorization": f"Bearer {token}"})
    eve = "/progress/api/v1/clients/eve"
    assert send("GET", f"{eve}/journal").status_code == 404
    assert send("POST", f"{eve}/journal", json={"text": "first"}).status_code == 201
    body = {"instrument": "gad7", "items": [1] * 7, "source": "clinician"}
    assert send("POST", f"{eve}/assessments", json=body).status_code == 201
    assert [a["source"] for a in send("GET", f"{eve}/assessments").json()["items"]] == ["self"]
    assert send("POST", f"{eve}/sessions", json={}).status_code == 404


def test_dev_mode_answers_this_machine_only(app: FastAPI) -> None:
    assert sender(app, "10.0.0.9")("GET", f"{ADA}/journal").status_code == 403
    rebound = sender(app, headers={"host": "evil.example"})
    assert rebound("POST", f"{ADA}/journal", json={"text": CANARY}).status_code == 403


def test_deliveries_need_the_operators_token(app: FastAPI, send: Send, home: Home) -> None:
    keys = Keys(home)
    entry = JournalEntry("e1", "ada", "2026-01-01T00:00:00Z", "message", {"text": "hi", "response": "hello"}, "r1")
    sealed = base64.b64encode(seal_entry(keys, entry)).decode()
    broken = base64.b64encode(b"broken").decode()
    body = {"parcels": [{"id": "e1", "sealed": sealed}, {"id": "e2", "sealed": broken}]}
    path = "/progress/api/v1/deliveries"
    assert send("POST", path, json=body).status_code == 403
    operator = sender(app, "10.0.0.9", headers={"authorization": f"Bearer {operator_token(keys)}"})
    for _ in range(2):
        assert operator("POST", path, json=body).json() == {"stored": ["e1"], "refused": ["e2"]}
    (item,) = send("GET", f"{ADA}/journal").json()["items"]
    assert (item["text"], item["response"], item["response_id"]) == ("hi", "hello", "r1")
    assert operator("GET", f"{ADA}/journal").status_code == 404
    assert operator("POST", path, json={"parcels": [{"id": "e1", "sealed": "%%"}]}).status_code == 422


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("journal", {"text": CANARY, "kind": "poem"}, 422),
        ("journal", {"text": CANARY, "mood": CANARY}, 422),
        ("journal", {"text": CANARY, "occurred_at": "2026-01-01T00:00:00"}, 422),
        ("journal", {"text": CANARY, "occurred_at": "2999-01-01T00:00:00Z"}, 422),
        ("journal", {"text": CANARY, "occurred_at": 10**30}, 422),
        ("journal", {"text": CANARY * 3000}, 422),
        ("journal", {"text": CANARY * 30000}, 413),
        ("journal", {"text": ""}, 422),
        ("journal", [CANARY], 422),
        ("goals", {"text": CANARY, "target_date": CANARY}, 422),
        ("goals/x1/ratings", {"level": 3}, 422),
        ("goals/x1/ratings", {"level": CANARY}, 422),
        ("assessments", {"instrument": "phq9", "items": [CANARY]}, 422),
        ("assessments", {"instrument": "phq9", "items": [1] * 8}, 422),
        ("assessments", {"instrument": "phq9", "items": [10**30] * 9}, 422),
        ("assessments", {"instrument": CANARY, "items": [1] * 9}, 422),
        ("assessments", {"instrument": "mmpi", "items": [1] * 9}, 422),
    ],
)
def test_wrong_input_is_answered_without_an_echo(send: Send, path: str, body: object, status: int) -> None:
    answer = send("POST", f"{ADA}/{path}", json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert CANARY not in answer.text


@pytest.mark.parametrize("id", ["..", "a b", "%00", "a%2Fb", "é", "a" * 65, "-a", "%ff", "a'--"])
def test_ids_are_checked(send: Send, id: str) -> None:
    assert send("GET", f"/progress/api/v1/clients/{id}/journal").status_code in (404, 422)


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "after=a%00", "days=0", "format=pdf"])
def test_query_parameters_are_checked(send: Send, query: str) -> None:
    send("POST", f"{ADA}/journal", json={"text": "x"})
    thing = {"limit": "journal", "after": "journal", "days": "trends", "format": "report"}[query.partition("=")[0]]
    assert send("GET", f"{ADA}/{thing}?{query}").status_code == 422


def test_sql_in_a_text_is_text(send: Send) -> None:
    text = "'); DROP TABLE entry; --"
    send("POST", f"{ADA}/journal", json={"text": text})
    assert send("GET", f"{ADA}/journal").json()["items"][0]["text"] == text


def test_no_log_line_holds_a_persons_words(
    app: FastAPI, send: Send, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    before = logging.getLogRecordFactory()
    redact.install()
    try:
        with caplog.at_level(logging.DEBUG):
            for method, path in routes(app):
                if "client_id" in path:
                    filled, more = request_for(path, CANARY, method)
                    send(method, filled, **more)
            send("POST", f"{ADA}/journal", json={"text": CANARY, "kind": CANARY})
            send("POST", f"{ADA}/journal", content=f'{{"text": "{CANARY}'.encode())
    finally:
        logging.setLogRecordFactory(before)
    assert CANARY not in caplog.text


def test_the_health_route_needs_nobody(send: Send) -> None:
    assert send("GET", "/progress/health").json() == {"status": "ok"}
    assert send("GET", "/progress/docs").status_code == 404
    assert send("GET", "/progress/openapi.json").status_code == 404


def test_every_route_of_the_design_is_there(app: FastAPI) -> None:
    things = {path.rpartition("/")[2] for _, path in routes(app) if path.startswith("/api/v1/clients/{client_id}/")}
    wanted = "sessions journal goals milestones assessments trends report history export"
    assert set(wanted.split()) <= things
