from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pe_ray.safety.learn import ModelFileError, counselchat, load, model, rejected
from pe_ray.safety.learn.counselchat import Answered
from pe_ray.safety.learn.model import save
from pe_ray.safety.learn.pair import Bags, Pairs, Space
from pe_ray.safety.learn.tasks import pair as task

QUESTIONS = [
    "I cannot sleep at night because of the neighbour's dog. What can I do?",
    "My husband drinks and then shouts at our daughter.",
    "How do I tell my boss that I am pregnant?",
]
ANSWERS = [
    "Talk to the neighbour about the dog, and try earplugs at night until you sleep again.",
    "Your daughter needs to hear that the shouting is not her fault, and your husband that the drinking has to end.",
    "Tell your boss in person, before the others hear that you are pregnant, and bring the dates with you.",
]
DATA = Path(os.environ.get("PE_RAY_DATA", ""))
WITH_DATA = pytest.mark.skipif(
    not (DATA / counselchat.LABELS.path).is_file(), reason="PE_RAY_DATA holds no CounselChat"
)


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    return Pairs.load()


def test_an_answer_belongs_to_its_own_question(pairs: Pairs) -> None:
    for n, question in enumerate(QUESTIONS):
        found = pairs.score([question] * 3, ANSWERS).probability_N
        assert int(np.argmax(found)) == n


def test_a_pair_gets_the_same_score_in_any_company(pairs: Pairs) -> None:
    alone = [pairs.score([q], [a]).probability_N[0] for q, a in zip(QUESTIONS, ANSWERS, strict=True)]
    assert pairs.score(QUESTIONS[::-1], ANSWERS[::-1]).probability_N.tolist() == alone[::-1]


@pytest.mark.parametrize(
    "text", ["", "😀", "\x00", "你好吗？", "Was soll ich nur machen, wenn er wieder trinkt?", "Yes."]
)
def test_nothing_is_said_of_what_is_not_known(pairs: Pairs, text: str) -> None:
    for asked, answered in ((text, ANSWERS[0]), (QUESTIONS[0], text)):
        assert np.isnan(pairs.score([asked], [answered]).probability_N).all()


def test_no_pairs_at_all_get_no_scores(pairs: Pairs) -> None:
    assert pairs.score([], []).probability_N.shape == (0,)


def test_the_shared_part_is_the_slow_sum(pairs: Pairs) -> None:
    seen: dict[str, int] = {}
    asked, answered = pairs.space.read(QUESTIONS, seen), pairs.space.read(ANSWERS, seen)

    def bag(bags: Bags, n: int) -> dict[int, float]:
        own = bags.text_E == n
        return dict(zip(bags.stem_E[own].tolist(), bags.weight_E[own].tolist(), strict=True))

    found = pairs.of_bags(asked, answered)
    for n in range(len(QUESTIONS)):
        a, b = bag(asked, n), bag(answered, n)
        length = np.sqrt(sum(v * v for v in a.values()) * sum(v * v for v in b.values()))
        assert found.feature_NF[n, 0] == pytest.approx(sum(v * b.get(k, 0) for k, v in a.items()) / length)
        assert found.shared_N[n] == len(a.keys() & b.keys())


def test_a_model_without_a_space_is_refused_by_name(tmp_path: Path) -> None:
    save(tmp_path / "bare", replace(load("pair"), extra={}))
    with pytest.raises(ModelFileError, match=r"pair@1.*no space of pairs"):
        Pairs.load(tmp_path / "bare")


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(model.shipped() / "pair", tmp_path / "pair")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(ModelFileError, match="damaged"):
        Pairs.load(folder)


def test_a_space_is_what_it_was_after_it_was_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "DIMENSIONS", 8)
    told = [Answered(f"q{n}", q, "", a) for n, (q, a) in enumerate(zip(QUESTIONS * 60, ANSWERS * 60, strict=True))]
    made = task.space([replace(t, answer=f"{t.answer} {n}") for n, t in enumerate(told)], ["the tide comes in"] * 2)
    again = Space.of(made.tensors())
    assert again.names == made.names
    for name in ("idf_V", "usual_V", "latent_LD", "middle_D"):
        assert np.array_equal(getattr(again, name), getattr(made, name)), name


def test_rejected_is_the_share_under_what_keeps_so_many() -> None:
    kind_N = np.array(["true"] * 10 + ["random"] * 4)
    score_N = np.array([0.05, *np.linspace(0.5, 1, 9), 0.01, 0.2, 0.3, 0.9])
    assert rejected.rejected(score_N, kind_N, "random", 0.9) == 0.75


@WITH_DATA
def test_nothing_of_a_held_out_question_is_learnt_from() -> None:
    away = [row for row in counselchat.rows(DATA) if counselchat.held_out(row.key)]
    taught = counselchat.taught(DATA)
    assert taught
    assert not {r.key for r in taught} & {r.key for r in away}
    assert not {counselchat.same(r.answer) for r in taught} & {counselchat.same(r.answer) for r in away}
    learnt = {p.answer.answer for p in task._examples(DATA)} | {p.question.asked for p in task._examples(DATA)}
    assert not learnt & {r.answer for r in away}


def test_the_card_has_licences_a_split_and_a_threshold() -> None:
    card = json.loads((model.shipped() / "pair" / "card.json").read_text())
    assert {d["licence"] for d in card["data"]} == {"MIT", "CC-BY-4.0"}
    assert "held out" in card["split"]
    assert {f["name"] for f in card["figures"]} >= {"mismatch.rejected_random", "mismatch.kept_at_threshold"}
