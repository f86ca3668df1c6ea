from __future__ import annotations

import time

import pytest

from pe_ray.config import CheckConfig, SourceSpec
from pe_ray.corpus import sources
from pe_ray.corpus.quality import transcription
from pe_ray.record import Message, Record, Verdict

TALK = (
    "So, um, the week was long. I slept badly, and on Tuesday I snapped at the boys again.",
    "Two things at once, then: little sleep, and a short fuse on Tuesday. Which of them came first, do you think?",
)


def record(*texts: str, content_type: str = "transcript", source: str = "voice", **facts: str) -> Record:
    return Record.create(
        source=source,
        domain="mental_health",
        content_type=content_type,
        messages=[Message(r, t) for r, t in zip(("user", "assistant"), texts or TALK, strict=True)],  # type: ignore[arg-type]
        uri="a.vtt",
        offset=1,
        licence="",
        attribution="",
        metadata=facts,
    )


def check(*texts: str, **facts: str) -> Verdict:
    verdict = transcription.check(record(*texts, **facts))
    assert verdict
    return verdict


def test_other_records_are_not_judged() -> None:
    assert transcription.check(record(content_type="qa", source="standard")) is None
    assert transcription.check(record(content_type="dual_persona", source="dual_persona")) is None


def test_the_default_is_the_configured_one_and_keeps_every_bundled_transcript() -> None:
    assert CheckConfig().transcription_min == transcription.DEFAULT_MIN
    verdicts = [transcription.check(r) for r in sources.read(SourceSpec(kind="voice")) if isinstance(r, Record)]
    assert len(verdicts) == 80
    assert all(v and v.passed for v in verdicts)


def test_a_good_transcript_is_perfect_and_its_figures_are_named() -> None:
    verdict = check(start="0.000", end="15.000", cues="2", asr_confidence="0.93")
    assert (verdict.score, verdict.passed) == (1.0, True)
    assert "confidence 0.93" in verdict.reason
    assert "words_per_s" in verdict.reason
    assert "Tuesday" not in verdict.reason


@pytest.mark.parametrize(
    ("facts", "figure"),
    [
        ({"asr_confidence": "0.3"}, "confidence 0.30"),
        ({"loops": "1.000"}, "words_compressing 1.00"),
        ({"unheard": "6"}, "unheard_per_100_words"),
        ({"start": "0", "end": "3"}, "words_per_s"),
        ({"cues": "4", "negative_time_steps": "3", "no_speech": "0.4"}, "times_backwards 0.75"),
    ],
)
def test_grave_damage_rejects(facts: dict[str, str], figure: str) -> None:
    verdict = check(**facts)
    assert not verdict.passed
    assert figure in verdict.reason


def test_a_recogniser_that_loops_is_rejected_and_a_person_who_stammers_is_not() -> None:
    assert not check("How was it?", "And we go home. " + "thank you for watching " * 8).passed
    assert check("How was it?", "No, no, no. I, I, I mean, you know, you know, it was fine for the boys.").score == 1.0


@pytest.mark.parametrize(
    ("words", "share"),
    [
        ([], 0.0),
        (["a"], 0.0),
        (["no"] * 3, 0.0),
        (["no"] * 4, 0.75),
        (["a", "b"] * 2, 0.0),
        (["a", "b"] * 3, 4 / 6),
        (["x", *["a", "b", "c"] * 4], 9 / 13),
    ],
)
def test_the_share_of_looping_words(words: list[str], share: float) -> None:
    assert transcription.looping(words) == pytest.approx(share)


def test_captions_without_case_and_full_stops_pass() -> None:
    bare = "so today we talk about grief and how it moves through a house and why it takes the long way round to the"
    verdict = check("Can you talk about grief?", f"{bare} kitchen and {bare} garden", question="contextual")
    assert verdict.passed
    assert verdict.score < 1


def test_a_question_that_nobody_spoke_is_not_judged() -> None:
    loop = "thank you " * 20
    assert check(loop, TALK[1], question="contextual").score == 1.0
    assert not check(loop, TALK[1]).passed


@pytest.mark.parametrize(
    "facts", [{"start": "soon", "end": "later"}, {"cues": "0"}, {"asr_confidence": ""}, {"end": "-1"}]
)
def test_facts_that_are_no_figures_do_no_harm(facts: dict[str, str]) -> None:
    assert 0 <= check(**facts).score <= 1


def test_a_record_of_murmurs_is_judged_by_what_there_is() -> None:
    assert check("Mm-hmm.", "…").passed


def test_a_long_text_takes_little_time() -> None:
    start = time.process_time()
    check("Well?", "thank you for watching " * 20_000)
    assert time.process_time() - start < 2
