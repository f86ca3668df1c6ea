from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from pe_ray.config import CorpusConfig
from pe_ray.corpus.decide import KEY_COLUMNS, REVIEW, decide
from pe_ray.corpus.duplicates import exact, none, ranking, usable
from pe_ray.corpus.stages import Settings, annotate, stages
from pe_ray.record import Message, Record, to_table

FINE = ("Since Lisbon I miss the piano.", "What did the piano in Lisbon sound like to you?")
OTHER = ("The garden at the farm makes me furious.", "Which part of the garden makes you furious at the farm?")


def record(offset: int, pair: tuple[str, str] = FINE, source: str = "standard", **metadata: str) -> Record:
    return Record.create(
        source=source,
        domain="mental_health",
        content_type="qa",
        messages=[Message("user", pair[0]), Message("assistant", pair[1])],
        uri="a.jsonl",
        offset=offset,
        licence="",
        attribution="",
        metadata=metadata,
    )


SETTINGS = Settings.of(CorpusConfig())


def keys_of(*records: Record) -> pa.Table:
    """The records as the stages leave them."""
    return annotate(to_table(records), SETTINGS)


def rows(*records: Record, targets: dict[str, float] | None = None, **over: object) -> list[dict]:
    """The decision of each record, in order."""
    config = CorpusConfig.model_validate(
        {"min_records": 0, "on_shortage": "renormalise", "targets": targets or {"standard": 1.0}, **over}
    )
    keys = keys_of(*records)
    return decide(keys, config, exact(keys, ranking(keys, config, usable(keys)))).table.to_pylist()


def test_every_stage_leaves_the_rows_and_the_keys_are_there() -> None:
    table = keys_of(record(1), record(2, OTHER))
    assert stages(SETTINGS)[0].name == "clean"
    assert len(table) == 2
    assert set(KEY_COLUMNS) <= set(table.schema.names)
    assert keys_of().schema == table.schema


def test_a_record_without_fault_is_kept() -> None:
    (row,) = rows(record(1))
    assert (row["status"], row["stage"], row["reason"], row["copies"], row["split"]) == ("kept", None, None, 1, "train")


def test_a_reject_names_its_stage_and_reason() -> None:
    empty, one, two, wrong = rows(
        record(1, ("<p></p>", "x")),
        record(2),
        record(3, ("since LISBON, I miss the piano", FINE[1])),
        record(4, (FINE[0], "Repot orchids each spring in fresh bark and mist their leaves at noon.")),
    )
    assert (empty["stage"], empty["reason"]) == ("clean", "no words left in message 1 (user)")
    survivor, double = sorted([one, two], key=lambda r: r["id"])
    assert survivor["status"] == "kept"
    assert (double["stage"], double["reason"]) == ("dedup", f"same text as {survivor['id']}")
    assert wrong["stage"] == "coherence"
    assert "is under 0.208" in wrong["reason"]


def test_faults_do_not_count_as_duplicates_of_each_other() -> None:
    assert [r["stage"] for r in rows(record(1, ("...", "x")), record(2, ("...", "x")))] == ["clean", "clean"]


def test_held_comes_before_any_score_and_before_balance() -> None:
    (row,) = rows(record(1, (FINE[0], "Repot orchids each spring in bark."), category="suicidality"), max_records=1)
    assert (row["status"], row["held_for"], row["copies"], row["split"]) == ("held", ["suicidality"], 0, None)


def test_a_duplicate_of_a_held_record_is_held_too() -> None:
    plain, special = rows(record(1), record(2, category="homicidal_client"))
    survivor, double = sorted([plain, special], key=lambda r: r["id"])
    assert (survivor["status"], survivor["held_for"]) == ("held", ["homicidal ideation"])
    assert double["stage"] == "dedup"


@pytest.mark.parametrize(("name", "value"), [("coherence_min", 0.99), ("generic_min", 0.99), ("bias_min", 1.0)])
def test_every_threshold_is_in_effect(name: str, value: float) -> None:
    told = "Perhaps a keyboard with headphones would do until the spring, or a choir nearby. Women are too emotional "
    pair = (FINE[0], told + "to play the piano in a cold flat with thin walls, and neighbours complain.")
    (row,) = rows(record(1, pair), checks={"bias_min": 0.0})
    assert row["status"] == "kept"
    (row,) = rows(record(1, pair), checks={"bias_min": 0.0, name: value})
    assert (row["status"], row["stage"]) == ("rejected", name.removesuffix("_min"))


