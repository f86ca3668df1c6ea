from __future__ import annotations

from pe_ray.safety.groups import names_group
from pe_ray.safety.learn import load
from pe_ray.safety.normalise import fold
from pe_ray.safety.prejudice import SURE, read

HARSH = "Immigrants are lazy and only come here to steal."
KIND = "Many immigrants work long hours and miss their families."
CALM = "I slept badly and the meeting went on for hours."


def test_a_sentence_about_a_group_is_found_where_it_stands() -> None:
    text = f"{CALM} {HARSH} {KIND}"
    sign = read([text])[0]
    assert sign is not None
    assert sign.probability >= SURE
    assert text[sign.start : sign.end].strip() == HARSH


def test_what_names_no_group_is_not_read() -> None:
    assert read([CALM, "", "🙂", "Women", "\x00"]) == [None] * 5
    assert not names_group(fold(CALM).split())


def test_the_likeliest_sentence_is_that_of_the_model() -> None:
    sign = read([f"{KIND} {HARSH}"])[0]
    assert sign is not None
    alone = load("bias").probabilities([KIND, f" {HARSH}"])[:, 0].max()
    assert sign.probability == round(float(alone), 4)


def test_texts_of_any_kind_and_length_do_not_fail() -> None:
    long = f"{HARSH} " * 20_000
    assert read([long, "Women\x00are\ud800 bad people here.", "Женщины и women вместе."])[0] is not None


def test_no_texts_give_no_signs() -> None:
    assert read([]) == []
