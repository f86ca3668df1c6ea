"""The study: fair arms, the same again from the same seeds, and a table that adds up."""

from __future__ import annotations

import json

import pytest

from pe_ray.errors import UserError
from pe_ray.evaluate.study import arms, main, matching_rank, num_trainable, prepare, study
from pe_ray.evaluate.study_table import markdown, spread
from pe_ray.train.packing import TrainBatches
from pe_ray.train.setup import shape_of
from tests.evaluate.conftest import World, make_config


@pytest.fixture(scope="module")
def found(world: World) -> dict:
    return study(world.config, world.corpus, world.home, steps=3, seeds=[7, 8])


def test_plain_lora_has_as_many_parameters_as_four_experts(world: World) -> None:
    ground = prepare(world.config, world.corpus, world.home, "validation")
    plain, one, unrouted, four = arms(ground)
    sizes = {arm.name: num_trainable(ground, arm.config) for arm in arms(ground)}
    per_rank = num_trainable(ground, one.config) / one.config.rank
    assert abs(sizes["plain"] - sizes["four"]) <= per_rank / 2
    assert sizes["four_unrouted"] == sizes["four"] > 2 * sizes["one"]
    assert plain.config.alpha / plain.config.rank == four.config.alpha / four.config.rank
    assert (unrouted.config.domain_coef, four.config.domain_coef) == (0, 0.1)


@pytest.mark.parametrize(("wanted", "per_rank", "rank"), [(100, 10, 10), (104, 10, 10), (106, 10, 11), (1, 10, 1)])
def test_the_matching_rank_is_the_nearest(wanted: int, per_rank: int, rank: int) -> None:
    assert matching_rank(wanted, per_rank) == rank


def test_every_arm_starts_at_the_same_loss_on_the_same_batch(found: dict) -> None:
    for seed in (0, 1):
        first = [arm["runs"][seed]["first_losses"][0] for arm in found["arms"]]
        assert first == pytest.approx([first[0]] * 4, rel=1e-5)
        assert len({arm["runs"][seed]["tokens"] for arm in found["arms"]}) == 1
    assert found["arms"][0]["runs"][0]["first_losses"][0] != found["arms"][0]["runs"][1]["first_losses"][0]


def test_batches_are_balanced_over_domains_for_one_expert_too(world: World) -> None:
    ground = prepare(world.config, world.corpus, world.home, "validation")
    batches = next(TrainBatches(ground.examples, shape_of(ground.profile), 7, pad_id=0).start(0))
    assert set(batches[0].domain_D.tolist()) == {0, 1, 2, 3}


def test_the_same_seeds_give_the_same_study(world: World, found: dict) -> None:
    again = study(world.config, world.corpus, world.home, steps=3, seeds=[7])
    assert again["base"] == found["base"]
    for arm, before in zip(again["arms"], found["arms"], strict=True):
        assert arm["runs"][0] == before["runs"][0]


def test_arms_learn_something_and_only_experts_route(found: dict) -> None:
    json.dumps(found, allow_nan=False)
    for arm in found["arms"]:
        assert all(run["losses"]["all"]["loss"] < found["base"]["losses"]["all"]["loss"] for run in arm["runs"])
        assert (arm["runs"][0]["routing"] is None) == (arm["name"] in ("plain", "one"))


def test_the_table_holds_the_means_of_the_document(found: dict) -> None:
    said = markdown(found)
    for arm in found["arms"]:
        assert spread([run["losses"]["all"]["loss"] for run in arm["runs"]]) in said
    less = [a["losses"]["all"]["loss"] - b["losses"]["all"]["loss"]
            for a, b in zip(found["arms"][3]["runs"], found["arms"][0]["runs"], strict=True)]  # fmt: skip
    assert spread(less, sign="+") in said
    for table in said.split("\n\n")[1:]:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_some_arms_alone_are_those_of_the_whole_study(world: World, found: dict) -> None:
    alone = study(world.config, world.corpus, world.home, steps=3, seeds=[7], only=["four"])
    assert [arm["name"] for arm in alone["arms"]] == ["four"]
    assert alone["arms"][0]["runs"][0] == found["arms"][3]["runs"][0]
    assert "less that of plain" not in markdown(alone)
    with pytest.raises(UserError, match="--only five: no such arm; there are plain, one, four_unrouted, four"):
        study(world.config, world.corpus, world.home, steps=3, seeds=[7], only=["five"])


def test_spread_is_mean_and_sample_deviation() -> None:
    assert spread([1.0, 3.0], 2) == "2.00 ± 1.41"
    assert spread([1.5], 1) == "1.5"
    assert spread([1.0, None]) == "-"
    assert spread([]) == "-"


def test_an_arm_that_could_not_differ_is_refused(world: World) -> None:
    with pytest.raises(UserError, match=r"model\.domain_coef=0"):
        study(make_config(domain_coef=0.0), world.corpus, world.home, steps=1, seeds=[7])
    with pytest.raises(UserError, match="--steps 0"):
        study(world.config, world.corpus, world.home, steps=0, seeds=[7])


def test_the_door_says_what_is_wrong_in_a_line(tmp_path, home, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--corpus", str(tmp_path), "--steps", "1"]) == 1
    assert "never finished" in capsys.readouterr().err
    assert main(["--corpus", str(tmp_path), "--set", "train.stpes=1"]) == 2
    assert "did you mean 'steps'" in capsys.readouterr().err
