from __future__ import annotations

import random

import pytest

from pe_ray.corpus import markup

PIECES = (
    *(
        "<p>",
        "</p>",
        "<b>",
        "</b>",
        "<br>",
        "<br/>",
        '<div class="a">',
        "</div>",
        " ",
        "\n",
        "\n\n",
        "a",
        "b c",
        "<",
        ">",
    ),
    *("&", "<hr>", "<li>", "</li>", '<span style="x">', "</span>", '<img src="x>y">', "<a href='u'>", "</a>", "</p >"),
    *("<ul>", "</ul>", "1 < 2", "<!-- c -->", "<P>", "</br>", "<style>p {}</style>", "<o:p>", "<pre>", "</pre>"),
)


@pytest.mark.parametrize(
    ("html", "said"),
    [
        ("I <3 you", "I <3 you"),
        ("no tags", "no tags"),
        ("<p>Hello <b>you</b></p><p>there</p>", "\nHello you\n\n\nthere\n\n"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<ul><li>one</li> <li>two</li></ul>", "\n\none\n \ntwo\n\n"),
    ],
)
def test_the_words_of_a_fragment_stay(html: str, said: str) -> None:
    assert markup.text_of(html) == said
    assert html == said or markup._nested(html) == said  # the short way was taken


@pytest.mark.parametrize(
    "html", ["<p>open", "<b><p>x</b></p>", "a &amp; <b>b</b>", "<script>x</script><b>y</b>", "<b>1 < 2</b>"]
)
def test_what_is_not_simple_goes_to_beautiful_soup(html: str) -> None:
    assert markup._nested(html) is None


def test_the_short_way_gives_what_beautiful_soup_gives() -> None:
    choose, compared = random.Random(1), 0
    for _ in range(12_000):
        html = "".join(choose.choices(PIECES, k=choose.randint(1, 8)))
        short = markup._nested(html)
        if short is not None and "<" in html:
            compared += 1
            assert short == markup._soup(html), html
    assert compared > 50