def test_the_review_level_is_in_effect() -> None:
    pair = ("My husband hits me and I am afraid to go home to the piano.", "Is the piano room safe, and who is near?")
    level = keys_of(record(1, pair))["crisis_level"][0].as_py()
    assert level in (2, 3)
    assert rows(record(1, pair), checks={"review_level": level})[0]["status"] == "held"
    assert rows(record(1, pair), checks={"review_level": level + 1})[0]["status"] == "kept"


def test_what_balance_does_not_select_is_a_reject() -> None:
    found = rows(record(1), record(2, OTHER), max_records=1)
    assert sorted((r["status"], r["stage"], r["reason"]) for r in found if r["status"] != "kept") == [
        ("rejected", "balance", "not_selected")
    ]


def test_decisions_do_not_depend_on_the_order() -> None:
    records = [record(1), record(2), record(3, OTHER), record(4, OTHER, category="suicidality")]
    names = ["id", "status", "stage", "reason", "held_for", "copies", "split"]

    def decisions(*found: Record) -> list[str]:
        return sorted(str({n: r[n] for n in names}) for r in rows(*found))

    assert decisions(*records) == decisions(*records[::-1])


def test_the_decision_columns_have_their_types_without_rows() -> None:
    keys = keys_of()
    table = decide(keys, CorpusConfig(min_records=0), none(0)).table
    assert table.schema.field("held_for").type == pa.list_(pa.string())


def test_what_a_row_or_generator_marks_is_held_for_review() -> None:
    (row,) = rows(record(1, review="required"))
    assert (row["status"], row["held_for"]) == ("held", [REVIEW])


def test_text_from_templates_is_at_most_a_tenth_of_its_source() -> None:
    own = [record(i, (f"Since Lisbon I miss piano number {i}.", FINE[1])) for i in range(18)]
    made = [record(100 + i, (f"The garden {i} makes me furious.", OTHER[1]), generated="template") for i in range(9)]
    found = rows(*own, *made)
    kept = [r for r in found if r["status"] == "kept"]
    assert sum(r["generated"] == "template" for r in kept) == 2
    assert [r["reason"] for r in found if r["stage"] == "balance"] == ["template_cap"] * 7


def test_no_more_answers_to_one_question_than_allowed() -> None:
    answers = [record(i, (FINE[0], f"{FINE[1]} And the {thing}?")) for i, thing in enumerate(["sea", "bay", "ship"])]
    found = rows(*answers, max_per_question=2)
    assert sorted(r["reason"] or "" for r in found) == ["", "", "question_cap"]


def test_edge_cases_may_be_taken_evenly_from_their_cells() -> None:
    cells = [("therapy_resistance", "moderate")] * 12 + [("grief_complicated", "high")] * 3
    found = rows(
        *(
            record(i, (f"Since Lisbon I miss piano number {i}.", FINE[1]), "edge_case", category=c, difficulty=d)
            for i, (c, d) in enumerate(cells)
        ),
        targets={"edge_case": 1.0},
        max_records=6,
        edge_cells="even",
    )
    assert Counter(r["category"] for r in found if r["status"] == "kept") == {
        "therapy_resistance": 3,
        "grief_complicated": 3,
    }


def test_the_policy_prefers_quality_then_licence_then_source_then_id() -> None:
    config = CorpusConfig()
    same = [record(i) for i in range(3)]
    keys = keys_of(*same)
    by_id = sorted(range(3), key=lambda i: same[i].id)
    assert np.argsort(ranking(keys, config, np.ones(3, bool))).tolist() == by_id
    worse = np.array([True, True, True])
    worse[by_id[0]] = False
    assert ranking(keys, config, worse)[by_id[0]] == 2
    scores = pa.array([0.1, 0.9, 0.5], pa.float32())
    rated = keys.set_column(keys.schema.get_field_index("score_generic"), "score_generic", scores)
    assert ranking(rated, config, np.ones(3, bool)).tolist() == [2, 0, 1]
    licences = pa.array(["unheard of", "MIT", "CC-BY-4.0"])
    licensed = keys.set_column(keys.schema.get_field_index("licence"), "licence", licences)
    assert ranking(licensed, config, np.ones(3, bool)).tolist() == [2, 0, 1]
