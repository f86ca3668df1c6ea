from __future__ import annotations

import csv
import errno
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_ray.corpus.formats import FORMATS, export, hdf5, table
from pe_ray.corpus.formats.rows import Snapshot
from pe_ray.errors import ManifestError, UserError
from pe_ray.record import DOMAINS, Example
from pe_ray.store import manifest
from tests.corpus.finished import every, examples, record, snapshot, talk

ODD = (
    "plain",
    'she said "no", twice',
    "one\r\ntwo\rthree\nfour",
    "line\u2028separator\u2029and\x85next",
    "=HYPERLINK(1)",
    "-1,5",
    "'quoted'",
    "@home",
    "＝1",
    "tab\tinside\x0band\x0cfeeds\x1c",
    "None",
    "null",
    "  spaces  ",
    "é 😀 ﷽ \u200f",
    "\ufeffmark",
    "{'json': [1]}\\n",
)
TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of odd texts on either side, a system turn, and one record without an answer."""
    records = [record(i, ("user", t), ("assistant", f"a{t}"), ("user", t), ("assistant", t)) for i, t in enumerate(ODD)]
    records.append(record(90, ("system", "Be kind."), ("user", "Who?"), ("assistant", "=I")))
    records.append(record(91, ("user", "Nobody answers."), domain="psychology"))
    return snapshot(tmp_path_factory.mktemp("odd"), records, group_rows=5)


@pytest.fixture(scope="module")
def tokenised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    corpus = snapshot(tmp_path_factory.mktemp("tokens"), [talk(i) for i in range(20)])
    examples(corpus, token_examples(20))
    return corpus


def token_examples(num: int) -> list[Example]:
    return [
        Example(tuple(range(i, 2 * i + 1)), tuple(j % 2 for j in range(i + 1)), DOMAINS[i % 4], f"{i:032x}")
        for i in range(num)
    ]


def kept(corpus: Path) -> list[dict[str, Any]]:
    return pq.read_table(corpus / "records").to_pylist()


def lines(path: Path) -> list[dict[str, Any]]:
    """The lines as the crudest reader splits them."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def sheet(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def load(kind: str, **options: Any) -> Any:
    """What `datasets` reads, without its caches in the home directory."""
    from datasets import load_dataset

    with tempfile.TemporaryDirectory() as cache:
        return {name: list(rows) for name, rows in load_dataset(kind, cache_dir=cache, **options).items()}


def test_json_lines_hold_what_the_parquet_files_hold(odd: Path) -> None:
    out = export(odd, "jsonl")
    assert out == odd / "exports" / "jsonl"
    rows = {r["id"]: r for side in ("train", "validation") for r in lines(out / f"{side}.jsonl")}
    assert list(rows) == [r["id"] for side in ("train", "validation") for r in kept(odd) if r["split"] == side]
    assert rows == {r["id"]: r for r in kept(odd)}
    assert manifest.read(out, "export", verify=True).facts["rows"] == {"train": 15, "validation": 3}


def test_one_document_holds_every_record_in_order(odd: Path) -> None:
    body = json.loads((export(odd, "json") / "corpus.json").read_text(encoding="utf-8"))
    assert body["records"] == kept(odd)
    assert (body["name"], body["fingerprint"]) == ("small", odd.name)


def test_csv_reads_back_cell_by_cell(odd: Path) -> None:
    out = export(odd, "csv")
    cells = {r["id"]: r for side in ("train", "validation") for r in sheet(out / f"{side}.csv")}
    for row in kept(odd):
        found = cells[row["id"]]
        assert json.loads(found["messages"]) == row["messages"]
        for role in ("user", "assistant"):
            said = "\n".join(m["text"] for m in row["messages"] if m["role"] == role)
            assert table.unguarded(found[role]) == said
        assert (found["offset"], found["attribution"]) == (str(row["offset"]), row["attribution"])


