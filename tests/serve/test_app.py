"""Both applications on one Serve: a reply, the cache, a crisis, a stream, and the journal read back."""

from __future__ import annotations

import json
import socket
import time

import httpx
import pytest

from pe_ray.errors import PeRayError
from pe_ray.store.paths import Home

CANARY = "marmalade-9917"


@pytest.mark.ray
def test_a_gateway_and_a_journal_on_one_serve(home: Home, model_dir, ray_cluster: None) -> None:
    from ray import serve
    from ray.serve.schema import ServeDeploySchema

    from pe_ray.serve.app import deploy
    from pe_ray.serve.config_file import load_file

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    common = {"home": str(home.root), "state": str(home.state)}
    settings = {"model": str(model_dir), "max_new_tokens": 12, "timeout_s": 120}
    gateway = {**common, "serve": settings, "progress": {"drain_every_s": 0.1}}
    file = load_file().with_args(port, "127.0.0.1", {"gateway": gateway, "progress": common})
    ServeDeploySchema.model_validate(file.model_dump(mode="json", exclude_none=True))  # Ray reads the same file
    url = f"http://127.0.0.1:{port}"
    try:
        deploy(file)
        with httpx.Client(base_url=url, timeout=120) as http:
            _walk(http)
    finally:
        serve.shutdown()
    _no_words_left(home)


def _walk(http: httpx.Client) -> None:
    _wait(lambda: http.get("/health").json()["status"] == "ok", "health")
    ask = {"user_input": f"I argue with my sister about {CANARY}.", "client_id": "ada"}
    first = http.post("/api/v1/inference", json=ask).json()
    again = http.post("/api/v1/inference", json=ask).json()
    assert first["safety"]["action"] in ("none", "blocked")
    assert again["cache_hit"] is (first["safety"]["action"] == "none")
    tracked = http.post("/api/v1/inference", json={**ask, "track_progress": True}).json()
    crisis = http.post("/api/v1/inference", json={**ask, "user_input": f"{CANARY}. I want to kill myself."}).json()
    assert crisis["safety"]["action"] == "safe_reply"
    assert "988" in crisis["response"]
    lines = _stream(http)
    assert lines[-1] == "data: [DONE]"
    assert http.post("/api/v1/inference", json={"user_input": ""}).status_code == 422
    long = http.post("/api/v1/inference", json={"user_input": f"{CANARY} " * 30})
    assert (long.status_code, long.json()["title"]) == (413, "the message is longer than the model can read")
    assert http.post("/api/v1/inference", content=CANARY.encode()).status_code == 415
    journal = "/progress/api/v1/clients/ada/journal"
    _wait(lambda: http.get(journal).status_code == 200 and len(http.get(journal).json()["items"]) == 2, "journal")
    items = {item["kind"]: item for item in http.get(journal).json()["items"]}
    assert items["message"]["response_id"] == tracked["response_id"]
    assert items["message"]["text"] == ask["user_input"]
    assert items["crisis"]["response_id"] == crisis["response_id"]
    assert http.post("/cache/clear").status_code == 200
    assert "pe_requests_total" in http.get("/metrics").text


def _stream(http: httpx.Client) -> list[str]:
    body = {"messages": [{"role": "user", "content": f"Tell me about {CANARY}."}], "stream": True}
    with http.stream("POST", "/v1/chat/completions", json=body) as answer:
        lines = [line for line in answer.iter_lines() if line]
    assert all(json.loads(line.removeprefix("data: ")) for line in lines[:-1])
    return lines


def _wait(done, what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise PeRayError(f"{what} took longer than {seconds:g} s")
        time.sleep(0.2)


def _no_words_left(home: Home) -> None:
    """The canary is in no file of the home or of Ray's session, sealed bytes excepted because they do not hold it."""
    import ray

    session = ray._private.worker._global_node.get_session_dir_path()
    from pathlib import Path

    looked = 0
    for root in (home.root, Path(session)):
        for path in root.rglob("*"):
            if path.is_file() and not path.is_socket():
                looked += 1
                assert CANARY.encode() not in path.read_bytes(), path
    assert looked > 20
