from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pe_ray.config import SourceSpec
from pe_ray.corpus.reading import Row, SourceFile, Unreadable
from pe_ray.corpus.row import Fault
from pe_ray.corpus.sources import voice as source
from pe_ray.errors import SourceError
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


SPEECH = [
    "What does grief want from us?",
    "Grief wants to be heard, and grief does not care how long the hearing takes, or who is in the room.",
    *["Grief comes in waves and nobody can say when the next wave will arrive at the door."] * 12,
]


def read_as(tmp_path: Path, name: str, words: str, **values: str) -> list[Record | Unreadable]:
    (tmp_path / name).write_text(words)
    return list(source.read(SourceSpec(kind="voice", path=str(tmp_path), values=values)))


def records(found: list[Record | Unreadable]) -> list[Record]:
    assert all(isinstance(r, Record) for r in found), found
    return [r for r in found if isinstance(r, Record)]


def captions(*texts: str) -> str:
    return json.dumps([{"text": t, "start": 6 * i, "duration": 5} for i, t in enumerate(texts)])


def segments(*said: tuple[str, str], **more: object) -> str:
    rows = [{"start": 5 * i, "end": 5 * i + 4, "speaker": s, "text": t} | more for i, (s, t) in enumerate(said)]
    return json.dumps({"segments": rows})


def test_the_bundled_sample_is_read_whole() -> None:
    found = records(list(source.read(SourceSpec(kind="voice"))))
    assert len(found) == 80
    assert {r.content_type for r in found} == {"transcript", "interview", "podcast", "psychologist_voice"}
    assert not any(r.metadata.get("speaker_swaps") or r.metadata.get("helper_by") for r in found)
    assert [r.metadata["unheard"] for r in found if "unheard" in r.metadata] == ["1"] * 4


def test_a_speech_is_pairs_that_it_has_and_passages_with_a_contextual_question(tmp_path: Path) -> None:
    found = records(read_as(tmp_path, "a.json", captions(*SPEECH), content_type="speech", title="On grief"))
    assert {r.content_type for r in found} == {"speech"}
    assert [r.metadata["question"] for r in found] == ["extracted"]
    assert talk(found[0])[0] == SPEECH[0]
    words = " ".join(t for r in found for t in talk(r)[1:])
    assert words == " ".join(SPEECH[1:])
    assert found[0].metadata["title"] == "On grief"


def test_a_monologue_without_a_question_is_asked_in_its_own_words(tmp_path: Path) -> None:
    found = records(read_as(tmp_path, "a.json", captions(*SPEECH[2:], *SPEECH[2:])))
    assert [(r.content_type, r.metadata["question"]) for r in found] == [("monologue", "contextual")] * len(found)
    assert len(found) == 2
    assert "grief" in talk(found[0])[0].casefold()
    assert found[0].metadata["passage"] == "1/2"
    assert len({r.id for r in found}) == 2


def test_a_psychologist_who_speaks_alone_is_a_content_type(tmp_path: Path) -> None:
    (record,) = records(read_as(tmp_path, "a.json", segments(*[("Psychologist", t) for t in SPEECH[2:]])))
    assert record.content_type == "psychologist_voice"
    assert record.metadata["speaker"] == "Psychologist"


def test_several_voices_without_names_are_no_monologue(tmp_path: Path) -> None:
    (found,) = read_as(tmp_path, "a.json", captions(*SPEECH), content_type="interview")
    assert isinstance(found, Unreadable)
    assert (found.field, "content_type=interview" in found.reason) == ("speaker", True)


def test_dashes_give_the_pairs_that_they_show(tmp_path: Path) -> None:
    words = "1\n00:00:01,000 --> 00:00:05,000\n- Do you sleep?\n- No.\n"
    (record,) = records(read_as(tmp_path, "a.srt", words))
    assert talk(record) == ("Do you sleep?", "No.")
    assert record.content_type == "transcript"


def test_speakers_that_are_only_counted_are_told_apart_by_a_value_or_by_their_words(tmp_path: Path) -> None:
    said = [("S0", "Hello."), ("S1", "Good day.")]
    (found,) = read_as(tmp_path, "a.json", segments(*said))
    assert isinstance(found, Unreadable)
    assert found.field == "cues"
    (record,) = records(read_as(tmp_path, "a.json", segments(*said), helper="s1"))
    assert (talk(record), record.metadata["helper"]) == (("Hello.", "Good day."), "S1")
    (found,) = read_as(tmp_path, "a.json", segments(*said), helper="Dr. No")
    assert isinstance(found, Unreadable)
    assert (found.field, "Dr. No" in found.reason) == ("helper", False)
    plain = [("S0", "My wife left and I can't sleep."), ("S1", "Tell me about it. When you say left?")] * 3
    found_by_words = records(read_as(tmp_path, "a.json", segments(*plain)))
    assert {(r.metadata["helper"], r.metadata["helper_by"]) for r in found_by_words} == {("S1", "words")}


