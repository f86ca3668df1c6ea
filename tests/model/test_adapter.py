"""An adapter comes back as it was, finds its base again, and says so when it cannot."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from pe_ray import model as model_package
from pe_ray.errors import AdapterNotFound, BaseModelError, ManifestError
from pe_ray.model.adapter import base_reference, load, save_adapter
from pe_ray.model.base import load_base
from pe_ray.model.inject import adapter_parameters, inject
from pe_ray.store.manifest import stage
from pe_ray.store.paths import Home
from tests.model import bases


@pytest.fixture
def saved(tmp_path):
    """A home with a base and version 1 of an adapter; and the model that was saved."""
    home = Home.at(tmp_path / "home")
    base = bases.tiny_llama(home.base("abc"))
    model, tokenizer = load_base(base)
    bases.disturb(inject(model, bases.experts_config(), seed=1))
    with stage(home.adapter("therapist", 1), kind="adapter", parents={}) as out:
        save_adapter(model, tokenizer, out.path, base_reference("tiny", base))
    return home, model


def test_round_trip(saved) -> None:
    home, model = saved
    again, tokenizer = model_package.load(home.adapter("therapist", 1))
    for name, p in adapter_parameters(model).items():
        assert torch.equal(adapter_parameters(again)[name], p), name
    ids = bases.random_ids()
    assert torch.equal(again(ids).logits, model(ids).logits)
    assert again.experts_config == model.experts_config
    assert tokenizer.chat_template == bases.CHATML
    prompt = tokenizer("Hello", return_tensors="pt").input_ids
    assert again.generate(prompt, max_new_tokens=4, do_sample=False).shape[0] == 1


def test_a_home_can_be_moved(saved, tmp_path) -> None:
    home, model = saved
    shutil.move(home.root, tmp_path / "elsewhere")
    again, _ = load(tmp_path / "elsewhere" / "adapters" / "therapist" / "1")
    assert torch.equal(again(bases.random_ids()).logits, model(bases.random_ids()).logits)


def test_a_base_outside_the_home_is_named_in_full(tmp_path) -> None:
    base = bases.tiny_llama(tmp_path / "mine")
    model, tokenizer = load_base(base)
    inject(model, bases.experts_config(), seed=1)
    save_adapter(model, tokenizer, tmp_path / "home" / "adapters" / "a" / "1", base_reference(str(base), base))
    described = json.loads((tmp_path / "home" / "adapters" / "a" / "1" / "adapter.json").read_text())
    assert described["base"]["path"] == str(base)
    assert load(tmp_path / "home" / "adapters" / "a" / "1")[0].dtype == torch.float32


def test_dtype_of_the_loaded_base_can_be_chosen(saved) -> None:
    home, _ = saved
    again, _ = load(home.adapter("therapist", 1), dtype=torch.bfloat16)
    assert again.dtype == torch.bfloat16
    assert again(bases.random_ids()).logits.isfinite().all()


def test_an_absent_adapter_is_named(tmp_path) -> None:
    with pytest.raises(AdapterNotFound, match=r"no adapter at .*nothing"):
        load(tmp_path / "nothing")


def test_an_absent_base_is_named(saved) -> None:
    home, _ = saved
    shutil.rmtree(home.base("abc"))
    with pytest.raises(BaseModelError, match="its base tiny is not at") as caught:
        load(home.adapter("therapist", 1))
    assert "\n" not in str(caught.value)


def test_another_base_is_refused(saved) -> None:
    home, _ = saved
    bases.dense_model(seed=9).save_pretrained(home.base("abc"))
    with pytest.raises(BaseModelError, match="is not the one it was trained on"):
        load(home.adapter("therapist", 1))


def test_tensors_that_do_not_fit_are_refused(saved) -> None:
    home, _ = saved
    file = home.adapter("therapist", 1) / "adapter.safetensors"
    tensors = load_file(file)
    del tensors["model.layers.1.mlp.router.weight"]
    save_file(tensors, file)
    with pytest.raises(ManifestError, match=r"1 tensors do not fit .* model\.layers\.1\.mlp\.router\.weight"):
        load(home.adapter("therapist", 1))


def test_a_damaged_description_is_refused(saved) -> None:
    home, _ = saved
    path = home.adapter("therapist", 1) / "adapter.json"
    path.write_text("{")
    with pytest.raises(ManifestError, match="is damaged"):
        load(path.parent)
    path.write_text(json.dumps({"format": 99}))
    with pytest.raises(ManifestError, match="format 99 is newer"):
        load(path.parent)


def test_damaged_weights_are_refused(saved) -> None:
    home, _ = saved
    (home.adapter("therapist", 1) / "adapter.safetensors").write_bytes(b"nothing")
    with pytest.raises(ManifestError, match=r"adapter\.safetensors: is missing or damaged"):
        load(home.adapter("therapist", 1))
