from __future__ import annotations

from pe_ray.safety.learn import load
from pe_ray.safety.sentences import MOST_SENTENCES, likeliest

TEXT = "  Women are weak.\nIt rained!  Was it late?"


def test_the_likeliest_of_the_chosen_sentences_is_told_by_its_characters() -> None:
    model = load("bias")
    seen: list[str] = []

    def chosen(sentence: str) -> bool:
        seen.append(sentence)
        return True

    (sign,) = likeliest(model, [TEXT], chosen)
    assert seen == ["Women are weak.", "It rained!", "Was it late?"]
    assert sign is not None
    assert TEXT[sign.start : sign.end] == "Women are weak."
    best = max(float(row[0]) for row in model.probabilities([s for s in seen if len(s.split()) > 2]))
    assert sign.probability == round(best, 4)


def test_nothing_chosen_gives_nothing() -> None:
    assert likeliest(load("bias"), [TEXT, ""], lambda _: False) == [None, None]


def test_a_long_text_is_read_up_to_a_number_of_sentences() -> None:
    read: list[str] = []
    likeliest(load("bias"), ["Women are here now. " * (MOST_SENTENCES + 50)], lambda s: bool(read.append(s)) or True)
    assert len(read) >= MOST_SENTENCES
