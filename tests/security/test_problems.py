"""Whatever is sent, the answer is a problem document below 500 without a word of it."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from pe_ray.errors import AdapterNotFound, ClientNotFound, ConfigError, SealError
from pe_ray.security import problems
from pe_ray.security.body_guard import Limits, check_json
from pe_ray.security.text import CleanText

CANARY = "canary-5d1c"


class Inner(BaseModel):
    score: float


class Note(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: CleanText = Field(min_length=1, max_length=100)
    count: int = 0
    inner: list[Inner] = []


RAISED = {
    "client": ClientNotFound(CANARY),
    "adapter": AdapterNotFound(CANARY),
    "config": ConfigError(CANARY),
    "seal": SealError(CANARY),
    "any": RuntimeError(CANARY),
    "http": HTTPException(409, "already there"),
    "problem": problems.Problem(422, "the score is out of range", errors=[{"loc": ["body", "score"], "type": "range"}]),
}


def application() -> FastAPI:
    app = FastAPI()
    problems.install(app, Limits(max_bytes=2000, seconds=0.2, larger={"/large": 10_000}))

    @app.post("/note")
    @app.post("/large")
    def note(note: Note) -> dict:
        return {"length": len(note.text)}

    @app.get("/raise/{name}")
    def fail(name: str) -> None:
        raise RAISED[name]

    @app.get("/broken-stream")
    def broken() -> StreamingResponse:
        async def words() -> AsyncIterator[str]:
            yield "a"
            raise RuntimeError(CANARY)

        return StreamingResponse(words())

    @app.get("/number")
    def number(limit: int = 3) -> int:
        return limit

    return app


def send(method: str, path: str, **more: object) -> httpx.Response:
    async def once() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(application()), base_url="http://127.0.0.1"
        ) as client:
            return await client.request(method, path, **more)

    return asyncio.run(once())


def post(body: bytes | str, path: str = "/note") -> httpx.Response:
    return send("POST", path, content=body, headers={"content-type": "application/json"})


def assert_problem(answer: httpx.Response, *statuses: int) -> dict:
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert CANARY not in answer.text
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["title"]
    return body


def test_a_good_body_passes() -> None:
    assert post('{"text": "I slept \\u00fcber well", "count": 3}').json() == {"length": 17}
    assert post(json.dumps({"text": "🙂 " + "[" * 80})).json() == {"length": 82}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"text": "%s"', 400),
        ('{"text": NaN, "x": "%s"}', 400),
        ('{"text": "%s", "count": Infinity}', 400),
        ('{"text": "%s", "count": 1e400}', 400),
        ('{"text": "%s", "count": ' + "9" * 500 + "}", 400),
        ('{"text": "%s \\ud800"}', 400),
        ('{"text": "%s", "\\udfff": 1}', 400),
        ('{"text": "%s \\u0000"}', 400),
        ('{"text": "%s \0"}', 400),
        ('{"text": "%s", "text": "b"}', 400),
        ('{"text": "%s", "inner": ' + "[" * 900, 400),
        ("[" * 1900, 400),
        ('{"text": "%s", "inner": ' + '{"a":' * 200 + "1" + "}" * 200 + "}", 400),
        (b'{"text": "\xff\xfe %s"}', 400),
        ('﻿{"text": "%s"}', 400),
        ('"%s"', 422),
        ('{"text": ["%s"]}', 422),
        ('{"text": "%s", "count": "many"}', 422),
        ('{"text": "%s", "count": 12345678901234567890123456789012345678}', 200),
        ('{"text": "%s", "canary-5d1c": 1}', 422),
        ('{"text": "%s", "inner": [{"score": "high"}]}', 422),
        ('{"text": "%s", "inner": [{"score": null}]}', 422),
        ('{"text": ""}', 422),
        ("", 422),
    ],
)
def test_hostile_bodies_get_a_problem_without_an_echo(body: str | bytes, status: int) -> None:
    filled = body.replace(b"%s", CANARY.encode()) if isinstance(body, bytes) else body.replace("%s", CANARY)
    answer = post(filled)
    if status == 200:
        assert answer.status_code == 200
    else:
        assert_problem(answer, status)


def test_a_misfit_names_the_field_and_the_kind_only() -> None:
    body = assert_problem(post(f'{{"text": 1, "inner": [{{"score": "{CANARY}"}}], "{CANARY}": 1}}'), 422)
    assert {"loc": ["body", "text"], "type": "string_type"} in body["errors"]
    assert {"loc": ["body", "inner", 0, "score"], "type": "float_parsing"} in body["errors"]
    assert {"loc": ["body", "*"], "type": "extra_forbidden"} in body["errors"]
    assert all(set(e) == {"loc", "type"} for e in body["errors"])
    many = assert_problem(post(json.dumps({"text": "a", "inner": [{}] * 40})), 422)
    assert len(many["errors"]) == 16
    assert_problem(send("GET", f"/number?limit={CANARY}"), 422)


def test_size_time_and_kind_are_bounded() -> None:
    assert_problem(post(json.dumps({"text": "a" * 3000})), 413)
    assert_problem(post(json.dumps({"text": "a" * 3000}), "/large"), 422)
    assert_problem(send("POST", "/note", content=b'{"text": "a"}', headers={"content-type": "text/plain"}), 415)
    assert_problem(send("POST", "/note", content=b'{"text": "a"}'), 415)

    async def long() -> AsyncIterator[bytes]:  # no content-length
        for _ in range(100):
            yield b"a" * 100

    async def slow() -> AsyncIterator[bytes]:
        yield b'{"text": '
        await asyncio.sleep(5)
        yield b'"a"}'

    assert_problem(send("POST", "/note", content=long(), headers={"content-type": "application/json"}), 413)
    assert_problem(send("POST", "/note", content=slow(), headers={"content-type": "application/json"}), 408)


@pytest.mark.parametrize(
    ("name", "status"),
    [("client", 404), ("adapter", 404), ("config", 422), ("seal", 500), ("any", 500), ("http", 409), ("problem", 422)],
)
def test_errors_behind_the_door_keep_their_message_inside(
    name: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        body = assert_problem(send("GET", f"/raise/{name}"), status)
    assert CANARY not in caplog.text
    if status == 500:
        assert "test_problems.py" in caplog.text
        assert body["title"] == "Internal Server Error"


def test_what_breaks_in_the_middle_of_a_reply_is_not_told_either(caplog: pytest.LogCaptureFixture) -> None:
    scope = {"type": "http", "method": "GET", "path": "/broken-stream", "query_string": b"", "headers": []}
    sent: list[dict] = []
    body = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict:
        return body.pop() if body else await asyncio.Event().wait()

    async def keep(message: dict) -> None:
        sent.append(message)

    asyncio.run(application()(scope, receive, keep))
    assert [m.get("body") for m in sent] == [None, b"a"]  # left open: the server then closes the connection
    assert "RuntimeError" in caplog.text
    assert CANARY not in caplog.text


def test_unknown_paths_and_methods_are_problems() -> None:
    assert_problem(send("GET", f"/{CANARY}"), 404)
    assert_problem(send("DELETE", "/note"), 405)


def test_mutated_requests_never_give_a_500() -> None:
    rng = random.Random(5)
    seeds = [b'{"text": "a", "count": 1, "inner": [{"score": 1.5}]}', b'{"text": "\\u00e9", "count": -1e5}', b"[1, 2]"]
    spice = [b"NaN", b"1e400", b"\\ud800", b"\x00", b"\xff", b"[[[[", b"{", b"}", b'"', b"9" * 60, b"\\u0000", b"null"]

    async def run() -> None:
        transport = httpx.ASGITransport(application())
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            for _ in range(600):
                body = bytearray(rng.choice(seeds))
                for _ in range(rng.randint(1, 4)):
                    at = rng.randrange(len(body) + 1)
                    body[at : at + rng.randint(0, 4)] = rng.choice(spice)
                answer = await client.post("/note", content=bytes(body), headers={"content-type": "application/json"})
                assert answer.status_code < 500, bytes(body)

    asyncio.run(run())


def test_the_check_is_cheap() -> None:
    import time

    body = json.dumps({"text": "word " * 400, "history": [{"role": "user", "content": "hello"}] * 20}).encode()
    started = time.perf_counter()
    for _ in range(100):
        check_json(body)
    assert (time.perf_counter() - started) / 100 < 0.005
