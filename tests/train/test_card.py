"""The card of an export says what its manifests say, and nothing that no run printed."""

from __future__ import annotations

from pathlib import Path

from pe_ray.store import manifest
from pe_ray.train.run import export, train
from tests.train.conftest import make_config


def test_adapter_and_merged_model_carry_their_card(world) -> None:
    home, _, base, examples = world
    config = make_config(steps=4)
    result = train(config, examples, base, home, "carded")
    stage = export(config, result.checkpoint, base, home)
    for kind in ("adapter", "merged"):
        path = Path(stage[kind])
        text, made = (path / "README.md").read_text(), manifest.read(path, verify=True)
        assert "not a therapist" in text and "demonstration" in text
        assert f"# small {made.facts['version']}" in text
        for identity in made.parents.values():
            assert f"`{identity}`" in text
        assert "| optimizer steps | 4 |" in text
        assert f"| held-out loss, nats per token | {result.stage['eval_loss']:.4f} |" in text
    assert "MixtralForCausalLM" in (Path(stage["merged"]) / "README.md").read_text()
    assert "pe_ray.model.load" in (Path(stage["adapter"]) / "README.md").read_text()
    assert f"{stage['max_logit_diff']:.2g}" in (Path(stage["merged"]) / "README.md").read_text()
