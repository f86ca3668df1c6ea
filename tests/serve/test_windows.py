from pe_ray.safety.output import OutputJudgement
from pe_ray.serve.engine.base import TokenEvent
from pe_ray.serve.windows import LONGEST_WAIT, STAY_BEHIND, Windows


def _judge(text: str) -> OutputJudgement:
    return OutputJudgement("blocked", ("no@1",)) if "bad" in text or not text.strip() else OutputJudgement("none")


def _run(text: str) -> tuple[Windows, list[str]]:
    windows, sent = Windows(_judge), []
    for char in text:
        windows.add(TokenEvent(char))
        sent.append(windows.release())
    sent.append(windows.rest())
    return windows, [s for s in sent if s]


def test_a_sentence_leaves_when_it_is_whole():
    windows, sent = _run(" One. Two!  Three")
    assert sent == ["One.", " Two!", "  Three"]
    assert windows.released == windows.text == "One. Two!  Three"


def test_nothing_of_a_refused_sentence_leaves():
    windows, sent = _run("Fine. This is bad. And more.")
    assert sent == ["Fine."]
    assert windows.blocked
    assert windows.rules == ("no@1",)


def test_words_without_sentences_leave_with_a_distance():
    windows = Windows(_judge)
    windows.add(TokenEvent("word " * ((LONGEST_WAIT // 5) + 2)))
    sent = windows.release()
    assert sent.endswith(" ")
    assert STAY_BEHIND <= len(windows.text) - len(sent) <= STAY_BEHIND + 5


def test_an_empty_reply_is_refused():
    windows, sent = _run("  \n ")
    assert sent == []
    assert windows.blocked
