"""Run files and overrides: what is right is read, what is wrong is named in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pe_ray.config import Config, check, config_hash, dump, load
from pe_ray.errors import ConfigError


def problem(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(None, overrides)
    return str(caught.value)


def test_defaults_are_a_whole_run() -> None:
    config = load()
    assert config.train.window_s == 12 * 3600
    assert config.train.margin_s == 1800
    assert config.model.rank == 16
    assert config.model.alpha == 32
    assert sum(config.corpus.targets.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.stpes=5", "unknown setting 'train.stpes'; did you mean 'steps'?"),
        ("trian.steps=5", "unknown setting 'trian'; did you mean 'train'?"),
        ("train.steps=-5", "train.steps=-5: input should be greater than 0"),
        ("train.steps=abc", "train.steps='abc': input should be a valid integer"),
        ("model.top_k=9", "model: top_k=9 is more than the 4 experts"),
        ("corpus.sources=[voic]", "corpus.sources.0.kind='voic'"),
        ("corpus.sources=[{kind: voice, pth: x}]", "did you mean 'path'?"),
        ("corpus.targets={voice: 0.5}", "targets sum to 0.5"),
        ("steps", "write it as section.field=value"),
        ("train.steps=[1", "the value is not YAML"),
    ],
)
def test_a_wrong_override_is_named_with_its_value(override: str, expected: str) -> None:
    message = problem(override)
    assert expected in message
    assert "\n" not in message


def test_several_problems_make_several_lines() -> None:
    assert len(problem("train.steps=-5", "model.rank=0").splitlines()) == 2


def test_margin_must_leave_time_to_train() -> None:
    assert "safety_margin_s=1800 is not shorter than window_s=1200" in problem(
        "train.safety_margin_s=1800", "train.window_s=1200"
    )


def test_shorthand_and_its_override() -> None:
    assert load(None, ["base=models/x"]).base.name == "models/x"
    config = load(None, ["base=models/x", "base.revision=main"])
    assert (config.base.name, config.base.revision) == ("models/x", "main")


def test_extends_lays_one_file_over_another(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("train: {steps: 5, seed: 1}\nmodel: {rank: 4}\n")
    (tmp_path / "run.yaml").write_text("extends: base.yaml\ntrain: {seed: 2}\n")
    config = load(tmp_path / "run.yaml", ["model.alpha=1e1"])
    assert (config.train.steps, config.train.seed, config.model.rank, config.model.alpha) == (5, 2, 4, 10.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("extends: run.yaml", "extends itself"),
        ("- a\n- b", "holds a list"),
        ("train: {steps: 1, steps: 2}", "key 'steps' stands twice"),
        ("train: [", "not YAML (line"),
        ("extends: gone.yaml", "no such file"),
        ("train: {stpes: 1}", "run.yaml: unknown setting 'train.stpes'"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "run.yaml")
    assert expected in str(caught.value)


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_bytes(b"train: \xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "run.yaml")


def test_the_resolved_tree_reads_back_as_itself() -> None:
    config = load(None, ["train.steps=5"])
    assert check(yaml.safe_load(dump(config))) == config


def test_the_hash_follows_what_a_run_computes() -> None:
    same = load(None, ["serve.port=9000", "run_id=x"])
    other = load(None, ["train.seed=8"])
    assert config_hash(same) == config_hash(Config())
    assert config_hash(other) != config_hash(Config())


def test_every_field_is_documented() -> None:
    schema = Config.model_json_schema()
    sections = [schema, *schema["$defs"].values()]
    missing = [
        f"{s['title']}.{name}" for s in sections for name, f in s["properties"].items() if not f.get("description")
    ]
    assert not missing


def test_every_run_file_in_the_repository_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PE_RAY_DATA", "/data")
    folder = Path(__file__).parents[2] / "jobs" / "configs"
    files = sorted(folder.glob("*.yaml"))
    assert files
    for file in files:
        load(file)
