import json

import pytest

from pe_ray.security.access import Access
from pe_ray.security.api_keys import ApiKeys
from pe_ray.security.keys import Keys
from pe_ray.security.transit import operator_token
from pe_ray.serve import api
from pe_ray.serve.engine.base import EngineBusy, EngineFailed, PromptTooLong
from tests.serve.test_gateway import CRISIS, GOOD

pytestmark = pytest.mark.anyio
CANARY = "marmalade-7431"


async def post(place, path, body, **more):
    async with place.client(more.pop("app", None)) as http:
        return await http.post(path, json=body, **more)


async def events(place, body) -> list[str]:
    async with place.client() as http, http.stream("POST", "/v1/chat/completions", json=body) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [line async for line in answer.aiter_lines() if line]


async def test_the_contract_of_an_inference(place):
    answer = await post(place(), "/api/v1/inference", {"user_input": "I argue with my sister."})
    assert answer.status_code == 200
    reply = answer.json()
    assert set(reply) == {
        "response",
        "response_id",
        "latency",
        "cache_hit",
        "tokens_generated",
        "safety",
        "metadata",
    }
    assert set(reply["safety"]) == {"level", "action", "rules", "resources"}
    assert reply["response"] == GOOD
    assert isinstance(reply["latency"], float)
    assert answer.headers["cache-control"] == "no-store"


async def test_a_crisis_over_http(place):
    answer = await post(place(), "/api/v1/inference", {"user_input": CRISIS, "client_id": "ada"})
    safety = answer.json()["safety"]
    assert (answer.status_code, safety["action"]) == (200, "safe_reply")
    assert {"name", "contact", "locale", "source"} == set(safety["resources"][0])
    assert all("@" in rule for rule in safety["rules"])


async def test_a_chat_completion_in_openais_shape(place):
    answer = await post(place(), "/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi there"}]})
    body = answer.json()
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"] == {"role": "assistant", "content": GOOD}
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]


async def test_a_stream_of_events_ends_with_done(place):
    lines = await events(place(), {"messages": [{"role": "user", "content": "Hi there"}], "stream": True})
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks) == GOOD
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert len({c["id"] for c in chunks}) == 1


async def test_a_stream_can_end_with_its_usage(place):
    body = {"messages": [{"role": "user", "content": "Hi"}], "stream": True, "stream_options": {"include_usage": True}}
    lines = await events(place(), body)
    assert json.loads(lines[-2].removeprefix("data: "))["usage"]["completion_tokens"] == len(GOOD.split())


async def test_a_stream_that_breaks_says_so_and_does_not_end_well(place):
    here = place("One sentence is out. And then")

    async def breaks(request):
        async for event in type(here.engine).generate(here.engine, request):
            if "then" in event.text:
                raise EngineFailed(CANARY)
            yield event

    here.engine.generate = breaks
    lines = await events(here, {"messages": [{"role": "user", "content": "Hi"}], "stream": True})
    assert lines[-2] == "event: error"
    assert json.loads(lines[-1].removeprefix("data: "))["error"]["status"] == 503
    assert CANARY not in "".join(lines)


