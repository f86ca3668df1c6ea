import json
import os
import socket

import pytest

from pe_ray.config import check
from pe_ray.errors import AdapterNotFound, KeyUnavailable, PortBusy, UserError
from pe_ray.serve import up
from pe_ray.store import manifest
from pe_ray.store.paths import Home


@pytest.fixture
def started(monkeypatch):
    """What was started; nothing may be."""
    calls = []
    monkeypatch.setattr(up.subprocess, "Popen", lambda *a, **k: calls.append(a) or (_ for _ in ()).throw(OSError()))
    return calls


@pytest.fixture
def config(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    manifest.write(model, kind="model", parents={}, facts={})
    return lambda **serve: check({"serve": {"port": 0, "model": str(model)} | serve})


def test_a_busy_port_is_found_before_anything_starts(home: Home, config, started):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        with pytest.raises(PortBusy, match=f"serve.port={port}"):
            up.up(config(port=port), home, say=lambda _: None)
    assert started == []


@pytest.mark.parametrize(
    ("serve", "error", "says"),
    [
        ({"host": "0.0.0.0"}, UserError, "serve.host='0.0.0.0'"),
        ({"model": "nothing@1"}, AdapterNotFound, "nothing@1"),
        ({"mode": "production"}, KeyUnavailable, "no key file"),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(home: Home, config, started, serve, error, says):
    with pytest.raises(error, match=says):
        up.up(config(**serve), home, say=lambda _: None)
    assert started == []


def test_production_without_an_api_key_does_not_start(home: Home, config, started):
    from pe_ray.security.keys import Keys

    Keys(home)  # the key file is there, but nobody has a key
    with pytest.raises(UserError, match="no API key"):
        up.up(config(mode="production"), home, say=lambda _: None)
    assert started == []


def test_nothing_served_is_no_error(home: Home):
    assert up.status(home) == {"running": False}
    assert "nothing" in up.down(home)


def test_a_process_id_that_belongs_to_another_program_is_left_alone(home: Home):
    home.state.mkdir(parents=True)
    (home.state / "serve.json").write_text(json.dumps({"pid": os.getpid(), "url": "http://127.0.0.1:1"}))
    assert up.status(home) == {"running": False}
    assert "nothing" in up.down(home)  # we are still here


@pytest.mark.parametrize("text", ["", "{", "{}", '{"pid": "x"}', '{"pid": 999999999, "url": "u"}'])
def test_a_damaged_state_file_means_nothing_runs(home: Home, text):
    home.state.mkdir(parents=True)
    (home.state / "serve.json").write_text(text)
    assert up.status(home) == {"running": False}


def test_the_child_is_told_everything_and_no_secret(home: Home, config):
    settings = up._settings(config(mode="dev"), home, up.LOCAL)
    gateway, progress = settings["file"]["applications"]
    assert gateway["args"]["home"] == progress["args"]["home"] == str(home.root)
    assert gateway["args"]["serve"]["port"] == 0
    assert settings["file"]["http_options"]["port"] > 0
    assert (home.keys / "kek").read_text().strip() not in json.dumps(settings)
