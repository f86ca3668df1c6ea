from __future__ import annotations

import pytest

from pe_ray.corpus.conversation import Turn, blocks, exchanges, joined, speakers_of, windows
from pe_ray.corpus.row import Fault

ROLES = {"user": "user", "agent": "assistant"}


def test_a_label_counts_only_at_the_start_of_a_line_and_in_one_spelling() -> None:
    text = "user: Hello\r\nSubject: a letter\r\nUser: quoted\r\n\r\nagent: I say user: no\nGrounding: feet\n"
    found = blocks(text, speakers_of(text))
    assert [(t.speaker, t.text, t.line) for t in found] == [
        ("user", "Hello\nSubject: a letter\nUser: quoted", 1),
        ("agent", "I say user: no\nGrounding: feet", 5),
    ]


def test_what_cannot_be_seen_does_not_hide_a_label() -> None:
    text = "\ufeff\u200buser: a\n\u200bagent: \u200bb"
    assert [t.speaker for t in blocks(text, ("user", "agent"))] == ["user", "agent"]


def test_bullets_are_marks_only_where_they_are_asked_for() -> None:
    text = "* * *\n* user: a\n*agent: b"
    assert [t.text for t in blocks(text, ("user", "agent"), bullets=True)] == ["a", "b"]
    with pytest.raises(Fault, match="line 2 stands before the first speaker"):
        blocks(text, ("user", "agent"))


def test_other_pairs_of_speakers_are_known_in_their_own_spelling() -> None:
    assert speakers_of("Client: a\nTherapist: b") == ("Client", "Therapist")
    with pytest.raises(Fault, match="no line begins with agent: or therapist:"):
        speakers_of("client: a\nsomebody: b")
    with pytest.raises(Fault, match="no line begins with user: or client:"):
        speakers_of("")


def test_turns_in_a_row_are_one_and_empty_ones_none() -> None:
    turns = [Turn("user", "a", 1), Turn("agent", "", 2), Turn("user", "b", 3), Turn("agent", "c", 4)]
    assert joined(turns) == [Turn("user", "a\nb", 1), Turn("agent", "c", 4)]


def test_what_is_left_out_at_the_ends_is_counted() -> None:
    found = exchanges([Turn(s, s) for s in ("agent", "user", "agent", "user")] + [Turn("agent", "")], ROLES)
    assert [t.speaker for t in found.turns] == ["user", "assistant"]
    assert (found.opening_turns, found.unanswered_turns, found.empty_turns) == (1, 1, 1)


@pytest.mark.parametrize("speakers", [[], ["user"], ["agent"], ["agent", "user"]])
def test_without_an_answered_question_there_is_no_exchange(speakers: list[str]) -> None:
    with pytest.raises(Fault, match="hold no exchange"):
        exchanges([Turn(s, "x") for s in speakers], ROLES)


def test_windows_are_whole_exchanges_below_the_bound_and_lose_nothing() -> None:
    turns = [Turn(role, "x" * n) for n in (3, 4, 20, 1, 1) for role in ("user", "assistant")]
    found = windows(turns, max_chars=10)
    assert [[len(t.text) for t in run] for run in found] == [[3, 3], [4, 4], [20, 20], [1, 1, 1, 1]]
    assert all(run[0].speaker == "user" and run[-1].speaker == "assistant" for run in found)
    assert [t for run in found for t in run] == turns
    assert windows(turns, max_chars=1000) == [turns]
