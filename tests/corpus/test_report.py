from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

from pe_ray.corpus.pipeline import build
from pe_ray.store.paths import Home
from tests.corpus.write import config, edge_case, five_sources, jsonl, scenes


class Page(HTMLParser):
    """Checks that tags close, and gathers text and images."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.images: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag == "img":
            self.images.append(dict(attrs)["src"])
        elif tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_report_tells_the_whole_account_on_one_page(tmp_path: Path, home: Home) -> None:
    five_sources(tmp_path)
    jsonl(tmp_path / "edge_case/more.jsonl", [edge_case(s, category="suicidality") for s in scenes(3, 390)])
    jsonl(tmp_path / "voice/broken.vtt", ["no <b>header</b>"])
    result = build(config(tmp_path, min_processed=0.9), home)
    html = (result.path / "report.html").read_text()
    page = Page(html)
    assert not page.open
    text = " ".join(" ".join(page.texts).split())
    for name in ("records_in", "kept", "rejected", "held_for_review", "errors"):
        assert re.search(rf"\b{result.stage[name]}\b", text), name
    for words in (
        result.fingerprint,
        "Accepted.",
        "not_selected",
        "broken.vtt:1",
        "child_abuse_reporting",
        "none read",
    ):
        assert words in text, words
    assert "suicidality 3 edge_case 3" in text
    assert "http" not in html.replace("http://www.w3.org", "")
    assert "<script" not in html
    assert len(page.images) == 4
    for image in page.images:
        kind, _, data = image.partition(";base64,")
        assert kind == "data:image/svg+xml"
        assert base64.b64decode(data).lstrip().startswith(b"<?xml")


def test_file_names_cannot_put_markup_into_the_page(tmp_path: Path, home: Home) -> None:
    five_sources(tmp_path)
    jsonl(tmp_path / "standard/<img src=x>.jsonl", ["{"])
    html = (build(config(tmp_path, min_processed=0.9), home).path / "report.html").read_text()
    assert "<img src=x>" not in html
    assert "&lt;img src=x&gt;.jsonl:1" in html
