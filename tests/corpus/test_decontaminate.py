"""What shares text with an evaluation set is marked, against a slow obvious version; nothing is marked by chance."""

from __future__ import annotations

import csv
import json
import pickle
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pe_ray.corpus.decontaminate import EvalIndex, Runs, apply, counted, read_eval_set
from pe_ray.corpus.dedup import normalise
from pe_ray.errors import SourceError

THIRTEEN = "when the rain stopped she walked home slowly along the old canal path"
SHORT = "How do I stop worrying?"


def table(*records: list[str]) -> pa.Table:
    messages = [[{"role": "user", "text": text} for text in record] for record in records]
    kind = pa.list_(pa.struct([("role", pa.string()), ("text", pa.string())]))
    return pa.table({"id": [str(i) for i in range(len(records))], "messages": pa.array(messages, kind)})


def marks(index: EvalIndex, *records: list[str]) -> list[str | None]:
    return apply(table(*records), index)["contaminated"].to_pylist()


@pytest.mark.parametrize(
    ("text", "contaminated"),
    [
        (THIRTEEN, True),
        (f"I remember: {THIRTEEN}, and then it was night.", True),
        ("WHEN the rain... stopped, she_walked home\nslowly -- along the\0old “canal” path!", True),
        (THIRTEEN.replace(" ", "＿"), True),  # which NFKC turns into an ASCII one
        (THIRTEEN.rsplit(" ", 1)[0], False),  # twelve words of it
        (THIRTEEN.replace("canal", "river"), False),
        (f"{THIRTEEN}s", False),
        ("", False),
        ("…", False),
    ],
)
def test_thirteen_words_in_a_row_contaminate_whatever_their_case_and_punctuation(text: str, contaminated: bool) -> None:
    index = EvalIndex.of({"stories": ["something else", f"Once, {THIRTEEN}; she sang."]})
    assert marks(index, [text]) == ["stories: item 2" if contaminated else None]


def test_a_run_never_spans_two_messages_or_two_items() -> None:
    words = THIRTEEN.split()
    halves = [" ".join(words[:7]), " ".join(words[7:])]
    assert marks(EvalIndex.of({"s": [THIRTEEN]}), halves) == [None]
    assert marks(EvalIndex.of({"s": halves}), [THIRTEEN]) == [None]
    assert marks(EvalIndex.of({"s": [halves]}), [THIRTEEN]) == [None]


@pytest.mark.parametrize(
    ("text", "contaminated"),
    [
        ("how do i stop worrying", True),
        (" HOW do I... stop worrying?! ", True),
        ("How do I stop worrying now?", False),  # an item under 13 words must be the whole message
        ("do i stop worrying", False),
        ("Thank you very", False),  # three words are no evidence, though they are an item
        ("Ça va très bien aujourd’hui", True),
        ("ça va tres bien aujourd hui", False),
    ],
)
def test_a_short_item_contaminates_what_equals_it(text: str, contaminated: bool) -> None:
    index = EvalIndex.of({"faq": [SHORT, "thank you very", "Ça va très bien aujourd'hui"]})
    assert (marks(index, ["hello", text]) != [None]) == contaminated
    assert index.items == {"faq": 3}
    assert index.too_short == {"faq": 1}


def test_the_first_item_of_the_first_set_is_named_and_every_field_of_an_item_counts() -> None:
    index = EvalIndex.of({"b": ["x", THIRTEEN], "a": [THIRTEEN, (SHORT, f"well {THIRTEEN}")]})
    assert marks(index, [f"well {THIRTEEN}"], [SHORT], [SHORT, THIRTEEN]) == ["b: item 2", "a: item 2", "b: item 2"]


def slow(records: list[list[str]], sets: dict[str, list[str]]) -> list[str | None]:
    def alike(message: str, item: str) -> bool:
        said, asked = normalise(message).split(), normalise(item).split()
        if len(asked) < 13:
            return len(asked) >= 4 and said == asked
        runs = {tuple(asked[i : i + 13]) for i in range(len(asked) - 12)}
        return any(tuple(said[i : i + 13]) in runs for i in range(len(said) - 12))

    return [
        next(
            (
                f"{name}: item {n}"
                for name, items in sets.items()
                for n, item in enumerate(items, 1)
                if any(alike(m, item) for m in record)
            ),
            None,
        )
        for record in records
    ]


@pytest.mark.parametrize("seed", range(5))
def test_as_the_slow_version_does(seed: int) -> None:
    rng = random.Random(seed)
    prose = [rng.choice(["one", "Two", "naïve", "“four”", "five_six", "7", "ﬁne"]) for _ in range(3000)]

    def piece(longest: int) -> str:
        start = rng.randrange(len(prose) - longest)
        return rng.choice([" ", ", ", "\n"]).join(prose[start : start + rng.randrange(longest)])

    sets = {name: [piece(40) for _ in range(60)] for name in ("first", "second")}
    records = [[piece(25) for _ in range(rng.randrange(4))] for _ in range(300)]
    records += [[rng.choice(sets["second"]), "hm"] for _ in range(30)]
    found = marks(EvalIndex.of(sets), *records)
    assert found == slow(records, sets)
    assert 30 < sum(m is not None for m in found) < 330


