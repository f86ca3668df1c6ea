"""Loading bases: what is accepted, and the one line for what is not."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from pe_ray.errors import BaseModelError
from pe_ray.model.base import fingerprint, load_base, load_tokenizer, resolve
from tests.model import bases


@pytest.mark.parametrize("make", [bases.tiny_llama, bases.tiny_mistral, bases.tiny_qwen3])
def test_supported_bases_load(tmp_path, make) -> None:
    model, tokenizer = load_base(make(tmp_path / "base"))
    assert model.config.model_type in ("llama", "mistral", "qwen3")
    assert not model.training
    assert model.dtype == torch.float32
    text = tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    assert text == "<|im_start|>user\nhi<|im_end|>\n"


def test_generation_marks_give_assistant_masks(tmp_path) -> None:
    _, tokenizer = load_base(bases.tiny_llama(tmp_path / "base"))
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "bc"}]
    found = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
    learnt = [t for t, m in zip(found["input_ids"], found["assistant_masks"], strict=True) if m]
    assert tokenizer.decode(learnt) == "bc<|im_end|>"


def test_dtype_none_keeps_that_of_the_files(tmp_path) -> None:
    bases.dense_model().bfloat16().save_pretrained(tmp_path)
    bases.byte_tokenizer().save_pretrained(tmp_path)
    assert load_base(tmp_path, dtype=None)[0].dtype == torch.bfloat16
    assert load_base(tmp_path)[0].dtype == torch.float32


@pytest.mark.parametrize("name", ["/nowhere/at/all", "./missing", "~/missing-base", "a/b/c", "no spaces please"])
def test_an_absent_path_is_one_line_and_no_download(name: str, monkeypatch) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *a, **k: pytest.fail("went to the hub"))
    with pytest.raises(BaseModelError, match="no such directory") as caught:
        resolve(name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_a_hub_id_that_cannot_be_had_is_one_line(monkeypatch) -> None:
    import huggingface_hub

    def offline(*args, **kwargs):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(BaseModelError, match=r"base=some/model: neither .* \(ConnectionError\)") as caught:
        resolve("some/model")
    assert "\n" not in str(caught.value)


def test_an_empty_directory_is_refused(tmp_path) -> None:
    with pytest.raises(BaseModelError, match="holds no readable") as caught:
        load_base(tmp_path)
    assert "\n" not in str(caught.value)


def test_broken_weights_are_refused(tmp_path) -> None:
    path = bases.tiny_llama(tmp_path / "base")
    (path / "model.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(BaseModelError, match="holds no readable base"):
        load_base(path)


def test_missing_weights_are_refused(tmp_path) -> None:
    path = bases.tiny_llama(tmp_path / "base")
    tensors = load_file(path / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BaseModelError, match=r"1 weights are missing, first model\.layers\.1\.mlp\.up_proj"):
        load_base(path)


def test_an_unsupported_kind_is_named(tmp_path) -> None:
    path = bases.tiny_llama(tmp_path / "base")
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"model_type": "gpt2"}))
    with pytest.raises(BaseModelError, match="model_type=gpt2 is not one of llama, mistral, qwen3"):
        load_base(path)


def test_a_base_without_chat_template_needs_one(tmp_path) -> None:
    path = bases.tiny_llama(tmp_path / "base")
    (path / "chat_template.jinja").unlink()
    with pytest.raises(BaseModelError, match=r"base\.chat_template is empty"):
        load_base(path)
    assert load_tokenizer(path, "{{ messages }}").chat_template == "{{ messages }}"
    (tmp_path / "mine.jinja").write_text(bases.CHATML)
    assert load_tokenizer(path, str(tmp_path / "mine.jinja")).chat_template == bases.CHATML
    with pytest.raises(BaseModelError, match=r"base\.chat_template=missing\.jinja: neither"):
        load_tokenizer(path, "missing.jinja")


def test_a_padding_token_is_found(tmp_path) -> None:
    path = bases.tiny_llama(tmp_path / "base")
    tokenizer = bases.byte_tokenizer()
    tokenizer.pad_token = None
    tokenizer.save_pretrained(path)
    assert load_tokenizer(path).pad_token == "<|im_end|>"


def test_fingerprint_follows_weights_and_configuration(tmp_path) -> None:
    path = bases.tiny_llama(tmp_path / "base")
    first = fingerprint(path)
    (path / "README.md").write_text("words")
    assert fingerprint(path) == first
    bases.dense_model(seed=1).save_pretrained(path)
    assert fingerprint(path) != first
    with pytest.raises(BaseModelError, match=r"no config\.json with weights"):
        fingerprint(tmp_path)


def test_a_large_file_is_sampled(tmp_path) -> None:
    from pe_ray.model.base import _sample

    file = tmp_path / "weights"
    file.write_bytes(bytes(1000))
    before = _sample(file, whole=100, piece=10, pieces=4)
    data = bytearray(1000)
    data[995] = 1  # the last piece is always among the samples
    file.write_bytes(data)
    assert _sample(file, whole=100, piece=10, pieces=4) != before
    assert len(before) == 16


def test_importing_the_package_loads_no_torch() -> None:
    code = "import sys, pe_ray.model; print('torch' in sys.modules, 'transformers' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False False"


def test_four_bits_train_evaluate_and_export_as_one_function(tmp_path) -> None:
    from pe_ray.model.export import probe, to_moe
    from pe_ray.model.inject import inject, trainable_share

    model, tokenizer = load_base(bases.tiny_llama(tmp_path / "base"), quantise="4bit")
    dense, _ = load_base(tmp_path / "base")
    bases.disturb(inject(model, bases.experts_config(), seed=1))
    inject(dense, bases.experts_config(), seed=1)
    assert trainable_share(model) == pytest.approx(trainable_share(dense))
    ids = bases.random_ids()
    trained = model.train()(ids).logits
    with torch.no_grad():
        assert (model.eval()(ids).logits - trained).abs().max() < 1e-5
    to_moe(model, tokenizer, tmp_path / "merged")
    assert probe(model, tmp_path / "merged", ids).max_logit_diff <= 5e-6


def test_eight_bits_have_no_exact_export(tmp_path) -> None:
    from pe_ray.errors import UserError
    from pe_ray.model.export import to_moe
    from pe_ray.model.inject import inject

    model, tokenizer = load_base(bases.tiny_llama(tmp_path / "base"), quantise="8bit")
    bases.disturb(inject(model, bases.experts_config(), seed=1))
    with pytest.raises(UserError, match=r"base\.quantise=8bit"):
        to_moe(model, tokenizer, tmp_path / "merged")
