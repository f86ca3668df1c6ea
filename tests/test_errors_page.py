"""Every wrong input of `docs/how-to/errors.md` gets the exit code and the lines that the page shows."""

from __future__ import annotations

import pytest

from tests.errors_page import CASES, PAGE, Case, run, shown


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.what)
def test_the_page_shows_what_happens(case: Case) -> None:
    assert shown(case, *run(case)) in PAGE.read_text()
