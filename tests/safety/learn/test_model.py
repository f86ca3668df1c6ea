from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pe_ray.errors import UserError
from pe_ray.safety.learn import ModelFileError, abstain, load, model, names
from pe_ray.safety.learn.features import Reader
from pe_ray.safety.learn.head import Head
from pe_ray.safety.learn.model import Model, save
from pe_ray.safety.learn.train import dense_head, train
from tests.safety.learn.tiny import TINY, examples

ODD = {
    "": "empty",
    " \n": "empty",
    "😀": "no words",
    "12 34 56": "no words",
    "a\x00b c d e": "holds NUL",
    "hello there": "2 words, fewer than 3",
    "Я не знаю, что мне делать": "script: cyrillic",
    "我不知道该怎么办": "script: cjk",
    "Ich weiss heute nicht mehr, was ich noch machen soll.": "language: de",
    "for (int i = 0; i < n; i++) { total += a[i]; }": "code",
    "a word and " * 100_000: "1100000 characters, more than 20000",
    "I am glad that you came": "",
    "im so happpy 4 u rn lol": "",
    "\ud800 a lone surrogate is here": "",
    "glad gläd glăd mixed Ωmega today": "",
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "tiny"
    train(TINY, out)
    return out


@pytest.mark.parametrize(("text", "reason"), ODD.items(), ids=range(len(ODD)))
def test_a_text_that_cannot_be_judged_says_why(text: str, reason: str) -> None:
    assert abstain.reason(text) == reason


def test_every_text_gets_a_judgement(tiny: Path) -> None:
    found = load(tiny).judge(list(ODD))
    assert [j.reason for j in found] == list(ODD.values())
    assert all(j.abstained == (not j.scores) for j in found)


def test_it_says_what_it_learnt_after_it_was_saved(tiny: Path) -> None:
    judge = load(tiny)
    warm, cold = judge.judge(["thank you so much my friend", "what a terrible idea it was again"])
    assert (warm.labels, cold.labels) == (("warm",), ("cold",))
    assert warm.scores["warm"] > 0.6 > warm.scores["cold"]
    assert judge.name == "tiny@3"
    assert judge.judge([]) == []
    assert judge.card["figures"][0]["value"] == 1.0


def test_the_fast_sum_is_the_slow_one(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "CHUNK", 7)
    judge = load(tiny)
    texts = [*ODD, *examples().texts]
    assert judge.recipe is not None
    slow = judge.head.of_bag(Reader(judge.recipe).bag(texts))
    assert np.allclose(judge.logits(texts), slow, atol=1e-4)
    assert np.allclose(judge.logits(texts), slow, atol=1e-4)  # from what it remembers
    alone = np.concatenate([judge.logits([t]) for t in texts])
    assert np.allclose(alone, slow, atol=1e-4)


def test_training_again_gives_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    train(TINY, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["card.json", "model.safetensors"]
    for file in tmp_path.iterdir():
        assert file.read_bytes() == (tiny / file.name).read_bytes()


def test_a_band_abstains(tiny: Path) -> None:
    judge = load(tiny)
    banded = Model(judge.head, judge.card, judge.recipe, band=(0.0, 1.0))
    (found,) = banded.judge(["thank you so much"])
    assert found.abstained
    assert found.reason.startswith("warm 1.00 lies between")
    assert found.scores


def test_a_damaged_file_is_refused_by_name(tiny: Path, tmp_path: Path) -> None:
    def broken(name: str) -> Path:
        folder = tmp_path / name
        save(folder, load(tiny))
        return folder

    damaged = broken("damaged")
    raw = bytearray((damaged / "model.safetensors").read_bytes())
    raw[-3] ^= 1
    (damaged / "model.safetensors").write_bytes(bytes(raw))
    cut = broken("cut")
    (cut / "model.safetensors").write_bytes(bytes(raw[:40]))
    gone = broken("gone")
    (gone / "model.safetensors").unlink()
    bare = broken("bare")
    (bare / "card.json").unlink()
    torn = broken("torn")
    (torn / "card.json").write_text("{")
    other, wrong = broken("other"), broken("wrong")
    card = json.loads((other / "card.json").read_text())
    (other / "card.json").write_text(json.dumps({**card, "format": 99}))
    (wrong / "card.json").write_text(json.dumps({**card, "labels": ["warm"]}))
    for folder, what in {
        damaged: "model.safetensors: damaged",
        cut: "model.safetensors: damaged",
        gone: "model.safetensors: FileNotFoundError",
        bare: "card.json: there is no card",
        torn: "card.json: JSONDecodeError",
        other: "card.json: format=99",
        wrong: "card.json: ValueError",
    }.items():
        with pytest.raises(ModelFileError) as caught:
            load(folder)
        assert what in str(caught.value)
        assert str(folder) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="no such model"):
        load("astrology")


def test_loading_and_judging_need_neither_torch_nor_scikit_learn(tiny: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pe_ray.safety.learn import load\n"
        f"j = load(Path({str(tiny)!r})); j.judge(['thank you so much'])\n"
        "print([m for m in ('torch', 'sklearn', 'scipy', 'ray', 'transformers', 'pyarrow') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "[]"


def test_a_head_over_dense_features(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 5)) * [1, 10, 100, 1, 1]
    y = (x[:, 1] / 10 + rng.normal(size=600) * 0.5 > 0.5).astype(float)
    head = dense_head(x, y, ("same",), [str(n) for n in range(600)])
    card = {"task": "dense", "version": 1}
    save(tmp_path, Model(head, card))
    p = load(tmp_path).of_dense(x)[:, 0]
    assert isinstance(head, Head)
    assert ((p >= head.thresholds[0]) == (y == 1)).mean() > 0.8
    assert abs(p.mean() - y.mean()) < 0.05


@pytest.mark.parametrize("name", names())
def test_what_ships_loads_and_is_small(name: str) -> None:
    judge = load(name)
    folder = model.shipped() / name
    assert (folder / "model.safetensors").stat().st_size < 1_500_000
    assert judge.card["data"]
    assert judge.card["limits"]
    assert all(f["interval"] is None or len(f["interval"]) == 2 for f in judge.card["figures"])
