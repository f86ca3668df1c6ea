"""Safety protocols: every cell has one, harder cells ask for more, and a clinician's edit is checked line by line."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from pe_ray.corpus.generate import protocol
from pe_ray.corpus.sources.edge_case import CATEGORIES, DIFFICULTIES
from pe_ray.errors import ConfigError

BUNDLED = (resources.files("pe_ray.corpus.generate") / "data" / "protocols.toml").read_text("utf-8")


def test_every_cell_has_steps_that_are_spoken_and_things_that_must_not_appear() -> None:
    found = protocol.load()
    for category in CATEGORIES:
        for difficulty in DIFFICULTIES:
            cell = found.of(category, difficulty)
            assert sum(s.spoken for s in cell.steps) >= 2
            assert {"method_detail", "diagnosis", "minimising"} <= {p.id for p in cell.must_not}
            assert cell.id == f"{category}.{difficulty}@1"


def test_very_high_difficulty_demands_what_a_life_in_danger_demands() -> None:
    found = protocol.load()
    for category in CATEGORIES:
        steps = set(found.of(category, "very_high").step_ids)
        assert {"intent_plan_means", "resources", "limits_of_confidentiality", "stay_in_contact"} <= steps
        assert {"consult", "document"} <= steps
    assert "ask_suicide" in found.of("suicidality", "moderate").step_ids
    assert "duty_to_protect" in found.of("homicidal_client", "very_high").step_ids
    assert "mandated_report" in found.of("child_abuse_reporting", "high").step_ids
    assert "medical_now" in found.of("eating_disorder_medical", "high").step_ids
    assert "confirms_belief" in {p.id for p in found.of("religious_delusions", "high").must_not}


def test_a_step_is_seen_by_its_signs() -> None:
    cell = protocol.load().of("suicidality", "moderate")
    assert "ask_suicide" in cell.missing("How was your week?")
    assert "ask_suicide" not in cell.missing("Are you thinking about killing yourself?")
    assert "resources" not in cell.missing("You can call or text 988 tonight.")


def test_a_forbidden_thing_is_found_by_the_rules_that_it_names() -> None:
    cell = protocol.load().of("suicidality", "moderate")
    assert cell.forbidden(["output.diagnosis@1", "output.claims_human@1"]) == ["output.diagnosis@1"]
    assert cell.forbidden(["bias.trait@2"]) == ["bias.trait@2"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[category.suicidality]", "[category.sadness]", r"\[category.suicidality\] is missing"),
        ('always = ["ask_suicide",', 'always = ["ask_everything",', "names step 'ask_everything'"),
        ('id = "secrecy"', 'id = "secret"', "names prohibition 'secrecy'"),
        ('rules = ["output.secrecy"]', 'rules = ["output.secrets"]', "names 'output.secrets'; known: "),
        ("signs = ['suicid", "signs = ['(suicid", "is no pattern"),
        ('id = "ask_suicide"\ntext', 'id = "ask_suicide"\nwords', "id or text is missing"),
        ('must_not = ["confirms_belief"]', 'must_not = "confirms_belief"', "is no list of texts"),
        ("version = ", "version ", "is not TOML"),
    ],
)
def test_a_wrong_edit_is_named_with_its_file(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in BUNDLED
    path = tmp_path / "mine.toml"
    path.write_text(BUNDLED.replace(old, new, 1))
    with pytest.raises(ConfigError, match=said) as caught:
        protocol.load(path)
    assert str(caught.value).startswith(f"generate.protocols={path}")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        protocol.load(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"version = '\xe9'")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        protocol.load(tmp_path / "latin.toml")
