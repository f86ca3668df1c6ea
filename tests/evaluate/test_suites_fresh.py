"""The messages of another writer: as labelled, and nothing that the model of danger has learnt from."""

from __future__ import annotations

import json
from importlib.resources import files

from pe_ray.evaluate.crisis import fresh
from pe_ray.safety.rules import TRIAGE_FILES


def test_every_class_and_form_is_there_and_labels_are_known() -> None:
    danger = [case for case in fresh() if case.kind == "positive"]
    calm = [case for case in fresh() if case.kind == "benign"]
    assert {case.group for case in danger} == set(TRIAGE_FILES) and {case.level for case in danger} == {2, 3, 4}
    assert len({(case.group, case.form) for case in danger}) == 9 * 6 and len(danger) >= 450
    assert {case.level for case in calm} == {0} and len({case.form for case in calm}) == 9 and len(calm) >= 450
    assert len({case.id for case in fresh()}) == len({case.turns for case in fresh()}) == len(fresh())


def test_nothing_was_learnt_from_them() -> None:
    folder = files("pe_ray.safety.learn") / "data"
    learnt = {
        json.loads(line)["text"].casefold()
        for name in ("danger", "harmless")
        for line in (folder / f"crisis_{name}.jsonl").read_text(encoding="utf-8").splitlines()
    }
    assert not [case.id for case in fresh() if case.turns[0].casefold() in learnt]
