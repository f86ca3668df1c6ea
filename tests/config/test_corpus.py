"""What a corpus may be told, and the one line that each contradiction gets."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from pe_ray.config import CorpusConfig, SourceSpec, check, load
from pe_ray.config.corpus import SHARES, source_kinds
from pe_ray.errors import ConfigError

ONE = {"sources": [{"kind": "standard", "path": "a.jsonl"}], "targets": {"standard": 1.0}}
TABLE = {"kind": "table", "path": "a.csv", "becomes": "standard", "columns": {"question": "q", "answer": "a"}}


def problem(**corpus: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        check({"corpus": corpus}, "run.yaml")
    (line,) = str(caught.value).splitlines()
    return line.removeprefix("run.yaml: ")


def of_table(**over: Any) -> dict[str, Any]:
    told = {k: v for k, v in (TABLE | over).items() if v is not None}
    return ONE | {"sources": [told]}


@pytest.mark.parametrize(
    ("corpus", "line"),
    [
        ({"sorces": []}, "unknown setting 'corpus.sorces'; did you mean 'sources'?"),
        ({"sources": [{"kind": "voise"}]}, "corpus.sources.0.kind='voise': is no source; did you mean 'voice'?"),
        (
            {"sources": [{"kind": "zzz"}]},
            "corpus.sources.0.kind='zzz': is no source; one of edge_case, voice, psychology",
        ),
        ({"sources": [{"kind": "voice", "licens": "MIT"}]}, "unknown setting 'corpus.sources.0.licens'; did you mean"),
        (of_table(becomes="answers"), "corpus.sources.0.becomes='answers': is no source; one of edge_case"),
        (of_table(becomes="table"), "corpus.sources.0.becomes='table': is no source; one of edge_case"),
        (of_table(becomes=None), "corpus.sources.0: becomes is missing; kind=table needs the source whose records"),
        (of_table(columns=None), "corpus.sources.0: columns is empty; kind=table needs {field: column}"),
        (of_table(path=None), "corpus.sources.0: path=bundled: no table is bundled; give a file or folder"),
        (of_table(kind="standard"), "corpus.sources.0: becomes and columns belong to kind=table, not to kind=standard"),
        (ONE | {"sources": []}, "corpus: sources is empty; list at least one"),
        (
            ONE | {"targets": {"standard": 0.5, "voice": 0.3}},
            "corpus: targets sum to 0.8; they are shares and must sum",
        ),
        (
            ONE | {"targets": {"standard": 0.5, "voice": 0.5}},
            "corpus: targets ask for 'voice' but no source of that kind",
        ),
        (ONE | {"targets": {"standard": 0.5, "radio": 0.5}}, "corpus: targets name 'radio', which is no source kind"),
        (ONE | {"targets": {"standard": 1.5}}, "corpus.targets.standard=1.5: input should be less than or equal to 1"),
        (ONE | {"duplicates": {"bands": 17}}, "corpus.duplicates: bands=17 does not divide permutations=128"),
        (ONE | {"duplicates": {"threshold": 0}}, "corpus.duplicates.threshold=0: input should be greater than 0"),
        (ONE | {"formats": ["jsonl", "yaml"]}, "corpus.formats.1='yaml': input should be 'jsonl', 'json', 'csv'"),
        (ONE | {"engine": "spark"}, "corpus.engine='spark': input should be 'ray' or 'local'"),
        (ONE | {"pii": {"tier": "all"}}, "corpus.pii.tier='all': input should be 'off', 'patterns' or 'presidio'"),
        (
            ONE | {"validation_share": 0.3, "test_share": 0.2},
            "corpus: validation_share=0.3 and test_share=0.2 leave half of the records or less to train on; they must",
        ),
        (
            ONE | {"decontaminate": [{"name": "x", "path": "a.csv"}, {"name": "x", "path": "b.csv"}]},
            "corpus: decontaminate names a set twice: x, x",
        ),
        (ONE | {"decontaminate": [{"name": "x"}]}, "corpus.decontaminate.0.path: field required"),
        (ONE | {"name": "My Corpus"}, "corpus.name='My Corpus': string should match pattern"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_contradiction_is_one_line(corpus: dict[str, Any], line: str) -> None:
    assert problem(**corpus).startswith(line)


def test_the_defaults_are_the_design() -> None:
    found = load().corpus
    assert found.targets == SHARES
    assert [s.kind for s in found.sources] == list(SHARES)
    assert all(s.path == "bundled" for s in found.sources)
    assert (found.max_records, found.min_processed, found.engine) == (8000, 0.99, "ray")
    assert found.duplicates.permutations % found.duplicates.bands == 0


def test_a_kind_alone_is_a_source() -> None:
    assert check(
        {"corpus": {"sources": ["voice", {"kind": "standard"}], "on_shortage": "renormalise"}}
    ).corpus.sources == (
        SourceSpec(kind="voice"),
        SourceSpec(kind="standard"),
    )


def test_a_table_counts_for_what_it_becomes() -> None:
    spec = SourceSpec.model_validate(TABLE)
    assert spec.source == "standard"
    assert CorpusConfig.model_validate(of_table()).sources == (spec,)
    assert SourceSpec(kind="voice").source == "voice"


def test_a_share_without_a_source_is_allowed_where_others_may_fill_it() -> None:
    told = ONE | {"targets": {"standard": 0.5, "voice": 0.5}, "on_shortage": "renormalise"}
    assert check({"corpus": told}).corpus.targets["voice"] == 0.5


def test_each_source_is_a_kind_and_the_designs_stand_first() -> None:
    assert source_kinds()[: len(SHARES)] == tuple(SHARES)
    assert "table" not in source_kinds()


def test_what_is_resolved_reads_back_as_itself() -> None:
    config = check(
        {"corpus": of_table(values={"generated": "no"}) | {"formats": ["csv"], "duplicates": {"index": "x"}}}
    )
    assert check(yaml.safe_load(yaml.safe_dump(config.model_dump(mode="json")))) == config
