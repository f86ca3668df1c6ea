from __future__ import annotations

import pytest

from pe_ray.safety import emotion

LONG = (
    "I am so grateful for everything that you did for us last week, it was wonderful to have you here and the children "
    "loved every minute of it."
)
HARD = (
    "I am terrified of going back there and I cannot sleep, my heart races all night and I dread every single morning."
)


def test_a_clear_text_shows_its_emotion() -> None:
    (thanks,) = emotion.read(["Thank you so much, you made my day!"])
    assert thanks.labels[0] == "gratitude"
    assert set(thanks.scores) == set(emotion.affect())
    assert all(0 <= p <= 1 for p in thanks.scores.values())


def test_tone_has_a_side_and_an_uncertainty() -> None:
    good, hard = (found.tone for found in emotion.read([LONG, HARD]))
    assert good is not None
    assert hard is not None
    assert good.valence > 0.2 > -0.1 > hard.valence
    assert hard.arousal > 0
    for tone in (good, hard):
        assert 0 < tone.valence_sd < 1
        assert 0 < tone.arousal_sd < 1


def test_the_spread_of_one_certain_emotion_is_its_own_and_doubt_widens_it() -> None:
    table = emotion.affect()
    sure = dict.fromkeys(table, 0.0) | {"joy": 1.0}
    torn = sure | {"grief": 1.0}
    tone, wide = emotion.tones([sure, torn])
    assert tone.valence == table["joy"][0]
    assert tone.valence_sd == pytest.approx(table["joy"][2])
    assert wide.valence_sd > 0.7
    assert wide.valence == pytest.approx((table["joy"][0] + table["grief"][0]) / 2)


def test_a_short_text_has_no_tone_and_says_why() -> None:
    (found,) = emotion.read(["Thank you so much, you made my day!"])
    assert found.tone is None
    assert not found.abstained
    assert found.reason == "8 words, fewer than 20"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("😀", "no words"),
        ("\x00 oh no no", "holds NUL"),
        ("Ich bin heute wirklich sehr traurig.", "language: de"),
    ],
)
def test_what_cannot_be_judged_is_left(text: str, reason: str) -> None:
    (found,) = emotion.read([text])
    assert (found.abstained, found.reason, found.tone, dict(found.scores)) == (True, reason, None, {})


def test_every_emotion_has_a_place_and_its_sides_are_right() -> None:
    table = emotion.affect()
    assert set(table) == set(emotion.model().labels)
    assert all(-1 <= v <= 1 and -1 <= a <= 1 and 0 < s < 1 for v, a, s in table.values())
    assert all(table[name][0] < 0 for name in ("anger", "fear", "grief", "sadness", "disgust", "remorse"))
    assert all(table[name][0] > 0 for name in ("joy", "love", "gratitude", "relief", "pride"))
