"""A larger judge beside the small model: a server on the loopback, a tiny Transformer, files that cannot be used."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pe_ray.errors import UserError
from pe_ray.safety import danger, larger, triage
from pe_ray.safety.learn import Model, save
from pe_ray.safety.learn.encoder import Encoder
from pe_ray.safety.learn.tasks.crisis import LABELS
from pe_ray.safety.learn.train import dense_head
from tests.safety.learn.test_encoder import folder as folder

HINT = "The swing at number nine creaks again, and the new man smiles at us."
"""A hint that neither the rules nor the small model hear."""
CALM = "We had soup and watched the rain together."


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[object]:
    """Write a file for the larger judge and have it read."""

    def use(text: str) -> Path:
        path = tmp_path / "judge.toml"
        path.write_text(text)
        monkeypatch.setenv(larger.VARIABLE, str(path))
        larger.forget()
        danger.version.cache_clear()
        triage._READINGS.clear()
        return path

    yield use
    monkeypatch.delenv(larger.VARIABLE, raising=False)
    larger.forget()
    danger.version.cache_clear()
    triage._READINGS.clear()


@pytest.fixture
def guard() -> Iterator[str]:
    """A server that takes whatever speaks of a swing for unsafe, as a model of the Llama Guard family says it."""

    class Guard(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            text = body["messages"][-1]["content"]
            said = "unsafe\nS4" if "swing" in text else "unsafe\nS9" if "soup" in text else "safe"
            raw = json.dumps({"choices": [{"message": {"content": said}}]}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Guard)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def remote(url: str, level: int = 2) -> str:
    return (
        f'kind = "remote"\nurl = "{url}"\nmodel = "guard"\nstyle = "guard"\nlevel = {level}\ntimeout_s = 2\n'
        '[classes]\nS4 = "child_abuse"\nS11 = "suicide_self_harm"\n'
    )


def test_without_a_file_the_small_model_stands_alone() -> None:
    assert not larger.present()
    assert larger.read([HINT]) == [None]
    assert triage.assess(HINT).level == 0


@pytest.mark.parametrize("level", [2, 3])
def test_what_it_alone_hears_raises_a_message_to_its_level(judged, guard: str, level: int) -> None:
    judged(remote(guard, level))
    found = triage.assess(HINT)
    assert (found.level, found.classes) == (level, ("child_abuse",))
    assert triage.assess("The bus was late again.").level == 0


def test_a_label_without_a_class_is_not_heard(judged, guard: str) -> None:
    judged(remote(guard))
    assert triage.assess(CALM).level == 0


def test_a_server_that_is_away_leaves_the_small_models_word(judged) -> None:
    judged(remote("http://127.0.0.1:9/v1"))
    assert triage.assess(HINT).level == 0
    assert triage.assess("I have a plan to kill myself tonight").level == 4


def test_its_file_is_part_of_the_version(judged, guard: str) -> None:
    before = triage.version()
    judged(remote(guard))
    one = triage.version()
    judged(remote(guard, level=3))
    assert len({before, one, triage.version()}) == 3


def test_a_head_over_an_encoder_gives_levels_and_classes(judged, folder: Path, tmp_path: Path) -> None:
    import numpy as np

    texts = [HINT, f"{HINT} It hangs still.", CALM, "The bus was late again today."] * 6
    label_NL = np.zeros((len(texts), len(LABELS)))
    label_NL[0::4, [0, 1, 2, LABELS.index("child_abuse")]] = 1
    label_NL[1::4, [0, 1, 2, LABELS.index("child_abuse")]] = 1
    head = dense_head(Encoder(folder).embed(texts), label_NL, LABELS, [f"{n}" for n in range(len(texts))])
    save(tmp_path / "head", Model(head, {"task": "crisis", "version": 1}))
    judged(f'kind = "encoder"\nfolder = "{folder}"\nhead = "{tmp_path / "head"}"\n')
    assert larger.read([HINT, CALM, ""]) == [("child_abuse", 3), None, None]
    assert triage.assess(HINT).level == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kind = 'oracle'", "kind: Input should be 'encoder', 'classifier' or 'remote'"),
        ("kind = 'remote'", "url is missing; kind=remote needs url and model"),
        ("kind = 'classifier'\nfolder = 'x'", "classes is empty"),
        ("kind = 'classifier'\nfolder = 'x'\n[classes]\nbad = 'sorrow'", "classes names 'sorrow'; one of suicide_self"),
        ("kind = 'remote'\nspeed = 1", "speed: Extra inputs are not permitted"),
        ("kind = ", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_name(judged, text: str, told: str) -> None:
    path = judged(text)
    with pytest.raises(UserError, match=f"^{larger.VARIABLE}={path}: ") as raised:
        larger.read([HINT])
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)
