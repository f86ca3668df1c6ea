"""The corpus area: one document of the parts that are asked for, and a wrong call that is told."""

from __future__ import annotations

import json

import pytest

from pe_ray.bench.__main__ import main
from pe_ray.bench.corpus import PARTS
from pe_ray.bench.document import parts_of


def test_the_document_holds_the_parts_that_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PE_RAY_DATA", str(tmp_path))
    code = main(["corpus", "--json", "--only", "near_dedup,counselchat", "--documents", "300", "--rounds", "1"])
    body = json.loads(capsys.readouterr().out)
    assert {row["name"].split(".")[0] for row in body["results"]} == {"near_dedup", "counselchat"}
    assert code == (3 if any(row["ok"] is False for row in body["results"]) else 0)


def test_parts_come_in_their_own_order_and_each_once() -> None:
    assert parts_of(PARTS)("scale,near_dedup,scale") == ("near_dedup", "scale")
    assert parts_of(PARTS)(",".join(PARTS)) == PARTS


@pytest.mark.parametrize(
    ("given", "told"),
    [("near", "'near' is no part"), ("", "'' is no part"), ("scale, pipeline", "' pipeline' is no part")],
)
def test_an_unknown_part_ends_with_two(given: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["corpus", "--only", given])
    assert stopped.value.code == 2
    assert told in capsys.readouterr().err
