from __future__ import annotations

import json
from pathlib import Path

from pe_ray.config import SourceSpec
from pe_ray.corpus.reading import Unreadable
from pe_ray.corpus.sources import voice as source
from pe_ray.record import Record


def read(tmp_path: Path, *said: tuple[str, str], notes: str = "title: T\nlanguage: en") -> list[Record | Unreadable]:
    """One file in which cue i lasts from second 10 i to 10 i + 8."""
    cues = [
        f"00:{i // 6:02d}:{i % 6}0.000 --> 00:{i // 6:02d}:{i % 6}8.000\n<v {s}>{t}" for i, (s, t) in enumerate(said)
    ]
    (tmp_path / "s.vtt").write_text("\n\n".join(["WEBVTT", f"NOTE\n{notes}", *cues]) + "\n")
    return list(source.read(SourceSpec(kind="voice", path=str(tmp_path))))


def talk(record: Record | Unreadable) -> tuple[str, str]:
    assert isinstance(record, Record), record
    return record.messages[0].text, record.messages[1].text


def test_an_exchange_is_what_is_asked_and_then_what_is_answered(tmp_path: Path) -> None:
    first, second = read(
        tmp_path,
        ("Client", "I lie awake."),
        ("Client", "Every night."),
        ("Therapist", "Since when?"),
        ("Therapist", "What changed?"),
        ("Client", "The move."),
        ("Therapist", "Tell me about it."),
    )
    assert talk(first) == ("I lie awake. Every night.", "Since when? What changed?")
    assert talk(second) == ("The move.", "Tell me about it.")
    assert (first.offset, second.offset) == (1, 5)
    assert (first.metadata["start"], first.metadata["end"]) == ("0.000", "38.000")
    assert (first.metadata["speaker"], first.metadata["helper"]) == ("Client", "Therapist")
    assert first.metadata["recording"] == second.metadata["recording"] == "s.vtt"
    assert (first.domain, first.content_type, first.metadata["question"]) == (
        "mental_health",
        "transcript",
        "extracted",
    )


def test_a_back_channel_is_kept_apart_and_does_not_cut_the_turn(tmp_path: Path) -> None:
    (record,) = read(
        tmp_path,
        ("Client", "It began in May"),
        ("Therapist", "Mm-hmm."),
        ("Therapist", "Right."),
        ("Client", "and it never stopped."),
        ("Therapist", "Go on."),
        ("Client", "That is all."),
        ("Therapist", "May is a long time ago."),
        ("Client", "Mm."),
        ("Therapist", "What kept it going?"),
    )
    assert talk(record) == (
        "It began in May and it never stopped. That is all.",
        "May is a long time ago. What kept it going?",
    )
    assert [b["cue"] for b in json.loads(record.metadata["back_channels"])] == [2, 3, 5, 8]


def test_a_short_answer_is_no_back_channel(tmp_path: Path) -> None:
    first, second = read(
        tmp_path,
        ("Client", "I packed the car."),
        ("Therapist", "Did you drive?"),
        ("Client", "Yes."),
        ("Therapist", "How was that?"),
    )
    assert talk(first) == ("I packed the car.", "Did you drive?")
    assert talk(second) == ("Yes.", "How was that?")


def test_a_short_reply_before_a_longer_one_is_part_of_the_reply(tmp_path: Path) -> None:
    (record,) = read(tmp_path, ("Client", "It hurts."), ("Therapist", "Yes."), ("Therapist", "Where does it hurt?"))
    assert talk(record) == ("It hurts.", "Yes. Where does it hurt?")


def test_stage_directions_are_counted_and_alone_cut_nothing(tmp_path: Path) -> None:
    (record,) = read(
        tmp_path,
        ("Client", "I [sighs] gave up."),
        ("Client", "[crying]"),
        ("Therapist", "Take your time."),
        ("Client", "[long pause]"),
        ("Therapist", "I am here."),
    )
    assert talk(record) == ("I gave up.", "Take your time. I am here.")
    assert record.metadata["stage_directions"] == "3"


def test_time_that_runs_backwards_never_makes_a_negative_duration(tmp_path: Path) -> None:
    (tmp_path / "s.vtt").write_text(
        "WEBVTT\n\n00:20.000 --> 00:10.000\n<v Client>Late.\n\n00:05.000 --> 00:06.000\n<v Therapist>Early?\n"
    )
    (record,) = source.read(SourceSpec(kind="voice", path=str(tmp_path)))
    assert isinstance(record, Record)
    assert record.metadata["negative_time_steps"] == "2"
    assert float(record.metadata["end"]) >= float(record.metadata["start"])


def test_turns_without_a_counterpart_are_counted(tmp_path: Path) -> None:
    (record,) = read(
        tmp_path,
        ("Therapist", "Come in and sit down."),
        ("Client", "Thank you for seeing me."),
        ("Therapist", "What brings you?"),
        ("Client", "I forgot what I wanted to say."),
    )
    assert talk(record) == ("Thank you for seeing me.", "What brings you?")
    assert record.metadata["opening_turns"] == "1"
    assert record.metadata["unanswered_turns"] == "1"


def test_where_only_helpers_speak_the_supervisor_answers(tmp_path: Path) -> None:
    (record,) = read(tmp_path, ("Therapist", "My client is silent."), ("Supervisor", "What do you feel in it?"))
    assert talk(record) == ("My client is silent.", "What do you feel in it?")


def test_several_who_ask_are_told_apart(tmp_path: Path) -> None:
    (record,) = read(
        tmp_path, ("Ana", "He never listens."), ("Ben", "She never stops."), ("Counsellor", "Both are tired.")
    )
    assert talk(record) == ("Ana: He never listens.\nBen: She never stops.", "Both are tired.")


def test_a_file_without_an_exchange_is_one_error(tmp_path: Path) -> None:
    (found,) = read(tmp_path, ("Client", "Hello?"), ("Client", "Nobody here."))
    assert isinstance(found, Unreadable)
    assert found.field == "cues"


def test_an_unknown_content_type_is_one_error(tmp_path: Path) -> None:
    (found,) = read(tmp_path, ("Client", "Hi."), ("Therapist", "Welcome."), notes="content_type: podcasts")
    assert isinstance(found, Unreadable)
    assert "did you mean 'podcast'?" in found.reason


def test_a_bad_cue_is_an_error_with_its_line_beside_the_records(tmp_path: Path) -> None:
    (tmp_path / "s.vtt").write_text(
        "WEBVTT\n\n00:01.000 --> 00:02.000\n<v Client>One thing.\n\n00:03 -> 4\n<v Client>lost\n\n"
        "00:05.000 --> 00:06.000\n<v Therapist>Which?\n"
    )
    error, record = source.read(SourceSpec(kind="voice", path=str(tmp_path)))
    assert isinstance(error, Unreadable)
    assert (error.offset, error.field) == (6, "timing")
    assert talk(record) == ("One thing.", "Which?")


def test_a_file_that_is_not_utf8_is_one_error_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "s.vtt").write_bytes(b"WEBVTT\n\n00:01.000 --> 00:02.000\n<v Client>caf\xe9\n")
    (error,) = source.read(SourceSpec(kind="voice", path=str(tmp_path)))
    assert isinstance(error, Unreadable)
    assert error.offset == 4
