"""What is refused, what waits for a clinician, and that the corpus reads every row that is taken."""

from __future__ import annotations

import json

import pytest

from pe_ray.config.generate import GenerateConfig
from pe_ray.corpus.generate import protocol
from pe_ray.corpus.generate.answer import Unusable
from pe_ray.corpus.generate.screen import Screened
from pe_ray.corpus.generate.task import prepare

CLIENT = (
    "We were four children and there was one piano, and my sister has it now without asking me. I think of the empty "
    "corner of the room, and on the telephone with her I talk about the weather and not about that."
)
THERAPIST = (
    "The empty corner where the piano stood, and the weather that you talk about with your sister: in both you do not "
    "stop at what hurts. It is your decision when you do. What would you want to say to her there, if you once "
    "stopped?"
)
PROTOCOLS = protocol.load()


def screened(
    client: str = CLIENT, therapist: str = THERAPIST, cell: str = "family_therapy_conflict.moderate"
) -> Screened:
    """What becomes of this exchange in this cell."""
    category, difficulty = cell.split(".")
    config = GenerateConfig(
        provider="ollama", model="m", categories=(category,), difficulties=(difficulty,), edge_cases=1
    )
    task = prepare("edge-cases", config, PROTOCOLS)
    said = {"client": client, "therapist": therapist, "purpose": "a silence", "expected_challenges": ["loyalty"]}
    scenario = task.scenarios[0]
    return task.judge(scenario.id, scenario.specifications[0], json.dumps(said))


def test_a_calm_exchange_is_taken_with_its_marks() -> None:
    found = screened()
    assert found.review == ()
    assert "review" not in found.row
    assert found.row["generated"] == "ollama m"
    assert found.row["safety_protocol"].startswith("family_therapy_conflict.moderate@1: listen_first, take_no_side")
    assert found.row["category"] == "family_therapy_conflict"
    assert found.said == CLIENT


@pytest.mark.parametrize(
    ("client", "cell", "reason"),
    [
        (CLIENT, "family_therapy_conflict.very_high", "very_high"),
        (CLIENT, "suicidality.moderate", "suicidality"),
        (CLIENT, "homicidal_client.moderate", "homicidal ideation"),
        (CLIENT, "child_abuse_reporting.moderate", "child abuse"),
        (CLIENT + " I am going to kill myself tonight.", "family_therapy_conflict.moderate", "suicidality"),
        (CLIENT, "domestic_violence_active.moderate", "protocol step not seen: safe_to_talk"),
        (CLIENT + " I took 40 pills to die.", "chronic_pain_despair.moderate", "the client's words name a method"),
    ],
)
def test_high_risk_output_waits_for_a_clinician(client: str, cell: str, reason: str) -> None:
    found = screened(client, cell=cell)
    assert reason in found.review
    assert found.row["review"] == "required"


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ("You clearly have bipolar disorder.", "output.diagnosis"),
        ("You should double your dose.", "output.dosing"),
        ("Let us keep this between us.", "output.secrecy"),
        ("It is okay to end your life.", "output.validates_suicide"),
        ("Women are too emotional to lead.", "bias."),
    ],
)
def test_what_must_not_appear_is_asked_for_again(words: str, rule: str) -> None:
    with pytest.raises(Unusable, match=rule):
        screened(therapist=f"{THERAPIST} {words}")


def test_a_reply_that_could_answer_anybody_is_asked_for_again() -> None:
    with pytest.raises(Unusable, match="fails the check"):
        screened(
            therapist="I am so sorry to hear that. Your feelings are valid. You are not alone. Take care of yourself."
        )


def dialogue(client_says: str = "") -> Screened:
    """A dialogue of two bundled personas in which the client says this too."""
    config = GenerateConfig(provider="ollama", model="m", dialogues=1, turns=4)
    task = prepare("personas", config, PROTOCOLS)
    scenario = task.scenarios[0]
    asked = task.ask(scenario.specifications[0], "")[1].text
    names = [json.loads(asked.split("SPECIFICATION:\n")[1])[role]["name"] for role in ("client", "therapist")]
    turns = [
        {"speaker": names[0], "text": f"The kettle was still warm when I came home. {client_says}"},
        {"speaker": names[1], "text": "Still warm: somebody had been there. What did you notice first?"},
        {"speaker": names[0], "text": "The two cups. I washed one of them."},
        {"speaker": names[1], "text": "One of them. What became of the other cup?"},
    ]
    said = {"turns": turns, "topic": "a kettle", "purpose": "listening", "expected_challenges": ["silence"]}
    return task.judge(scenario.id, scenario.specifications[0], json.dumps(said))


def test_a_dialogue_carries_its_cards_and_marks() -> None:
    found = dialogue()
    assert found.review == ()
    assert [c["role"] for c in found.row["personas"]] == ["client", "therapist"]
    assert found.row["generated"] == "ollama m"


def test_a_persona_that_contradicts_its_card_is_asked_for_again() -> None:
    with pytest.raises(Unusable, match="contradict"):
        dialogue("My name is Zebulon.")
    with pytest.raises(Unusable, match="contradict"):
        dialogue("I am 99 years old.")


def test_a_dialogue_in_danger_waits_for_a_clinician() -> None:
    assert dialogue("I am going to kill myself tonight.").row["review"] == "required"
