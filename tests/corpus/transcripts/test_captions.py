from __future__ import annotations

from pe_ray.corpus.transcripts.captions import Caption, fill
from pe_ray.corpus.transcripts.cue import Cue, Transcript


def cues(*shown: tuple[float, float, str]) -> list[Cue]:
    transcript = Transcript()
    fill(transcript, [Caption(n, n, start, end, tuple(t.split("\n"))) for n, (start, end, t) in enumerate(shown, 1)])
    assert not transcript.problems
    return transcript.cues


def test_lines_of_a_rolling_display_are_said_once() -> None:
    found = cues(
        (0.0, 2.0, "so today we talk"),
        (2.0, 2.01, "so today we talk"),
        (2.01, 4.0, "so today we talk\nabout grief"),
        (4.0, 4.01, "about grief"),
        (4.01, 6.0, "about grief\nand how it moves"),
    )
    assert " ".join(c.text for c in found) == "so today we talk about grief and how it moves"
    assert sum(c.folded for c in found) == 4


def test_a_caption_that_grows_is_said_once() -> None:
    found = cues((0, 1, "and then I said"), (1, 2, "and then I said"), (2, 3, "and then I said no"))
    assert [c.text for c in found] == ["and then I said", "no"]


def test_what_people_repeat_stays() -> None:
    assert [c.text for c in cues((0, 1, "No."), (1, 2, "No."), (2, 3, "I said no."))] == ["No.", "No.", "I said no."]
    apart = cues((0, 1, "let me say it again"), (5, 6, "let me say it again"))
    assert [c.text for c in apart] == ["let me say it again"] * 2
    stumble = cues((0, 1, "the thing is I think that"), (1, 2, "I think that I should"))
    assert [c.text for c in stumble] == ["the thing is I think that", "I think that I should"]


def test_a_line_shown_twice_at_once_is_one() -> None:
    assert [(c.text, c.folded) for c in cues((0, 3, "No."), (0, 3, "No."))] == [("No.", 1)]


def test_time_that_runs_backwards_folds_nothing() -> None:
    found = cues((5, 6, "one two three four"), (1, 2, "one two three four"))
    assert [(c.text, c.runs_backwards) for c in found] == [("one two three four", False), ("one two three four", True)]
