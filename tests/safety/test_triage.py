import random
import time

import pytest

from pe_ray.safety.rules import TRIAGE_FILES, load
from pe_ray.safety.triage import Sticky, asks, assess, follow
from tests.safety.phrases import DISGUISED, LEVEL_2, LEVEL_3, LEVEL_4, ORDINARY

HINTS = ["I'm such a burden to everyone.", "I just want the pain to stop."]


@pytest.mark.parametrize("text", LEVEL_4)
def test_danger_now(text):
    assert assess(text).level == 4


@pytest.mark.parametrize("text", LEVEL_3)
def test_active_danger(text):
    assert assess(text).level >= 3


@pytest.mark.parametrize("text", LEVEL_2)
def test_possible_danger(text):
    assert assess(text).level >= 2


@pytest.mark.parametrize(("text", "least"), DISGUISED)
def test_disguised_words_are_read(text, least):
    assert assess(text).level >= least


KNOWN_FALSE_ALARMS = {
    "I keep checking the door is locked, thirty times a night",
    "We were four children and there was one piano, and my sister has it now without asking me. I think of the empty "
    "corner of the room, and I drive past her street after work and do not stop.",
}
"""What the model takes for a danger though it is none; the rules do not."""


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(t, marks=pytest.mark.xfail(strict=True, reason="the model errs")) if t in KNOWN_FALSE_ALARMS else t
        for t in dict.fromkeys((*ORDINARY, *sorted(KNOWN_FALSE_ALARMS)))
    ],
)
def test_ordinary_distress_stays_below_two(text):
    found = assess(text)
    assert found.level < 2, found.rules


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("I want to end my life", "suicide_self_harm"),
        ("I want to kill him", "harm_to_others"),
        ("My stepfather hits me and I am twelve", "child_abuse"),
        ("The carer slapped my grandmother", "elder_abuse"),
        ("My boyfriend punched me last night", "partner_violence"),
        ("I hear voices and they keep talking about me", "psychosis_mania"),
        ("I've been purging after every meal and my heart keeps skipping", "eating_disorder_medical"),
        ("I just took 30 tablets", "overdose_withdrawal"),
        ("He isn't breathing", "medical_emergency"),
    ],
)
def test_every_class_is_found(text, name):
    assert assess(text).classes[0] == name


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("I would never kill myself", 0),
        ("I never said I wanted to kill myself", 0),
        ("I don't want anyone to know that I want to die", 3),
        ("I can't stop thinking about killing myself", 3),
        ("I tried to kill myself six years ago", 1),
        ("I tried to kill myself six years ago and lately the thoughts are back", 3),
        ("My sister wants to die", 2),
        ("My sister hates me and I want to die", 3),
        ('She wrote "I want to die" under the picture', 1),
        ("In the novel the captain wants to die", 0),
        ("My doctor asked whether I was suicidal", 1),
        ("My doctor asked whether I was suicidal and I lied", 3),
    ],
)
def test_context_decides(text, level):
    assert assess(text).level == level


def test_what_others_say_is_nobodys_disclosure():
    question = "Are you thinking of killing yourself? I want to kill myself is a sentence that I have heard before."
    assert assess(question, role="assistant").level == 0
    assert assess(question, role="system").level == 0
    assert assess(question).level == 3


def test_a_yes_to_a_direct_question_is_a_disclosure():
    asked = "Are you having thoughts of killing yourself?"
    assert assess("Yes. Every night.", asked=asked).level == 3
    assert assess("No, not at all.", asked=asked).level == 0
    assert assess("Yes. Every night.", asked="Do you sleep badly?").level == 0


def test_hints_add_up_over_turns_but_not_for_ever():
    hints = HINTS
    assert [assess(h).level for h in hints] == [0, 0]
    assert assess(hints[1], history=hints[:1]).level == 2
    small_talk = ["We had soup.", "It rained.", "The bus was late.", "My cat is well."]
    assert assess(hints[1], history=[hints[0], *small_talk]).level == 0


@pytest.mark.parametrize("turns", [1, 2, 5, 60])
def test_a_conversation_is_followed_as_its_messages_are_judged(turns):
    draw = random.Random(turns)
    questions = ["Are you thinking of killing yourself?", "Did you sleep?", ""]
    for _ in range(6):
        said = [draw.choice([*LEVEL_4, *LEVEL_3, *LEVEL_2, *ORDINARY, *HINTS, "Yes.", "No."]) for _ in range(turns)]
        asked = [draw.choice(questions) for _ in said]
        found = list(follow(zip(said, map(asks, asked), strict=True)))
        slowly = [assess(t, history=said[:i], asked=a) for i, (t, a) in enumerate(zip(said, asked, strict=True))]
        assert found == slowly


def test_a_question_about_suicide_is_heard_through_a_disguise():
    assert asks("Are you thinking of k1lling yourself?")
    assert not asks("Are you thinking of moving?")
    assert not asks("")


def test_danger_is_remembered_until_denial_and_calm():
    history = ["I want to kill myself"]
    assert assess("The weather is nice", history=history).level == 3
    history += ["The weather is nice", "I watched the birds", "I ate something", "I slept a little"]
    assert assess("Good morning", history=history).level == 3  # calm alone is no denial
    history += ["I'm not going to do anything, I am safe"]
    found = assess("Good morning", history=history)
    assert found.level == 2
    assert found.classes == ("suicide_self_harm",)
    assert "state.sticky@1" in found.rules


def test_the_remembered_state_stands_in_for_the_history():
    first = assess("I want to kill myself")
    then = assess("The weather is nice", before=first.state)
    assert (then.level, then.state.turns) == (3, 2)
    assert assess("The weather is nice", before=Sticky()).level == 0


def test_spans_count_the_message_as_it_was_given():
    text = "Well, this week I keep thinking about k1lling mys3lf."
    assert any("lling mys3lf" in text[a:b] for a, b in assess(text).spans)


def test_the_assessment_holds_no_words():
    assert "marmalade" not in repr(assess("I want to kill myself with marmalade"))


def test_rules_have_versions_and_every_pattern_compiles():
    rules = load(*TRIAGE_FILES)
    assert all(r.regex.pattern for r in (*rules.rules, *load("idioms").rules))
    assert {r.group for r in rules.rules} == set(TRIAGE_FILES)
    given = {s for r in rules.rules for s in r.signals} | {f"other.{s}" for r in rules.rules for s in r.signals}
    assert {s for c in rules.combinations for s in c.all} <= given
    assert all("@" in name for name in assess("I want to kill myself tonight").rules)


def test_triage_of_2000_characters_takes_under_25_ms():
    draw = random.Random(3)
    sentences = [*ORDINARY, *LEVEL_2, *LEVEL_3]
    texts = [". ".join(draw.choices(sentences, k=60))[:2000] for _ in range(40)]
    assess(" ".join(sentences))  # compiles
    took = []
    for text in texts:
        start = time.process_time()
        assess(text)
        took.append(time.process_time() - start)
    assert sorted(took)[int(0.95 * len(took))] < 0.025


@pytest.mark.parametrize("text", ["", "\x00", "\ud83d", "a" * 20_000, "kill " * 4000, "(" * 5000, "i want to " * 1500])
def test_hostile_texts_are_judged_quickly(text):
    start = time.process_time()
    assess(text)
    assert time.process_time() - start < 1.5
