from __future__ import annotations

import json

import pytest

from pe_ray.config import CheckConfig, SourceSpec
from pe_ray.corpus import sources
from pe_ray.corpus.quality import naturalness
from pe_ray.record import Message, Record, Verdict

SPOKEN = [
    "So, um, I mean, it's been a week. The boys had a cold, and then, well, I had it too.",
    "Oh dear.",
    "Yeah. And I'm, I'm not sleeping. Nobody is, really, with all that coughing through the wall at three at night.",
    "That's a lot of nights. How are you holding up?",
    "Hm.",
    "Take your time.",
    "I shouted. At the little one, you know? Over a spoon. It wasn't about the spoon.",
    "What do you think it was about? I've got a guess, but you were there and I wasn't.",
]
EVEN = [
    "I am feeling very stressed about my work and my family at this time.",
    "It sounds like you are feeling very stressed. Thank you for sharing that with me. How does that make you feel?",
    "I am feeling very worried about my health and my future at this time.",
    "It sounds like you are feeling very worried. Thank you for sharing that with me. How does that make you feel?",
]


def record(*texts: str, content_type: str = "dual_persona", **facts: str) -> Record:
    return Record.create(
        source="dual_persona",
        domain="general_therapeutic",
        content_type=content_type,
        messages=[Message("assistant" if i % 2 else "user", t) for i, t in enumerate(texts)],
        uri="a.jsonl",
        offset=1,
        licence="",
        attribution="",
        metadata=facts,
    )


def check(*texts: str, **facts: str) -> Verdict:
    verdict = naturalness.check(record(*texts, **facts))
    assert verdict
    return verdict


def test_spoken_talk_is_more_natural_than_even_talk() -> None:
    spoken, even = check(*SPOKEN), check(*EVEN * 3)
    assert spoken.score > 0.8
    assert spoken.passed
    assert even.score < naturalness.DEFAULT_MIN
    assert not even.passed


def test_the_reason_names_the_features_and_quotes_nothing() -> None:
    reason = check(*SPOKEN).reason
    assert {part.split()[0] for part in reason.split(", ")} == {f.name for f in naturalness.FEATURES} - {
        "questions"
    } | {"questions"}
    assert "spoon" not in reason


@pytest.mark.parametrize(
    "made",
    [
        record(*SPOKEN, content_type="qa"),
        record(*SPOKEN, content_type="monologue"),
        record(*SPOKEN[:2], content_type="transcript", question="contextual"),
        record("Hm.", "Yes?"),
        record(" ".join(SPOKEN)),
    ],
)
def test_what_is_no_dialogue_or_too_short_is_not_judged(made: Record) -> None:
    assert naturalness.check(made) is None


def test_the_default_is_the_configured_one_and_keeps_every_bundled_dialogue() -> None:
    assert CheckConfig().naturalness_min == naturalness.DEFAULT_MIN
    bundled = [
        r for kind in ("voice", "dual_persona") for r in sources.read(SourceSpec(kind=kind)) if isinstance(r, Record)
    ]
    verdicts = [v for r in bundled if (v := naturalness.check(r))]
    assert len(verdicts) > 100
    assert all(v.passed for v in verdicts)


def test_back_channels_that_were_set_aside_count() -> None:
    noted = json.dumps([{"cue": 3, "speaker": "Therapist", "text": "Mm-hmm."}] * 3)
    assert check(*EVEN * 3, back_channels=noted).score > check(*EVEN * 3).score
    assert check(*EVEN * 3, back_channels="?").score == check(*EVEN * 3).score


def test_english_features_are_not_asked_of_other_languages() -> None:
    assert "disfluencies" not in check(*SPOKEN, language="de").reason


def test_each_feature_says_nothing_below_its_bounds_and_all_above() -> None:
    for feature in naturalness.FEATURES:
        assert feature.says(feature.artificial) == 0
        assert feature.says(feature.natural) == 1
        assert feature.says((feature.artificial + feature.natural) / 2) == pytest.approx(0.5)
