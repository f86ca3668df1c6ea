"""What is wrong with a run is refused in one clear line; what can be survived is survived.

A batch that is not finite: test_loop.py. A run id of another configuration: test_run.py. A window without room:
also tests/config/test_load.py.
"""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from pe_ray.config import check, load
from pe_ray.corpus.tokenise import tokenise
from pe_ray.errors import BaseModelError, ConfigError, ManifestError, UserError
from pe_ray.model.base import load_base
from pe_ray.model.inject import inject
from pe_ray.train.checkpoint import Checkpoints
from pe_ray.train.run import export, train
from tests.model import bases
from tests.train.conftest import make_config
from tests.train.toy import toy_fit, toy_model, toy_settings


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["model.rank=0"], "model.rank=0: input should be greater than 0"),
        (["model.top_k=5"], "model: top_k=5 is more than the 4 experts"),
        (["train.context=9000"], "train.context=9000 is longer than base.tiny.positions=8192"),
        (["train.safety_margin_s=60", "train.window_s=60"], "safety_margin_s=60 is not shorter than window_s=60"),
        (["base.quantise=8bit"], "base.quantise=8bit and export.merged=true"),
    ],
)
def test_a_run_that_cannot_be_is_refused_when_its_file_loads(overrides: list[str], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, overrides)
    assert expected in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_refused_together_is_accepted_apart() -> None:
    assert load(None, ["base.quantise=8bit", "export.merged=false"]).base.quantise == "8bit"
    assert load(None, ["base=models/long", "train.context=9000"]).train.context == 9000


@pytest.mark.parametrize(
    "name",
    [
        "model.layers.0.mlp.norm.weight",
        "model.layers.0.mlp.gate_proj.bias",
        "model.layers.7.mlp.up_proj.weight",
        "v_head.weight",
    ],
)
def test_weights_that_would_be_passed_over_are_refused(tmp_path, name: str) -> None:
    path = bases.tiny_llama(tmp_path / "base")
    tensors = load_file(path / "model.safetensors") | {name: torch.ones(4)}
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BaseModelError, match=f"1 weights have no place .* first {name}; take a plain base") as caught:
        load_base(path)
    assert "\n" not in str(caught.value)


def test_frequencies_that_old_checkpoints_carry_are_not_minded(tmp_path) -> None:
    path = bases.tiny_llama(tmp_path / "base", tie_word_embeddings=True)
    tensors = load_file(path / "model.safetensors")
    tensors |= {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8)}
    tensors |= {"lm_head.weight": tensors["model.embed_tokens.weight"].clone()}
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    load_base(path)


def test_a_model_with_a_module_of_its_own_is_refused() -> None:
    model = bases.dense_model()
    model.model.layers[1].mlp.norm = nn.LayerNorm(4)
    with pytest.raises(BaseModelError, match=r"2 weights have no place .* first model\.layers\.1\.mlp\.norm\.bias"):
        inject(model, bases.experts_config(), seed=1)


def test_a_checkpoint_of_another_model_does_not_start(tmp_path) -> None:
    points = Checkpoints(tmp_path, parents={})
    toy_fit(checkpoints=points, settings=toy_settings(steps=2), evaluation=[])
    other = toy_model()
    other.lm_head.requires_grad_(False)
    with pytest.raises(ManifestError, match="holds the parameters of another model; start a new run id"):
        toy_fit(other, checkpoints=points, evaluation=[])
    assert points.latest().step == 2


def test_a_context_beyond_the_base_is_refused_and_a_stretched_base_takes_it(world) -> None:
    home, _, base, examples = world
    wanted = make_config(steps=1).model_dump(mode="json")
    wanted["train"] |= {"context": 512}
    wanted["base"] |= {"name": str(base)}
    with pytest.raises(UserError, match=r"train\.context=512: is longer than the 256 positions of the base") as caught:
        train(check(wanted), examples, base, home, "too-long")
    assert "\n" not in str(caught.value)
    wanted["base"] |= {"rope": {"type": "yarn", "factor": 2.0}}
    assert train(check(wanted), examples, base, home, "stretched").stage["steps"] == 1


def test_examples_of_another_tokenizer_are_refused(world, tmp_path) -> None:
    home, corpus, base, _ = world
    other = bases.tiny_llama(tmp_path / "other")
    with pytest.raises(UserError, match="were made with another tokenizer than that of"):
        train(make_config(), tokenise(corpus, other, None), base, home, "other-tokenizer")
    assert train(make_config(steps=1), tokenise(corpus, base, None), base, home, "own").stage["steps"] == 1


def test_training_starts_from_an_adapter(world, tmp_path) -> None:
    home, _, base, examples = world
    first = train(make_config(steps=6), examples, base, home, "begun")
    path = export(make_config(steps=6), first.checkpoint, base, home)["adapter"]
    again = train(make_config(steps=1, start_from=path), examples, base, home, "goes-on")
    assert again.stage["eval_loss_start"] == pytest.approx(first.stage["eval_loss"], rel=1e-5)
    with pytest.raises(UserError, match=r"train\.start_from=.*tensors do not fit"):
        other = make_config(steps=1, start_from=path)
        other = other.model_copy(update={"model": other.model.model_copy(update={"rank": 8})})
        train(other, examples, base, home, "does-not-fit")
