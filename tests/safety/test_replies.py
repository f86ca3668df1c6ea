import pytest

from pe_ray.safety import replies
from pe_ray.safety.output import judge
from pe_ray.safety.replies import around, blocked_reply, failure_reply, safe_reply
from pe_ray.safety.rules import TRIAGE_FILES
from pe_ray.safety.triage import Assessment, Sticky, assess


def _at(level: int, name: str, turns: int = 1) -> Assessment:
    return Assessment(level, (name,), (), (), Sticky(level, turns=turns, classes=(name,)))


@pytest.mark.parametrize("name", TRIAGE_FILES)
@pytest.mark.parametrize("level", [2, 3, 4])
@pytest.mark.parametrize("turns", [1, 2, 4])
def test_a_safe_reply_has_every_element_and_passes_the_filter(name, level, turns):
    text = safe_reply(_at(level, name, turns), "US")
    assert "?" in text  # asks
    assert "staying right here" in text  # stays
    assert "I'm an AI" in text
    assert any(n in text for n in ("988", "911", "1-800")) or "still stands" in text
    assert not judge(text, level=level).blocked


def test_the_question_about_suicide_is_asked_in_so_many_words():
    assert "killing yourself" in safe_reply(assess("I want to kill myself"), "US")


def test_level_4_names_the_emergency_number_first():
    text = safe_reply(assess("I'm going to kill myself tonight"), "GB")
    assert text.index("999") < text.index("116 123")


def test_the_same_number_is_not_repeated_within_three_turns():
    shown = ["988" in safe_reply(_at(3, "suicide_self_harm", turns), "US") for turns in range(1, 8)]
    assert shown == [True, False, False, True, False, False, True]


def test_a_models_reply_at_level_2_gets_a_question_and_a_resource():
    text = around("That sounds lonely.", assess("I wish I was dead"), "IE")
    assert text.startswith("That sounds lonely.")
    assert "killing yourself?" in text
    assert "116 123" in text


def test_the_fixed_words_pass_the_filter_and_fit_an_unknown_country():
    for text in (failure_reply("US"), failure_reply("XX"), blocked_reply(), replies.ai_notice()):
        assert not judge(text, level=4).blocked
    assert not any(c.isdigit() for c in failure_reply("XX"))


@pytest.mark.parametrize(
    "text", ["My friend says she wants to kill herself.", "My brother told me he is going to hang himself."]
)
def test_a_worry_about_somebody_else_is_asked_about_them(text: str) -> None:
    found = assess(text)
    assert found.level >= 2 and found.about_other
    reply = safe_reply(found, "US")
    assert "you having thoughts" not in reply and "Are you thinking of killing yourself" not in reply
    assert "they" in reply and "988" in reply


def test_ones_own_danger_is_asked_about_oneself() -> None:
    own = assess("I want to kill myself, and my friend says she wants to kill herself too.")
    assert not own.about_other
