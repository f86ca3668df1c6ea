from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from pe_ray.config import CorpusConfig
from pe_ray.corpus.decide import KEY_COLUMNS
from pe_ray.corpus.stages import LABELS, PHASES, Settings, annotate, describe, score_column, stages
from pe_ray.errors import SourceError, UserError
from pe_ray.record import RECORD_SCHEMA, to_table
from tests.corpus.finished import record

SETTINGS = Settings.of(CorpusConfig())
TALK = (("user", "Since Lisbon I miss the piano."), ("assistant", "What did the piano in Lisbon sound like?"))


def settings(**over: Any) -> Settings:
    return Settings.of(CorpusConfig.model_validate(over))


def evaluation(path: Path, *texts: str, name: str = "probe") -> dict[str, Any]:
    path.write_text("".join(json.dumps({"prompt": t}) + "\n" for t in texts))
    return {"name": name, "path": str(path), "columns": ["prompt"]}


def test_the_list_begins_with_cleaning_and_each_stage_counts_for_a_phase() -> None:
    found = stages(SETTINGS)
    assert [s.name for s in found][:3] == ["clean", "pii", "keys"]
    assert {s.phase for s in found} <= set(PHASES)
    assert stages(settings()) is found  # equal settings build no second index of evaluation sets


def test_no_stage_drops_a_row_and_every_key_is_there() -> None:
    rows = [record(1, *TALK), record(2, ("user", "<p> </p>"), ("assistant", "x")), record(3, ("assistant", "Alone."))]
    told: list[str] = []
    table = annotate(to_table(rows), SETTINGS, told.append)
    assert table["id"].to_pylist() == [r.id for r in rows]
    assert {*RECORD_SCHEMA.names, *KEY_COLUMNS} <= set(table.schema.names)
    assert told == [s.phase for s in stages(SETTINGS)]
    assert [bool(f) for f in table["fault"].to_pylist()] == [False, True, False]


def test_nothing_has_the_same_columns_as_something() -> None:
    assert annotate(to_table([]), SETTINGS).schema == annotate(to_table([record(1, *TALK)]), SETTINGS).schema


def test_a_record_is_annotated_alone_as_in_company() -> None:
    rows = [record(n, ("user", f"Piano {n} in Lisbon?"), ("assistant", f"Yes, piano {n}.")) for n in range(5)]
    whole = annotate(to_table(rows), SETTINGS)
    for number, one in enumerate(rows):
        assert annotate(to_table([one]), SETTINGS).to_pylist() == whole.slice(number, 1).to_pylist()


def test_describe_tells_labels_words_and_scores() -> None:
    rows = [
        record(1, *TALK, metadata={"category": "grief_complicated", "review": "required"}),
        record(2, ("assistant", "One two three.")),
    ]
    table = annotate(to_table(rows), SETTINGS)
    assert [table[n].to_pylist() for n in ("category", "review", "question")] == [
        ["grief_complicated", None],
        ["required", None],
        [None, "extracted"],
    ]
    assert table["user_words"].to_pylist() == [6, 0]
    assert table["assistant_words"].to_pylist() == [8, 3]
    scores = {v["check"]: v["score"] for v in table["verdicts"][0].as_py()}
    assert table[score_column("coherence")][0].as_py() == scores["coherence"]
    assert table[score_column("persona")].to_pylist() == [None, None]  # it has nothing to say: null, no zero
    assert set(LABELS) <= set(table.schema.names)


def test_describe_keeps_its_rows_in_order() -> None:
    table = annotate(to_table([record(n, *TALK) for n in range(3)]), SETTINGS)
    again = describe(table.select(RECORD_SCHEMA.names))
    assert again["user_words"].to_pylist() == [6, 6, 6]


def test_evaluation_sets_mark_what_repeats_them(tmp_path: Path) -> None:
    asked = "Which piano should a beginner buy in Lisbon?"
    told = settings(decontaminate=[evaluation(tmp_path / "e.jsonl", "Something else entirely here.", asked)])
    table = annotate(to_table([record(1, *TALK), record(2, ("user", asked.upper()), TALK[1])]), told)
    assert table["contaminated"].to_pylist() == [None, "probe: item 2"]


def test_the_digest_follows_what_changes_an_annotation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = evaluation(tmp_path / "one.jsonl", "Four words are enough.")
    other = evaluation(tmp_path / "other.jsonl", "Four words are plenty.")
    told = [
        settings(),
        settings(pii={"tier": "off"}),
        settings(pii={"ner": "/models/x"}),
        settings(decontaminate=[one]),
        settings(decontaminate=[other]),
        settings(decontaminate=[one | {"name": "named"}]),
    ]
    monkeypatch.setenv("PE_RAY_PII_KEY", "another key of ours")
    told.append(settings())
    assert len({t.digest for t in told}) == len(told)


def test_the_digest_does_not_follow_thresholds_nor_where_a_set_lies(tmp_path: Path) -> None:
    one = evaluation(tmp_path / "one.jsonl", "Four words are enough.")
    moved = evaluation(tmp_path / "moved.jsonl", "Four words are enough.")
    assert settings(decontaminate=[one]).digest == settings(decontaminate=[moved]).digest
    assert settings(checks={"generic_min": 0.9}, max_records=7).digest == settings().digest


def test_an_evaluation_set_that_is_not_there_is_told_before_anything_is_read() -> None:
    with pytest.raises(SourceError, match=r"evaluation set .*gone\.csv: no such file"):
        settings(decontaminate=[{"name": "gone", "path": "gone.csv", "columns": ["x"]}])


def test_a_model_of_names_that_is_not_there_is_one_line() -> None:
    with pytest.raises(UserError, match=r"corpus\.pii\.ner='models/gone' is no folder"):
        annotate(to_table([record(1, *TALK)]), settings(pii={"ner": "models/gone"}))


def test_the_key_of_the_surrogates_is_in_no_repr() -> None:
    told = dataclasses.replace(SETTINGS, pii_key=b"a key that nobody may read")
    assert "nobody may read" not in repr(told)
