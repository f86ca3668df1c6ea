from __future__ import annotations

import logging
import socket
import subprocess
import sys

import pytest

from pe_ray.corpus.quality import language
from pe_ray.record import Message, to_table
from tests.corpus.quality.judge import record


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("I have been lying awake since my sister moved out, and what she said is still with me.", "en"),
        ("Garden furniture rusts quickly near seaside cottages", "en"),  # no small words: the model is asked
        ("THEY TOLD ME THAT THIS WOULD PASS, BUT IT HAS NOT, AND NOBODY CALLS.", "en"),
        ("Ich kann seit Wochen nicht schlafen, weil meine Mutter krank ist.", "de"),
        ("Desde que murió mi abuela no tengo ganas de salir de casa por la noche.", "es"),
        ("Ma sœur ne me parle plus depuis l'été et je ne sais pas quoi faire.", "fr"),
        ("Привет, я плохо сплю уже две недели и не знаю почему.", "ru"),
        ("私は最近よく眠れません。母が病気になってからずっと心配しています。", "ja"),
        ("first line of English\nand a second one that\r\nyou have read", "en"),
    ],
)
def test_languages_are_told_apart(text: str, code: str) -> None:
    assert language.language_of(text) == code


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "ok",
        "Mm-hmm. Yes.",
        "1234 5678 9012 3456 7890",
        "🙂" * 60,
        "\x00" * 50,
        "\ud800" * 30,
        "?!" * 400,
        "\u200b" * 99,
    ],
)
def test_what_holds_too_few_letters_is_undetermined(text: str) -> None:
    assert language.language_of(text) == language.UNDETERMINED


@pytest.mark.parametrize(
    "text",
    [
        "qwzx kjhg pltr vbnm wsdf ghjk zxcv",
        "\ud800abc def ghi" * 9,
        "a" * 100_000,
        "привет hello 你好 مرحبا" * 5,
        "\x00a" * 40,
    ],
)
def test_strange_text_gets_some_code_and_no_error(text: str) -> None:
    code = language.language_of(text)
    assert code == "und" or (len(code) == 2 and code.isalpha())


def test_a_long_text_is_told_by_its_beginning_middle_and_end() -> None:
    spanish = "No puedo dormir desde que mi hermano se fue de casa y nadie me llama. " * 30
    assert language.language_of(f"Hi there. {spanish}") == "es"


def test_a_table_gets_a_column_over_all_that_is_said() -> None:
    said = [
        Message("user", "Es geht mir nicht gut, und ich weiß nicht warum."),
        Message("assistant", "Seit wann ist das so?"),
    ]
    table = to_table([record("x", "y").with_messages(said), record("Hm?", "Mm.")])
    done = language.apply(table)
    assert done["language"].to_pylist() == ["de", "und"]
    assert done.drop_columns("language") == table
    assert language.apply(to_table([])).schema == done.schema


def test_nothing_is_fetched_and_nothing_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a connection was asked for")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    language._detector.cache_clear()
    with caplog.at_level(logging.DEBUG):
        assert language.language_of("Garden furniture rusts quickly near seaside cottages " * 20) == "en"
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_the_model_is_not_loaded_before_it_is_needed() -> None:
    code = "import sys; import pe_ray.corpus.quality.language; print('fasttext' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