def test_no_cell_of_a_csv_is_a_formula(odd: Path) -> None:
    cells = [
        c for side in ("train", "validation") for r in sheet(export(odd, "csv") / f"{side}.csv") for c in r.values()
    ]
    assert "'=HYPERLINK(1)\n=HYPERLINK(1)" in cells
    assert not [c for c in cells if c[:1] in ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")]


def test_csv_lines_end_as_rfc_4180_says(tmp_path: Path) -> None:
    corpus = snapshot(tmp_path, [talk(1)], lambda _: "train")
    data = (export(corpus, "csv") / "train.csv").read_bytes()
    assert data.count(b"\r\n") == 2
    assert data.startswith(b"id,source,")
    assert b'"[{""role"": ""user"", ""text"": ""Is it 1?""}' in data


def test_messages_leaves_out_what_has_no_answer_and_says_so(odd: Path) -> None:
    out = export(odd, "messages")
    rows = {r["id"]: r["messages"] for side in ("train", "validation") for r in lines(out / f"{side}.jsonl")}
    silent = next(r for r in kept(odd) if len(r["messages"]) == 1)
    assert (out / "left_out.txt").read_text() == f"{silent['id']}\n"
    assert rows == {
        r["id"]: [{"role": m["role"], "content": m["text"]} for m in r["messages"]] for r in kept(odd) if r != silent
    }
    facts = manifest.read(out).facts
    assert (facts["left_out"], facts["not_alternating"]) == (1, 0)


def test_messages_counts_conversations_that_do_not_alternate(tmp_path: Path) -> None:
    doubled = record(1, ("user", "a"), ("user", "b"), ("assistant", "c"))
    opened = record(2, ("assistant", "Hello."), ("user", "a"), ("assistant", "b"))
    corpus = snapshot(tmp_path, [doubled, opened, talk(3)])
    assert manifest.read(export(corpus, "messages")).facts["not_alternating"] == 2


def test_a_tokenizers_template_renders_every_conversation(odd: Path) -> None:
    from tests.model.bases import byte_tokenizer

    tokenizer = byte_tokenizer()
    for row in lines(export(odd, "messages") / "train.jsonl"):
        rendered = tokenizer.apply_chat_template(row["messages"], tokenize=False)
        for message in row["messages"]:
            assert f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>" in rendered
        ids = tokenizer.apply_chat_template(row["messages"], tokenize=True, return_dict=True)["input_ids"]
        assert tokenizer.decode(ids) == rendered


@pytest.mark.parametrize("format", ["jsonl", "messages"])
def test_datasets_reads_the_splits_of_json_lines(odd: Path, format: str) -> None:
    out = export(odd, format)
    files = {side: str(out / f"{side}.jsonl") for side in ("train", "validation")}
    found = load("json", data_files=files)
    assert found == {side: lines(out / f"{side}.jsonl") for side in files}


def test_datasets_reads_the_document_and_the_parquet_files(odd: Path) -> None:
    document = load("json", data_files=str(export(odd, "json") / "corpus.json"), field="records")["train"]
    parquet = load("parquet", data_files=str(odd / "records" / "*.parquet"))["train"]
    assert document == parquet == kept(odd)


def test_datasets_reads_csv_without_losing_a_text(odd: Path) -> None:
    path = export(odd, "csv") / "train.csv"
    found = load("csv", data_files=str(path), keep_default_na=False)["train"]
    train = [r for r in kept(odd) if r["split"] == "train"]
    assert [json.loads(r["messages"]) for r in found] == [r["messages"] for r in train]
    assert [r["user"] for r in found] == [r["user"] for r in sheet(path)]


@settings(max_examples=25, deadline=None)
@given(pairs=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
def test_any_text_survives_every_format(pairs: list[tuple[str, str]]) -> None:
    records = [record(i, ("user", f"{u}."), ("assistant", f"{a}.")) for i, (u, a) in enumerate(pairs)]
    with tempfile.TemporaryDirectory() as folder:
        corpus = snapshot(Path(folder), records, lambda _: "train")
        said = [[m.text for m in r.messages] for r in records]
        jsonl = lines(export(corpus, "jsonl") / "train.jsonl")
        assert [[m["text"] for m in r["messages"]] for r in jsonl] == said
        document = json.loads((export(corpus, "json") / "corpus.json").read_text(encoding="utf-8"))
        assert [[m["text"] for m in r["messages"]] for r in document["records"]] == said
        found = lines(export(corpus, "messages") / "train.jsonl")
        assert [[m["content"] for m in r["messages"]] for r in found] == said
        cells = list(sheet(export(corpus, "csv") / "train.csv"))
        assert [[table.unguarded(c["user"]), table.unguarded(c["assistant"])] for c in cells] == said
        assert [[m["text"] for m in json.loads(c["messages"])] for c in cells] == said


def test_token_shards_hold_the_examples(tokenised: Path) -> None:
    import h5py

    out = export(tokenised, "hdf5")
    assert out == tokenised / "exports" / "hdf5" / "0123456789abcdef"
    found = token_examples(20)
    for side in ("train", "validation"):
        with h5py.File(out / f"{side}-00000.h5") as shard:
            assert read_shard(shard) == [e for i, e in enumerate(found) if every(i) == side]
            attributes = dict(shard.attrs)
            assert shard["token_ids"].compression == "gzip"
        assert attributes == {
            "format": "pe_ray.tokens/1",
            "corpus": tokenised.name,
            "tokenizer": "0123456789abcdef",
            "split": side,
            "num_examples": 16 if side == "train" else 4,
            "num_tokens": sum(len(e.token_ids) for i, e in enumerate(found) if every(i) == side),
        }
    facts = manifest.read(out, "export", verify=True).facts
    assert facts["rows"] == {"train": 16, "validation": 4}
    assert sum(facts["tokens"].values()) == sum(len(e.token_ids) for e in found)


def read_shard(shard: Any) -> list[Example]:
    import h5py

    names = {i: name for name, i in h5py.check_enum_dtype(shard["domain"].dtype).items()}
    starts, tokens, mask = shard["offsets"][:], shard["token_ids"][:], shard["loss_mask"][:]
    columns = zip(shard["domain"][:], shard["record_id"].asstr()[:], starts, starts[1:], strict=False)
    return [Example(tuple(tokens[a:b].tolist()), tuple(mask[a:b].tolist()), names[d], r) for d, r, a, b in columns]


def test_a_full_shard_is_followed_by_another(tokenised: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import h5py

    monkeypatch.setattr(hdf5, "BATCH", 4)
    source = hdf5.with_examples(Snapshot.open(tokenised), "0123")
    hdf5.write(source, tmp_path, shard_tokens=50)
    found: list[Example] = []
    for path in sorted(tmp_path.glob("train-*.h5")):
        with h5py.File(path) as shard:
            assert shard["offsets"][0] == 0
            found += read_shard(shard)
    assert len(list(tmp_path.glob("train-*.h5"))) > 1
    assert found == [e for i, e in enumerate(token_examples(20)) if every(i) == "train"]


def test_examples_of_several_tokenizers_ask_for_a_choice(tmp_path: Path) -> None:
    corpus = snapshot(tmp_path, [talk(1)])
    with pytest.raises(UserError, match="has no examples; tokenise it first"):
        export(corpus, "hdf5")
    for name in ("aa11", "ab22"):
        examples(corpus, token_examples(2), name=name)
    with pytest.raises(UserError, match="not given, and there are the examples aa11, ab22"):
        export(corpus, "hdf5")
    with pytest.raises(UserError, match="tokenizer=a: fits 2 of the examples aa11, ab22"):
        export(corpus, "hdf5", tokenizer="a")
    assert export(corpus, "hdf5", tokenizer="ab").name == "ab22"
    assert export(corpus, "hdf5", tokenizer="aa").name == "aa11"


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_the_same_snapshot_gives_the_same_bytes(tokenised: Path, tmp_path: Path, format: str) -> None:
    first, second = (export(tokenised, format, tmp_path / name) for name in "ab")
    files = [p for p in first.iterdir() if p.name != manifest.NAME]
    assert files
    for path in files:
        assert path.read_bytes() == (second / path.name).read_bytes(), path.name
    manifest.read(tokenised, "corpus", verify=True)


def test_an_export_is_written_once_and_a_damaged_one_anew(odd: Path) -> None:
    out = export(odd, "jsonl")
    before = (out / manifest.NAME).stat().st_mtime_ns
    assert export(odd, "jsonl") == out
    assert (out / manifest.NAME).stat().st_mtime_ns == before
    (out / "train.jsonl").write_text("half")
    assert len(lines(export(odd, "jsonl") / "train.jsonl")) == 15


def test_a_folder_that_holds_something_else_is_left_alone(odd: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("keep me")
    with pytest.raises(UserError, match="is not empty and is not this export"):
        export(odd, "jsonl", tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "keep me"
    out = export(odd, "jsonl", tmp_path / "new")
    assert export(odd, "jsonl", tmp_path / "new") == out
    with pytest.raises(UserError, match="is not this export"):
        export(odd, "csv", tmp_path / "new")


def test_what_cannot_be_exported_says_why(odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"^format=jsnl: is not known; did you mean 'jsonl'\?$"):
        export(odd, "jsnl")
    with pytest.raises(UserError, match=r"one of csv, hdf5, json, jsonl, messages is wanted"):
        export(odd, "xml")
    with pytest.raises(ManifestError, match="never finished"):
        export(tmp_path, "jsonl")
    with pytest.raises(UserError, match="holds no kept records"):
        export(snapshot(tmp_path, []), "jsonl")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written"):
        export(odd, "jsonl", tmp_path / "file" / "under")


def test_a_full_disk_is_no_fault_of_the_folder(odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_snapshot: Snapshot, _folder: Path) -> dict[str, Any]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setitem(FORMATS, "jsonl", full)
    with pytest.raises(OSError, match="No space left"):
        export(odd, "jsonl", tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_a_missing_extra_is_one_line(tokenised: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"^format=hdf5: needs the extra: pip install 'pe-ray\[hdf5\]'$"):
        export(tokenised, "hdf5", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_scores_are_written_as_short_as_they_are_exact(tmp_path: Path) -> None:
    corpus = snapshot(tmp_path, [talk(1)], lambda _: "train")
    path = corpus / "records" / "00000.parquet"
    rows = pq.read_table(path)
    verdict = [[{"check": "coherence", "score": 0.873, "passed": True, "reason": ""}]]
    at = rows.schema.get_field_index("verdicts")
    pq.write_table(rows.set_column(at, rows.schema.field(at), pa.array(verdict, rows.schema.field(at).type)), path)
    manifest.write(corpus, kind="corpus", parents={}, facts={})
    text = (export(corpus, "jsonl") / "train.jsonl").read_text()
    assert '"score": 0.873,' in text
    assert np.float32(0.873) == pq.read_table(path)["verdicts"][0][0]["score"].as_py()
