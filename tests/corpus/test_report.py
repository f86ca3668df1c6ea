from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pe_ray.config import CorpusConfig
from pe_ray.corpus import mask, tally
from pe_ray.corpus.balance import Balance
from pe_ray.corpus.ledger import Ledger, draw_up
from pe_ray.corpus.report import ReportData, Spend, gather, render
from pe_ray.store.paths import Home
from tests.corpus.write import config, edge_case, five_sources, jsonl, scenes

SECRET = "Grandmother Eulalia died in Porto in 1974"
PII = pa.list_(pa.struct([("type", pa.string()), ("count", pa.int32())]))
TEXTS = pa.list_(pa.string())
LIST_COLUMNS = {"changes": TEXTS, "held_for": TEXTS, "pii": PII}


class Page(HTMLParser):
    """Checks that tags close, and gathers text and images."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.images: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(html)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list) -> None:
        given = dict(attrs)
        if tag == "img":
            assert given["alt"]
            self.images.append(given["src"])
        elif tag not in ("meta", "br"):
            self.open.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if "href" in given else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)


def row(number: int, status: str = "kept", stage: str | None = None, reason: str | None = None, **over: Any) -> dict:
    """A decided key row."""
    return {
        "id": f"{number:032x}",
        "source": "standard",
        "domain": "psychology",
        "content_type": "qa",
        "question": "extracted",
        "category": None,
        "difficulty": None,
        "changes": [],
        "held_for": [],
        "pii": [],
        "language": "en",
        "contaminated": None,
        "crisis_level": 0,
        "user_words": 12,
        "assistant_words": 30,
        "score_coherence": 0.6,
        "score_bias": None,
        "status": status,
        "stage": stage,
        "reason": reason,
        "copies": 1 if status == "kept" else 0,
        "split": "train" if status == "kept" else None,
    } | over


def edge(number: int, category: str, difficulty: str, status: str = "kept", **over: Any) -> dict:
    return row(number, status, source="edge_case", category=category, difficulty=difficulty, **over)


ROWS = [
    row(1, changes=["mojibake", "html"], pii=[{"type": "email", "count": 2}, {"type": "person", "count": 1}]),
    row(2, split="validation", language="de", domain="mental_health"),
    row(3, "rejected", "clean", "no text is left"),
    row(4, "rejected", "dedup", f"same text as {1:032x}"),
    row(5, "rejected", "dedup", f"nearly the same text as {2:032x}, Jaccard 0.84", source="voice"),
    row(6, "rejected", "coherence", "score 0.012 is under 0.05 (1 shared stems)", score_coherence=0.012),
    row(7, "rejected", "coherence", "score 0.040 is under 0.05 (2 shared stems)", score_coherence=0.04),
    row(8, "rejected", "decontaminate", "13 words of bench", contaminated="13 words of bench"),
    row(9, "rejected", "balance", "not_selected"),
    edge(10, "suicidality", "very_high", "held", held_for=["suicidality"], crisis_level=3),
    edge(11, "cultural_conflicts", "moderate", score_coherence=0.5, score_bias=1.0),
    edge(12, "cultural_conflicts", "moderate", "rejected", stage="coherence", reason="score 0.010 is under 0.05"),
]
CLUSTERS = pa.table(
    {
        "record_id": [f"{n:032x}" for n in (1, 4, 2, 5)],
        "cluster": ["a", "a", "b", "b"],
        "survivor": [f"{n:032x}" for n in (1, 1, 2, 2)],
        "likeness": [1.0, 1.0, 1.0, 0.84],
        "kind": ["survivor", "exact", "survivor", "near"],
    }
)
ERRORS = [{"source": "voice", "uri": "<img src=x>.vtt", "offset": 7, "field": "cue", "reason": "ends before it begins"}]


def table(rows: list[dict] = ROWS) -> pa.Table:
    kinds = LIST_COLUMNS | {"score_bias": pa.float32(), "score_coherence": pa.float32()}
    return pa.table({n: pa.array([r[n] for r in rows], kinds.get(n)) for n in ROWS[0]})


def ledger(keys: pa.Table, errors: int = 1) -> Ledger:
    columns = (keys[name].to_pylist() for name in ("source", "status", "copies"))
    targets = {"standard": 0.5, "edge_case": 0.3, "voice": 0.2}
    return draw_up(*columns, {"voice": errors}, targets, Balance({}, ("voice",)))


def wanted_records(keys: pa.Table) -> pa.Table:
    """The texts of the rejects that the page asks for; each says the secret."""
    messages = [{"role": "user", "text": f"{SECRET}. And then?"}, {"role": "assistant", "text": "I am sorry."}]
    rows = tally.examples_wanted(keys)
    return pa.table({"id": keys["id"].take(pa.array(rows)), "messages": [messages] * len(rows)})


@pytest.fixture(scope="module")
def whole() -> ReportData:
    keys = table()
    return gather(
        CorpusConfig(),
        keys,
        ledger(keys),
        ERRORS,
        "f" * 32,
        clusters=CLUSTERS,
        rejected=wanted_records(keys),
        concepts={"concepts": 73, "target": 4867, "kinds": {"disorder": 70, "technique": 3}},
        cpu_s={"read": 1.0, "clean": 2.0, "judge": 4.0, "de-duplicate": 0.5, "balance": 0.25, "write": 0.25},
        spend=Spend(1.5, 40, 38),
    )


@pytest.fixture(scope="module")
def html(whole: ReportData) -> str:
    return render(whole)


def test_the_page_is_whole_and_loads_nothing(html: str) -> None:
    page = Page(html)
    assert not page.open
    assert set(page.links) == {f"#{i}" for i in page.ids}
    assert "http" not in html
    assert "<script" not in html
    assert len(page.images) == 3
    for image in page.images:
        kind, _, data = image.partition(";base64,")
        assert kind == "data:image/svg+xml"
        assert base64.b64decode(data).lstrip().startswith(b"<?xml")


def test_the_page_tells_the_account(html: str) -> None:
    text = Page(html).text
    for words in (
        "Accepted. 3 records, 92.31 % of the rows readable. Not in the target shares: voice is short.",
        "13 rows read",
        "rows read 13 readable 12 −1 usable 11 −1 in no evaluation set 10 −1 unique 8 −2 not held for review 7 −1",
        "passed coherence 4 −3",
        "kept in balance 3 −1",
        "voice short",
        "coherence 0.208 12 2 0",
        "decontaminate 13 words of bench",
        "not_selected",
        "dedup nearly the same text as another record 1",
        "1 exact removed 1 near removed 2 clusters",
        "voice standard 1",
        "suicidality 1 edge_case 1",
        "level 0 in 11, level 3 in 1",
        "email 2 1",
        "de 1 1",
        "73 concepts 4,867 target 1.5 % of the target",
        "read 1.00 76.923 12.5 %",
        "all 8.00 615.385",
        "38 records from 40 requests, 1.50 USD",
        "voice <img src=x>.vtt:7 cue ends before it begins",
    ):
        assert words in text, words


def test_the_matrix_has_every_category_and_difficulty(whole: ReportData, html: str) -> None:
    assert whole.matrix is not None
    assert [len(row) for row in whole.matrix.values()] == [3] * 25
    cell = whole.matrix["cultural_conflicts"]["moderate"]
    assert (cell.kept, cell.held, cell.rejected) == (1, 0, 1)
    assert cell.quality == pytest.approx((0.75 + 0.6) / 2, abs=1e-6)
    assert whole.matrix["suicidality"]["very_high"].held == 1
    assert whole.matrix["manic_episode"]["high"] == tally.Cell()
    text = Page(html).text
    assert text.count("none read") == 73
    assert "cultural conflicts 1 / 0 / 1 0.68" in text
    assert "suicidality * none read none read 0 / 1 / 0 0.60" in text


def test_no_word_of_a_record_is_on_the_page(html: str) -> None:
    text = Page(html).text
    assert "user , 9 words: xxx xxx xxx in xxx in 000." in text
    assert "assistant , 3 words: I xxx xxx." in text
    for word in SECRET.split():
        if word != "in":
            assert word not in html


def test_what_was_not_measured_is_said() -> None:
    keys = table([r for r in ROWS if r["source"] != "edge_case"])
    off = CorpusConfig.model_validate({"pii": {"tier": "off"}})
    text = Page(render(gather(off, keys, ledger(keys), [], "f" * 32, problem="too few <rows>"))).text
    assert "Refused. too few <rows>." in text
    for what in (
        "no edge case was read",
        "duplicates",
        "personal data was not looked for",
        "examples of rejected records",
        "concepts",
        "CPU seconds",
        "what generated text cost",
    ):
        assert f"Not measured: {what}" in text, what


def test_a_page_over_nothing_but_unreadable_rows_renders() -> None:
    keys = table(ROWS).slice(0, 0)
    html = render(gather(CorpusConfig(), keys, ledger(keys, 3), ERRORS * 300, "f" * 32, clusters=CLUSTERS.slice(0, 0)))
    text = Page(html).text
    assert "rows read 3 readable 0 −3" in text
    assert "200 of 300; quarantine.jsonl has all" in text


def test_a_phase_that_nobody_timed_is_not_zero(whole: ReportData) -> None:
    text = Page(render(replace(whole, cpu_s={"read": 2.0, "upload": 1.0}))).text
    assert "read 2.00 153.846 66.7 %" in text
    assert "clean not measured" in text
    assert "upload 1.00" in text


def test_scores_count_what_a_check_did_not_judge(whole: ReportData) -> None:
    found = {s.check: s for s in whole.scores}
    assert (found["bias"].judged, found["bias"].silent, found["bias"].under) == (1, 11, 0)
    assert sum(found["coherence"].counts) == 12
    assert found["coherence"].under == 2


def test_a_score_on_the_threshold_is_not_under_it() -> None:
    (found,) = [s for s in tally.scores(table([row(1, score_coherence=0.05)]), {"coherence": 0.05}) if s.judged]
    assert found.under == 0


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("same text as 0af3", "same text as another record"),
        ("nearly the same text as 0af3, Jaccard 0.84", "nearly the same text as another record"),
        ("means the same as 0af3, cosine 0.97", "means the same as another record"),
        ("like 0af3 of the index, Jaccard 0.71", "like a record of the index"),
        ("score 0.012 is under 0.05 (1 shared stems, 0 shared fields)", "score under 0.05"),
        ("question_cap", "question_cap"),
    ],
)
def test_reasons_are_counted_without_what_is_particular(reason: str, said: str) -> None:
    assert tally.kind(reason) == said


def test_examples_are_few_for_each_reason_and_the_same_in_any_order() -> None:
    many = [row(n, "rejected", "coherence", f"score 0.0{n} is under 0.05") for n in (31, 12, 25, 17)] + ROWS
    keys, turned = table(many), table(many[::-1])
    chosen = [keys["id"][i].as_py() for i in tally.examples_wanted(keys)]
    assert chosen == [turned["id"][i].as_py() for i in tally.examples_wanted(turned)]
    assert [int(i, 16) for i in chosen] == [3, 6, 7, 8]


def test_a_record_like_one_of_the_index_has_no_source_here() -> None:
    clusters = pa.table(
        {
            "record_id": [f"{1:032x}"],
            "cluster": [f"{1:032x}"],
            "survivor": ["elsewhere"],
            "likeness": [0.9],
            "kind": ["indexed"],
        }
    )
    found = tally.duplicates(table(), clusters)
    assert found.pairs == [("standard", "the index", 1)]
    assert found.sizes["1"] == 1


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("I lost my job in Porto, and my wife left.", "I xxx my xxx in xxx, and my xxx xxx."),
        ("Will told An that 12,5 of us may go? Yes.", "xxx xxx xxx that 000 of us xxx xxx?"),
        ("", ""),
        ("...", "."),
        ("Ich heiße Jürgen\nund bin 44", "xxx xxx xxx"),
        ("a_b@c.org 😀", "xxx · xxx."),
        ("not " * 20, "not " * 16 + "…"),
        ("<b>Bold</b> & x", "< xxx > xxx < / xxx > & xxx"),
    ],
)
def test_a_shape_hides_every_word_that_means_something(text: str, shape: str) -> None:
    assert mask.shape(text) == shape


def test_colours_can_be_read(html: str) -> None:
    """WCAG AA: text at least 4.5 to 1 against both backgrounds, marks 3 to 1 against white where they stand alone."""
    colour = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", html))
    for name in ("ink", "muted", "blue", "orange"):
        for background in ("#ffffff", colour["soft"]):
            assert contrast(colour[name], background) >= 4.5, (name, background)


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_a_build_writes_its_page(tmp_path: Path, home: Home) -> None:
    from pe_ray.corpus.pipeline import build

    five_sources(tmp_path)
    jsonl(tmp_path / "edge_case/more.jsonl", [edge_case(s, category="suicidality") for s in scenes(3, 390)])
    jsonl(tmp_path / "standard/<img src=x>.jsonl", ["{"])
    result = build(config(tmp_path, min_processed=0.9), home)
    html = (result.path / "report.html").read_text()
    page = Page(html)
    assert not page.open
    for name in ("records_in", "kept", "rejected", "held_for_review", "errors"):
        assert re.search(rf"\b{result.stage[name]}\b", page.text), name
    for words in (result.fingerprint, "Accepted.", "not_selected", "<img src=x>.jsonl:1", "suicidality 3 edge_case 3"):
        assert words in page.text, words
    assert "<img src=x>" not in html
    assert json.loads((result.path / "manifest.json").read_text())["files"]["report.html"]
