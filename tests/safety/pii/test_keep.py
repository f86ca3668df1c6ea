"""A help line that is masked is a person who cannot call."""

from __future__ import annotations

import re
import tomllib

import pytest

from pe_ray.safety.pii import find, replace
from pe_ray.safety.pii.lexicon import data
from pe_ray.safety.rules import read

LINES = tomllib.loads(read("resources"))["line"]


@pytest.mark.parametrize(
    "number",
    [
        *(
            "988",
            "911",
            "999",
            "112",
            "111",
            "741741",
            "741-741",
            "116 123",
            "116123",
            "13 11 14",
            "85258",
            "3114",
            "1737",
        ),
        *(
            "1-800-273-8255",
            "1 800 273 8255",
            "(800) 273-8255",
            "+1 800 273 8255",
            "18002738255",
            "800.273.8255",
            "1-800-273-TALK",
        ),
        *(
            "1-888-628-9454",
            "1-877-565-8860",
            "1-866-488-7386",
            "(855) 227-3640",
            "844-493-8255",
            "833-456-4566",
            "1-833-456-4566",
        ),
        *(
            "0800 1111",
            "0800 58 58 58",
            "0808 800 5000",
            "0800 111 0111",
            "0800-0113",
            "+44 800 068 4141",
            "1800 737 732",
            "1300 659 467",
        ),
        *("1-800-SUICIDE", "1-800-662-HELP (4357)", "+31 116 123"),
    ],
)
@pytest.mark.parametrize(
    "form", ["Call {} now.", "call {}, any time", "{}", "Phone: {}\nor text", "my number is {}; account number {}"]
)
def test_crisis_lines_and_toll_free_numbers_survive(number: str, form: str) -> None:
    text = form.replace("{}", number)
    assert find(text) == []


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line['country']} {line['name']}")
def test_every_line_that_we_give_survives(line: dict[str, str]) -> None:
    text = f"You can {line['contact']} ({line['name']}). More on {line['source']}."
    assert replace(text, b"k" * 16) == (text, {})


@pytest.mark.parametrize("number", data("keep")["numbers"])
def test_every_listed_number_survives(number: str) -> None:
    assert find(f"Please call {number} or text {number}.") == []


@pytest.mark.parametrize("where", data("keep")["hosts"])
def test_the_pages_of_those_who_help_survive(where: str) -> None:
    assert find(f"See https://{where}/get-help or www.{where}, {where}; mail help@{where}") == []


@pytest.mark.parametrize(
    "text",
    [
        "call 202-988-1234",
        "call 988-202-1234",
        "ring +44 20 7911 1230",
        "https://notsamaritans.org/jane",
        "https://samaritans.org.evil.com/x",
        "x@samaritans.org.evil.com",
        "https://example.net/?u=samaritans.org",
    ],
)
def test_what_only_looks_like_help_does_not(text: str) -> None:
    assert find(text)


@pytest.mark.parametrize(
    "name", ["The Trevor Project", "the Samaritans", "Mayo Clinic", "Johns Hopkins", "the Betty Ford Center"]
)
def test_organisations_are_nobody(name: str) -> None:
    assert find(f"I wrote to {name} and {name} wrote back.") == []


def test_no_masked_text_loses_its_line() -> None:
    text, counts = replace("I'm Sarah, 581-896-0013. They said call 988 or 1-800-273-8255.", b"k" * 16)
    assert re.search(r"call 988 or 1-800-273-8255\.$", text)
    assert counts == {"name": 1, "phone": 1}
