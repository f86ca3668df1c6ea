"""The Serve application: its arguments, and one real deployment under its prefix.

Ray reads its authentication settings when it is first imported, so nothing here imports it before the shared cluster's
fixture has made them.
"""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from pe_ray.errors import KeyUnavailable
from pe_ray.record import JournalEntry
from pe_ray.security.keys import Keys
from pe_ray.security.transit import seal_entry
from pe_ray.store.paths import Home
from tests.progress.conftest import sqlite_only

CANARY, CLIENT = "canary-e1b7-words", "client-e1b7"
JSON = {"content-type": "application/json"}


def test_arguments_are_checked_when_the_configuration_is_read() -> None:
    from pe_ray.progress.app import build

    assert build({"mode": "production"}) is not None
    with pytest.raises(ValidationError, match="extra_forbidden"):
        build({"mod": "dev"})
    with pytest.raises(ValidationError, match="report_window_days"):
        build({"progress": {"report_window_days": 0}})


@sqlite_only
def test_a_service_opens_where_the_environment_or_the_arguments_say(home: Home, tmp_path) -> None:
    from pe_ray.progress.app import open_service

    with pytest.raises(KeyUnavailable, match="no key file"):
        open_service({"mode": "production"})
    for args in ({}, {"home": str(home.root), "state": str(tmp_path / "elsewhere")}):
        service = open_service({**args, "progress": {"report_window_days": 30}})
        assert service.config.report_window_days == 30
        service.journal.close()
    assert (home.keys / "kek").exists()
    assert (tmp_path / "elsewhere" / "keys" / "kek").exists()


@sqlite_only
@pytest.mark.ray
def test_a_deployment_answers_by_http_and_by_handle(home: Home, ray_cluster: None) -> None:
    from ray import serve
    from ray.serve.config import HTTPOptions

    from pe_ray.progress.app import build

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=port))
    url = f"http://127.0.0.1:{port}/progress/api/v1/clients/{CLIENT}"
    args = {"home": str(home.root), "state": str(home.state)}
    try:
        serve.run(build(args), name="progress", route_prefix="/progress")
        wrote = httpx.post(f"{url}/journal", json={"text": f"{CANARY} by http"}, timeout=30)
        assert wrote.status_code == 201, wrote.text
        body = {"text": f"{CANARY} by handle"}
        sealed = seal_entry(Keys(home), JournalEntry("e1", CLIENT, "2026-01-01T00:00:00Z", "message", body, "r1"))
        handle = serve.get_app_handle("progress")
        done = handle.deliver.remote([("e1", sealed), ("e2", b"broken")]).result(timeout_s=30)
        assert done == {"stored": ["e1"], "refused": ["e2"]}
        bad = httpx.post(f"{url}/journal", content=f'{{"text": "{CANARY}", "n": NaN}}'.encode(), headers=JSON)
        assert (bad.status_code, CANARY in bad.text) == (400, False)
        missing = httpx.get(url.replace(CLIENT, "nobody") + "/journal", timeout=30)
        assert (missing.status_code, missing.json()["title"]) == (404, "no such client")
        assert httpx.get(f"{url}/journal", headers={"host": "evil.example"}, timeout=30).status_code == 403
        serve.run(  # the new replica waits for the old one to let go of the journal
            build({**args, "progress": {"report_window_days": 30}}), name="progress", route_prefix="/progress"
        )
        items = httpx.get(f"{url}/journal", timeout=30).json()["items"]
        assert [item["text"] for item in items] == [f"{CANARY} by http", f"{CANARY} by handle"]
    finally:
        serve.shutdown()
    assert hits(ray_session(), CANARY.encode()) == []
    assert hits(ray_session(), CLIENT.encode()) == []
    assert hits(home.state, CANARY.encode()) == []


def ray_session() -> Path:
    import ray

    return Path(ray._private.worker.global_worker.node.get_session_dir_path())


def hits(folder: Path, needle: bytes) -> list[str]:
    """Files below a folder that hold the bytes (sockets and what vanishes meanwhile aside)."""
    files = [p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()]
    assert files
    return [str(p) for p in files if needle in p.read_bytes()]
