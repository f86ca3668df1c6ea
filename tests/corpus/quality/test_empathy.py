from __future__ import annotations

import json
from dataclasses import replace

from pe_ray.corpus.quality import empathy
from pe_ray.record import to_table
from tests.corpus.quality.judge import record

ASKED = "My brother moved away and I feel empty."
KIND = "It sounds as though you miss him. What was the last evening like?"


def test_a_helpers_markers_stand_where_they_were_found() -> None:
    one, none, knowledge = record(ASKED, KIND), record(ASKED, "Close the door."), record("", KIND)
    table = empathy.apply(to_table([one, none, replace(knowledge, content_type="knowledge")]))
    first, second, third = table["empathy"].to_pylist()
    told = json.loads(first)
    assert (second, third) == (None, None)
    assert told["words"] == len(KIND.split())
    ((message, start, end),) = told["reflection"]["spans"]
    assert one.messages[message].text[start:end] == "It sounds as though you miss him."
    assert told["exploration"]["count"] == 1
    assert {rule for rule, *_ in empathy.spans(one)} == {"reflection.sounds", "exploration.feeling_question"}
