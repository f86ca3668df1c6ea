"""Judges of other kinds: a tiny Transformer made here, and a server on the loopback."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pe_ray.errors import UserError
from pe_ray.safety.learn import Model, load, save
from pe_ray.safety.learn.encoder import Classifier, Encoder, EncoderModel, Remote
from pe_ray.safety.learn.train import dense_head
from tests.safety.learn.tiny import examples

TEXT = "thank you so much my friend"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers over the letters, with a head for two labels."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    out = tmp_path_factory.mktemp("encoder")
    letters = [chr(c) for c in range(97, 123)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    (out / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        id2label={0: "warm", 1: "cold"},
    )
    BertForSequenceClassification(config).save_pretrained(out)
    BertTokenizerFast(str(out / "vocab.txt")).save_pretrained(out)
    return out


def test_a_head_is_trained_over_an_encoder_and_saved(folder: Path, tmp_path: Path) -> None:
    encoder, told = Encoder(folder), examples()
    x = encoder.embed(told.texts)
    assert x.shape == (len(told.texts), 32)
    assert np.allclose(encoder.embed(told.texts[:1]), x[:1], atol=1e-5)
    head = dense_head(x, told.label_NL, ("warm", "cold"), list(told.groups))
    save(tmp_path, Model(head, {"task": "tiny", "version": 1}))
    judge = EncoderModel(encoder, load(tmp_path))
    found = judge.judge([TEXT, "", "x", "what a terrible idea it was in the end", "word " * 3000])
    assert [j.reason for j in found] == ["", "empty", "1 word, fewer than 3", "", ""]
    assert found[0].scores["warm"] > found[3].scores["warm"]


def test_a_classifier_has_the_labels_of_its_folder(folder: Path) -> None:
    judge = Classifier(folder)
    assert judge.labels == ("warm", "cold")
    one, none = judge.judge([TEXT, "😀"])
    assert sum(one.scores.values()) == pytest.approx(1, abs=1e-3)
    assert (none.abstained, none.reason) == (True, "no words")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"encoder=.*config\.json"):
        Encoder(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="cannot be opened"):
        Classifier(tmp_path)


SAYS: dict[str, Any] = {
    "json": '{"warm": 0.9, "cold": 0.2}',
    "fenced": '```json\n{"warm": 1, "cold": 0}\n```',
    "nonsense": "I would rather talk about the weather.",
    "missing": '{"warm": 0.9}',
    "extra": '{"warm": 0.9, "cold": 0.1, "lukewarm": 1}',
    "beyond": '{"warm": 7, "cold": 0.1}',
    "word": '{"warm": "very", "cold": 0.1}',
    "nan": '{"warm": NaN, "cold": 0.1}',
    "list": "[1, 2]",
    "null": None,
    "safe": "safe",
    "unsafe": "unsafe\nS1,S11",
    "other": "unsafe\nS99",
    "both": "safe\nS1",
}


class _Handler(BaseHTTPRequestHandler):
    asked: list[dict[str, Any]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        _Handler.asked.append(body | {"authorization": self.headers.get("authorization")})
        name = body["model"]
        if name == "slow":
            time.sleep(1)
        status = 500 if name == "down" else 200
        raw = b"no json" if name == "torn" else json.dumps(_reply(name)).encode()
        try:
            self.send_response(status)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        pass


def _reply(name: str) -> dict[str, Any]:
    if name == "hollow":
        return {"choices": []}
    return {"choices": [{"message": {"content": SAYS.get(name, "")}}]}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("name", ["json", "fenced"])
def test_a_server_that_answers_labels_is_believed(url: str, name: str) -> None:
    (found,) = Remote(url, ("warm", "cold"), name).judge([TEXT])
    assert (found.labels, found.abstained) == (("warm",), False)
    assert "warm, cold" in _Handler.asked[-1]["messages"][0]["content"]
    assert _Handler.asked[-1]["messages"][1]["content"] == TEXT


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nonsense", "no judgement"),
        ("missing", "1 too few"),
        ("extra", "1 labels too many"),
        ("beyond", "probabilities"),
        ("word", "probabilities"),
        ("nan", "probabilities"),
        ("list", "labels too many"),
        ("null", "no judgement"),
        ("hollow", "no judgement"),
        ("torn", "no judgement"),
        ("down", "answers 500"),
        ("slow", r"no answer within 0\.3 s"),
    ],
)
def test_nonsense_and_silence_are_abstentions(url: str, name: str, reason: str) -> None:
    (found,) = Remote(url, ("warm", "cold"), name, timeout_s=0.3).judge([TEXT])
    assert found.abstained
    assert not found.scores
    assert re.search(reason, found.reason)
    assert "weather" not in found.reason


@pytest.mark.parametrize(
    ("name", "labels", "reason"),
    [
        ("safe", (), ""),
        ("unsafe", ("unsafe", "S1", "S11"), ""),
        ("other", None, "categories"),
        ("both", None, "neither"),
        ("nonsense", None, "neither"),
    ],
)
def test_a_guard_says_safe_or_unsafe_and_why(url: str, name: str, labels: Any, reason: str) -> None:
    (found,) = Remote(url, ("unsafe", "S1", "S2", "S11"), name, style="guard").judge([TEXT])
    assert found.abstained == (labels is None)
    assert reason in found.reason
    assert labels is None or found.labels == labels
    assert _Handler.asked[-1]["messages"] == [{"role": "user", "content": TEXT}]


def test_what_is_not_fit_to_be_judged_is_not_sent(url: str) -> None:
    before = len(_Handler.asked)
    found = Remote(url, ("warm",), "json").judge(["", "\x00 a b c", "ok"])
    assert all(j.abstained for j in found)
    assert len(_Handler.asked) == before


def test_nobody_listens() -> None:
    (found,) = Remote("http://127.0.0.1:9/v1", ("warm",), "json", timeout_s=1).judge([TEXT])
    assert found.reason.startswith("no connection")


def test_a_key_travels_to_this_machine_or_encrypted_only(url: str) -> None:
    key = {"PE_RAY_JUDGE_KEY": "k-123"}
    Remote(url, ("warm", "cold"), "json", environ=key).judge([TEXT])
    assert _Handler.asked[-1]["authorization"] == "Bearer k-123"
    with pytest.raises(UserError, match="unencrypted"):
        Remote("http://example.org/v1", ("warm",), "json", environ=key)
    with pytest.raises(UserError, match="url="):
        Remote("example.org", ("warm",), "json", environ={})
    assert "k-123" not in repr(Remote(url, ("warm",), "json", environ=key))
