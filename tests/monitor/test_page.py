"""A report is one file: nothing is loaded from elsewhere, and what is not markup is escaped."""

from __future__ import annotations

from pathlib import Path

from pe_ray.monitor.page import Page, axes, facts, plot, show, table


def test_a_page_is_one_file_and_escapes_what_it_is_given(tmp_path: Path) -> None:
    figure, ax = axes()
    ax.plot([1, 2], [3, 4])
    page = Page("Title <b>", "sub")
    page.section("One", facts([("<i>", 1)]), table(["name", "n"], [["<script>", 2], ["b", 3.25]]), "a < b")
    page.section("Two", plot(figure, alt='a "plot"'))
    html = page.write(tmp_path / "r" / "page.html").read_text()
    assert "<script>" not in html
    assert "<i>" not in html
    assert "a &lt; b" in html
    assert "Title &lt;b&gt;" in html
    assert 'src="http' not in html
    assert "data:image/svg+xml" in html
    assert '<td class="n">3.25</td>' in html


def test_numbers_read_well() -> None:
    assert [show(v) for v in (None, True, 12345, 0.123456, 12345.6, "x")] == [
        "–",
        "yes",
        "12,345",
        "0.1235",
        "12,346",
        "x",
    ]