def test_labels_that_swap_are_marked(tmp_path: Path) -> None:
    mine, theirs = "My wife left and I can't sleep.", "Tell me about it. When you say left?"
    held = [("client", mine), ("therapist", theirs)] * 3
    flipped = [("client", theirs), ("therapist", mine)] * 3
    found = records(read_as(tmp_path, "a.json", segments(*held, *flipped)))
    assert [bool(r.metadata.get("speaker_swaps")) for r in found] == [False] * 3 + [True] * 3


def test_what_the_recogniser_doubts_is_in_the_metadata(tmp_path: Path) -> None:
    words = segments(
        ("client", "I fell."),
        ("therapist", "[inaudible] hurt?"),
        no_speech_prob=0.9,
        compression_ratio=3,
        confidence=0.5,
    )
    (record,) = records(read_as(tmp_path, "a.json", words))
    known = {k: record.metadata[k] for k in ("asr_confidence", "no_speech", "loops", "unheard")}
    assert known == {"asr_confidence": "0.500", "no_speech": "1.000", "loops": "1.000", "unheard": "1"}


def test_recordings_of_one_csv_are_told_apart(tmp_path: Path) -> None:
    words = "transcript_id,interlocutor,utterance_text\n" + "".join(
        f"{n},client,Hello {n}.\n{n},therapist,Yes {n}?\n" for n in range(2)
    )
    first, second = records(read_as(tmp_path, "a.csv", words + "2,client,Alone.\n")[:2])
    assert (first.metadata["recording"], second.metadata["recording"]) == ("a.csv#0", "a.csv#1")
    assert (first.offset, second.offset) == (2, 4)
    assert "start" not in first.metadata
    (alone,) = (r for r in read_as(tmp_path, "a.csv", words + "2,client,Alone.\n") if isinstance(r, Unreadable))
    assert (alone.offset, alone.field) == (6, "cues")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.vtt", ""),
        ("a.srt", ""),
        ("a.json", ""),
        ("a.csv", ""),
        ("a.csv", "text\n"),
        ("a.json", "[]"),
        ("a.srt", "\n\n"),
    ],
)
def test_an_empty_file_is_one_error(tmp_path: Path, name: str, words: str) -> None:
    (found,) = read_as(tmp_path, name, words)
    assert isinstance(found, Unreadable)


def test_a_file_of_music_is_one_error(tmp_path: Path) -> None:
    (found,) = read_as(tmp_path, "a.json", captions("[Music]", "[Music]"))
    assert isinstance(found, Unreadable)
    assert found.field == "cues"


def test_a_file_of_another_kind_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("WEBVTT")
    (found,) = source.read(SourceSpec(kind="voice", path=str(tmp_path / "a.txt")))
    assert isinstance(found, Unreadable)
    assert ".srt" in found.reason


@pytest.mark.parametrize(
    ("values", "message"),
    [({"titel": "x"}, "values.titel: is not known"), ({"content_type": "podcasts"}, "values.content_type=podcasts")],
)
def test_values_that_mean_nothing_are_refused(tmp_path: Path, values: dict[str, str], message: str) -> None:
    with pytest.raises(SourceError, match=re.escape(message)):
        source.plan(SourceSpec(kind="voice", path=str(tmp_path), values=values))


def test_a_row_of_a_table_is_an_exchange() -> None:
    spec, file = SourceSpec(kind="voice"), SourceFile("a.jsonl", "a.jsonl", 0)
    data = {
        "question": "Is it me?",
        "answer": "No.",
        "helper": "Therapist",
        "recording": "r1",
        "content_type": "podcast",
    }
    record = source.from_row(spec, file, Row(3, data))
    assert (talk(record), record.offset, record.content_type) == (("Is it me?", "No."), 3, "podcast")
    assert record.metadata == {"helper": "Therapist", "recording": "r1", "question": "extracted"}
    with pytest.raises(Fault, match="answer"):
        source.from_row(spec, file, Row(4, {"question": "Is it me?"}))