def test_a_hash_that_collides_marks_nothing() -> None:
    index, other = EvalIndex.of({"s": [THIRTEEN, SHORT]}), EvalIndex.of({"s": [THIRTEEN.replace("rain", "snow")]})
    none = np.zeros(len(other.long.hashes), np.int64)
    false = EvalIndex(13, index.passages, Runs.of([other.long.hashes], [none]), index.short, {}, {})
    assert marks(false, [THIRTEEN.replace("rain", "snow")], [SHORT]) == [None, "s: item 2"]


def test_no_sets_no_records_and_no_words() -> None:
    for index in (EvalIndex.of({}), EvalIndex.of({"s": []}), EvalIndex.of({"s": ["", "…", "hi"]})):
        assert marks(index, [THIRTEEN], [], ["", "…"]) == [None, None, None]
        assert apply(table(), index)["contaminated"].type == pa.string()
        assert len(apply(table(), index)) == 0
    assert marks(EvalIndex.of({"s": [THIRTEEN]})) == []
    with pytest.raises(ValueError, match="ngram=0"):
        EvalIndex.of({}, ngram=0)


def test_a_sliced_chunked_table_and_a_pickled_index_give_the_same() -> None:
    index = pickle.loads(pickle.dumps(EvalIndex.of({"s": [THIRTEEN, "half \ud800 of a character is here"]})))
    whole = pa.concat_tables([table(["left out"], [THIRTEEN]), table(["fine"], [f"so {THIRTEEN}"])]).slice(1)
    assert apply(whole, index)["contaminated"].to_pylist() == ["s: item 1", None, "s: item 1"]


def test_the_counts_name_a_set_that_matched_nothing() -> None:
    found = marks(EvalIndex.of({"a: item 7": [THIRTEEN], "b": [SHORT]}), [THIRTEEN], ["x"], [THIRTEEN])
    assert counted(found, ["a: item 7", "b"]) == {"a: item 7": 2, "b": 0}


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "columns", "items"),
    [
        ("a.csv", '\ufeffq,a,n\n"1, ""2""\n3",four,5\n,,6\nlast\n', ("q", "a"), ['1, "2"\n3|four', "", "last"]),
        ("a.TSV", "q\ta\none\t\n\ttwo\n", ("a", "q"), ["one", "two"]),
        ("a.jsonl", '{"q": "one", "n": 1}\n\n{"q": null}\n{"q": ["two", "3"]}\n', ("q",), ["one", "", "two|3"]),
        ("b.jsonl", '"one"\n"two\\u2028"', (), ["one", "two\u2028"]),
        ("a.json", '[{"q": "one"}, {"a": "two"}]', ("q", "a"), ["one", "two"]),
        ("b.json", '["one", "two"]', (), ["one", "two"]),
        ("a.txt", "\ufeffone\r\n \n two \n", (), ["one", " two "]),
    ],
)  # fmt: skip
def test_every_format_gives_its_items(
    tmp_path: Path, name: str, content: str, columns: tuple[str, ...], items: list[str]
) -> None:
    assert ["|".join(i) for i in read_eval_set(write(tmp_path / name, content), columns)] == items


@pytest.mark.parametrize(
    ("name", "content", "columns", "says"),
    [
        ("absent.csv", None, ("q",), "no such file"),
        ("a.xlsx", "x", (), ".xlsx is not one of .csv, .tsv"),
        ("a.csv", "question,answer\nx,y\n", ("questions",), "no column questions; did you mean question?"),
        ("a.csv", "question,answer\nx,y\n", (), "name the columns that hold text; there are question, answer"),
        ("a.csv", "", ("q",), "holds no text"),
        ("a.csv", "q\n \n", ("q",), "holds no text"),
        ("a.txt", "\n", (), "holds no text"),
        ("a.txt", "x", ("q",), "no column q; there are none"),
        ("a.jsonl", '{"q": "x"}\n{"q": ', ("q",), "line 2 is no JSON"),
        ("a.jsonl", '{"q": "x"}\n{"q": 3}', ("q",), "item 2 holds a number; text is wanted"),
        ("a.jsonl", '{"q": {"deep": 1}}', ("q",), "item 1 holds an object; text is wanted"),
        ("a.json", "{}", ("q",), "is no list"),
        ("a.json", "[" * 100_000, (), "line 1 is no JSON"),
        ("a.json", '[\n"x",\n', (), "line 3 is no JSON"),
        ("a.csv", b"q\n\xff\xfe\n", ("q",), "byte 2 is not UTF-8"),
    ],
)
def test_a_file_that_is_no_evaluation_set_is_refused_in_one_line(
    tmp_path: Path, name: str, content: str | bytes | None, columns: tuple[str, ...], says: str
) -> None:
    if content is not None:
        write(tmp_path / name, content)
    with pytest.raises(SourceError, match=says.replace(".", r"\.").replace("?", r"\?")) as raised:
        read_eval_set(tmp_path / name, columns)
    assert "\n" not in str(raised.value)
    assert str(tmp_path / name) in str(raised.value)


def test_a_long_field_is_read_and_the_limit_of_other_readers_stays(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    (only,) = read_eval_set(write(tmp_path / "a.csv", f"q\n{'word ' * 60_000}\n"), ("q",))
    assert len(only[0]) == 300_000
    assert csv.field_size_limit() == before


def test_what_is_read_can_be_indexed_as_it_is(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", json.dumps([{"q": SHORT, "a": THIRTEEN}, {"q": ""}]))
    index = EvalIndex.of({"faq": read_eval_set(file, ("q", "a"))})
    assert marks(index, [SHORT], [THIRTEEN], ["no"]) == ["faq: item 1", "faq: item 1", None]
    assert index.items == {"faq": 2}
