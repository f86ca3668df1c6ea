from __future__ import annotations

from pe_ray.corpus.quality import authenticity, markers
from pe_ray.record import to_table
from tests.corpus.quality.judge import record

GRIEF = "I cried all night, the grief is unbearable."
RECORDS = [
    record(GRIEF, "I am so sorry, that sounds painful and lonely."),
    record(GRIEF, "Wonderful! How exciting, I'm thrilled for you!"),
    record(GRIEF, "Keep a diary of your sleep."),
    record("I am so happy, what a joy!", "Congratulations, that is wonderful!"),
    record("When does the office open?", "Wonderful! How exciting!"),
]


def test_cheer_beside_grief_is_low_and_an_attuned_reply_high() -> None:
    verdicts = [authenticity.check(r) for r in RECORDS]
    assert verdicts[0] and verdicts[0].score == 1
    assert verdicts[1] and not verdicts[1].passed
    assert verdicts[3] and verdicts[3].score == 1


def test_there_is_no_verdict_where_a_side_is_unclear() -> None:
    assert authenticity.check(RECORDS[2]) is None
    assert authenticity.check(RECORDS[4]) is None


def test_a_batch_gets_the_verdicts_that_its_records_get_one_by_one() -> None:
    table = markers.apply(to_table(RECORDS))
    by_words, unclear = authenticity.judge(table)
    found = by_words | authenticity.look_again(table, by_words, unclear)
    assert [found.get(row) for row in range(len(RECORDS))] == [authenticity.check(r) for r in RECORDS]


def test_spans_are_words_of_the_helper() -> None:
    told = list(authenticity.spans(RECORDS[1]))
    assert {message for _, message, _, _ in told} == {1}
    assert "thrilled" in {RECORDS[1].messages[1].text[a:b] for _, _, a, b in told}