@pytest.mark.parametrize(
    ("error", "status"), [(EngineBusy(CANARY), 503), (EngineFailed(CANARY), 503), (PromptTooLong(CANARY), 413)]
)
@pytest.mark.parametrize("path", ["/api/v1/inference", "/v1/chat/completions", "stream"])
async def test_failures_are_problem_documents(place, error, status, path):
    here = place(error)
    body = {"user_input": "Hi"}
    if path != "/api/v1/inference":
        body = {"messages": [{"role": "user", "content": "Hi"}], "stream": path == "stream"}
    answer = await post(here, path.replace("stream", "/v1/chat/completions"), body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert CANARY not in answer.text
    assert ("retry-after" in answer.headers) == (status == 503)


async def test_an_entry_that_cannot_be_kept_is_503(place):
    here = place()
    here.outbox.put = lambda *_: (_ for _ in ()).throw(OSError("full"))
    body = {"user_input": "Hi", "client_id": "ada", "track_progress": True}
    assert (await post(here, "/api/v1/inference", body)).status_code == 503
    del here.outbox.put


HOSTILE = [
    b"",
    b"{",
    b"[]",
    b'"text"',
    b'{"user_input": NaN}',
    b'{"user_input": 1e400}',
    b'{"user_input": "\\ud800"}',
    b'{"user_input": "a\\u0000b"}',
    b'{"user_input": ' + b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"}",
    b'{"user_input": "' + CANARY.encode() + b"x" * 1_100_000 + b'"}',
    b'{"user_input": ["' + CANARY.encode() + b'"]}',
    b'{"user_input": "hi", "' + CANARY.encode() + b'": 1}',
    b'{"user_input": "hi", "client_id": "' + CANARY.encode() + b' !"}',
    b'{"user_input": "hi", "temperature": "' + CANARY.encode() + b'"}',
    b'{"user_input": "hi", "conversation_history": [{"role": "' + CANARY.encode() + b'", "content": "x"}]}',
    b'{"user_input": "' + CANARY.encode() + b'", "user_input": "twice"}',
    b"\xff\xfe\x00" + CANARY.encode(),
    b'{"user_input": "hi", "max_new_tokens": ' + b"9" * 500 + b"}",
]


@pytest.mark.parametrize("path", ["/api/v1/inference", "/v1/chat/completions"])
@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_bodies_are_refused_without_an_echo(place, path, body, caplog):
    here = place()
    async with here.client() as http:
        answer = await http.post(path, content=body, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert CANARY not in answer.text + caplog.text
    for error in answer.json().get("errors", []):
        assert set(error) == {"loc", "type"}
    assert here.engine.asked == []


async def test_the_longest_message_is_configured(place):
    answer = await post(place(max_input_chars=50), "/api/v1/inference", {"user_input": "x" * 51})
    assert answer.status_code == 413


async def test_health_names_its_components(place):
    here = place()
    async with here.client() as http:
        fine = await http.get("/health")
        here.engine.health = lambda: (_ for _ in ()).throw(RuntimeError(CANARY))
        ill = await http.get("/health")
    assert (fine.status_code, fine.json()["status"], fine.json()["components"]["engine"]) == (200, "ok", "ok")
    assert (ill.status_code, ill.json()["status"]) == (503, "failed")
    assert CANARY not in ill.text


async def test_a_journal_that_is_away_degrades_but_does_not_fail(place):
    here = place()

    async def more():
        return {"progress": "TimeoutError"}

    app = api.application(here.gateway, Access(here.home, here.keys), more_health=more)
    async with here.client(app) as http:
        answer = await http.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")


async def test_metrics_count_and_hold_no_words(place):
    here = place()
    async with here.client() as http:
        await http.post("/api/v1/inference", json={"user_input": CANARY, "client_id": CANARY})
        answer = await http.get("/metrics")
    assert 'pe_requests_total{outcome="ok",route="inference"}' in answer.text
    assert CANARY not in answer.text


async def test_the_cache_can_be_cleared(place):
    here = place("One.", "Two.")
    async with here.client() as http:
        for _ in range(2):
            await http.post("/api/v1/inference", json={"user_input": "Hi"})
        assert (await http.post("/cache/clear")).json() == {"cleared": 1}
        assert (await http.post("/api/v1/inference", json={"user_input": "Hi"})).json()["response"] == "Two."


async def test_dev_mode_answers_over_loopback_only(place):
    answer = await post(place(), "/api/v1/inference", {"user_input": "Hi"}, headers={"host": "evil.example"})
    assert answer.status_code == 403


async def test_production_wants_a_key_for_its_own_clients(place):
    here = place()
    keys = Keys(here.home, "production")
    issued = ApiKeys(here.home, keys)
    ada = {"authorization": f"Bearer {issued.issue('client', 'test', ['ada'])}"}
    operator = {"authorization": f"Bearer {operator_token(keys)}"}
    app = api.application(here.gateway, Access(here.home, keys))
    ask = {"user_input": "Hi"}

    async def status(path, body, headers=None):
        return (await post(here, path, body, headers=headers or {}, app=app)).status_code

    assert await status("/api/v1/inference", ask) == 401
    assert await status("/api/v1/inference", ask, {"authorization": "Bearer pr_0"}) == 401
    assert await status("/api/v1/inference", ask, ada) == 200
    assert await status("/api/v1/inference", ask | {"client_id": "ada"}, ada) == 200
    assert await status("/api/v1/inference", ask | {"client_id": "bob"}, ada) == 404
    assert await status("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}) == 401
    assert await status("/cache/clear", None, ada) == 403
    assert await status("/cache/clear", None, operator) == 200
    async with here.client(app) as http:
        assert (await http.get("/metrics")).status_code == 401
        assert (await http.get("/health")).status_code == 200
    issued.close()


async def test_words_stay_out_of_logs(place, caplog, capfd):
    here = place(RuntimeError(CANARY))
    for body in ({"user_input": CANARY}, {"user_input": f"{CRISIS} {CANARY}", "client_id": "ada"}):
        for path in ("/api/v1/inference", "/v1/chat/completions"):
            sent = body if "inference" in path else {"messages": [{"role": "user", "content": body["user_input"]}]}
            answer = await post(here, path, sent)
            assert answer.status_code in (200, 500)
            assert CANARY not in answer.text
    here.outbox.close()
    files = [p for p in here.home.state.rglob("*") if p.is_file()]
    assert files
    assert not [p for p in files if CANARY.encode() in p.read_bytes()]
    out = capfd.readouterr()
    assert CANARY not in caplog.text + out.out + out.err
    here.outbox.close = lambda: None
