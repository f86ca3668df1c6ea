from __future__ import annotations

import pytest

from pe_ray.corpus.transcripts.roles import Said, evidence, helper_by_words, helpers_of, is_client, swapped

HELPING = [
    "Tell me about the week.",
    "You said it began in May.",
    "What went through your mind?",
    "When you say stuck?",
]
ASKING = [
    "My wife left.",
    "I can't sleep and I keep thinking.",
    "I feel so tired of it.",
    "I lost my job, my boss hates me.",
]


def talk(*turns: tuple[str, str]) -> list[Said]:
    return [Said(*t) for t in turns]


def consistent(client: str = "Client", helper: str = "Therapist") -> list[Said]:
    return [s for a, h in zip(ASKING, HELPING, strict=True) for s in talk((client, a), (helper, h))]


@pytest.mark.parametrize(
    ("names", "helpers"),
    [
        (["client", "therapist"], {"therapist"}),
        (["Client", "Dr. Lee"], {"Dr. Lee"}),
        (["Therapist 1", "Supervisor"], {"Supervisor"}),
        (["Host", "Psychologist"], {"Psychologist"}),
        (["Ana", "Counsellor:", "Ben"], {"Counsellor:"}),
        (["SPEAKER_00", "SPEAKER_01"], set()),
        (["", "42"], set()),
        (["Therapist", "Therapist's dog"], {"Therapist", "Therapist's dog"}),
    ],
)
def test_who_helps_is_in_the_name(names: list[str], helpers: set[str]) -> None:
    assert helpers_of(names) == helpers


def test_who_is_a_client() -> None:
    assert is_client("CLIENT 2")
    assert not is_client("Clientele manager")
    assert not is_client("")


def test_phrases_speak_for_a_side_up_to_a_bound() -> None:
    assert evidence("Tell me about the week.") == 1
    assert evidence("My mum, my dad, my sister, my brother, my boss") == -3
    assert evidence("") == 0


def test_unnamed_speakers_are_told_apart_where_words_are_plain() -> None:
    said = consistent("SPEAKER_01", "SPEAKER_00")
    assert helper_by_words(said) == {"SPEAKER_00"}
    assert helper_by_words(said[:2]) == set()
    assert helper_by_words([*said, Said("SPEAKER_02", "Hello.")]) == set()


def test_labels_that_swap_in_mid_file_are_found() -> None:
    flipped = consistent("Therapist", "Client")
    said = [*consistent(), *flipped, *consistent()]
    assert swapped(said, {"Therapist"}) == set(range(8, 16))


def test_labels_that_hold_are_left_alone() -> None:
    assert swapped(consistent() * 3, {"Therapist"}) == set()
    assert (
        swapped([*consistent(), *talk(("Therapist", "My wife asks that too.")), *consistent()], {"Therapist"}) == set()
    )
    assert swapped([], {"Therapist"}) == set()
