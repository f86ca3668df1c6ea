"""From a model's text to an answer, or to the reason why it cannot be used, which never repeats the text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pe_ray.corpus.generate import answer
from pe_ray.corpus.generate.answer import Unusable

CLIENT = "Last winter my brother sold the orchard and I have not been able to say one word to him since then."
THERAPIST = "One word to your brother, and a whole orchard behind it: what would that word be, if it could be said?"
GOOD = {"client": CLIENT, "therapist": THERAPIST, "purpose": "hearing a loss", "expected_challenges": ["silence"]}
TEXT = json.dumps(GOOD)


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"```json\n{TEXT}\n```",
        f"Sure! Here is {{one}}:\n{TEXT}\nI hope it helps.",
        TEXT.replace(". ", ".\n"),
        json.dumps({**GOOD, "notes": "more keys do no harm"}),
    ],
)
def test_what_models_put_around_their_json_is_taken_off(text: str) -> None:
    found = answer.edge_case(text)
    assert found.client.split() == CLIENT.split()
    assert found.expected_challenges == ["silence"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the answer is empty"),
        (" \n", "the answer is empty"),
        ("zx zx zx", "holds no JSON object"),
        ("I'm sorry, but I can't help with that.", "is a refusal"),
        (TEXT[:-40], "holds no JSON object"),
        ("[1, 2]", "holds no JSON object"),
        ("{" * 50_000, "holds no JSON object"),
        ('{"a":' * 50_000, "holds no JSON object"),
        (json.dumps({**GOOD, "client": "No."}), "client has fewer than 12 words"),
        (json.dumps({**GOOD, "client": 5}), "client"),
        (json.dumps({**GOOD, "client": "word " * 40}), "client is no running text"),
        (json.dumps({**GOOD, "client": "1 2 3 4 5 6 7 8 9 10 11 12 13 14"}), "client is no running text"),
        (json.dumps({**GOOD, "client": CLIENT + " \ud800"}), "half a surrogate pair"),
        (json.dumps({**GOOD, "client": CLIENT + " \x00"}), "NUL"),
        (json.dumps({**GOOD, "client": CLIENT + "x" * 9000}), "client"),
        (json.dumps({**GOOD, "therapist": CLIENT}), "repeats what the client said"),
        (json.dumps({**GOOD, "expected_challenges": []}), "expected_challenges"),
        (json.dumps({**GOOD, "expected_challenges": "silence"}), "expected_challenges"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "purpose"}), "purpose"),
    ],
)
def test_what_cannot_be_used_is_said_without_repeating_it(text: str, said: str) -> None:
    with pytest.raises(Unusable) as caught:
        answer.edge_case(text)
    assert said in str(caught.value)
    assert "orchard" not in str(caught.value)


def turns(*names: str) -> str:
    told: list[dict[str, Any]] = [{"speaker": n, "text": f"{CLIENT} That is {i}."} for i, n in enumerate(names)]
    return json.dumps({"turns": told, "topic": "an orchard", "purpose": "a loss", "expected_challenges": ["silence"]})


def test_a_dialogue_alternates_between_the_two_names() -> None:
    assert len(answer.dialogue(turns("Ada", "Bo", "Ada", "Bo"), "Ada", "Bo", 4).turns) == 4


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("Bo", "Ada", "Bo", "Ada"), "client first"),
        (("Ada", "Ada", "Bo", "Ada"), "in turn"),
        (("Ada", "Cy", "Ada", "Cy"), "names on the cards"),
        (("Ada",), "turns holds 1; 4 are wanted"),
        (("Ada", "Bo") * 9, "turns holds 18; 4 are wanted"),
    ],
)
def test_a_dialogue_of_others_is_refused(names: tuple[str, ...], said: str) -> None:
    with pytest.raises(Unusable, match=said):
        answer.dialogue(turns(*names), "Ada", "Bo", 4)


def test_a_short_turn_may_be_anything_and_a_long_one_must_make_sense() -> None:
    quiet = turns("Ada", "Bo", "Ada", "Bo").replace(f"{CLIENT} That is 3.", "...")
    assert answer.dialogue(quiet, "Ada", "Bo", 4)
    with pytest.raises(Unusable, match="turns is no running text"):
        answer.dialogue(turns("Ada", "Bo", "Ada", "Bo").replace(f"{CLIENT} That is 2.", "la " * 30), "Ada", "Bo", 4)
