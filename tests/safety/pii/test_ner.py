"""A model of names from a folder: a real small spaCy model, and one clear line for everything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from pe_ray.errors import UserError
from pe_ray.safety.pii import find, replace
from pe_ray.safety.pii.ner import PIECE, _pieces, load


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows one name, which neither lists nor cues would find."""
    spacy = pytest.importorskip("spacy")
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns(
        [{"label": "PERSON", "pattern": "Xolani"}, {"label": "ORG", "pattern": "Acme"}]
    )
    path = tmp_path_factory.mktemp("ner") / "model"
    nlp.to_disk(path)
    return path


def test_a_model_adds_to_lists_and_cues(model: Path) -> None:
    text = "Then Xolani left Acme, and Sarah stayed."
    assert [text[s.start : s.end] for s in find(text)] == ["Sarah"]
    assert [text[s.start : s.end] for s in find(text, ner=model)] == ["Xolani", "Sarah"]
    masked, counts = replace(text, b"k" * 16, ner=model)
    assert counts == {"name": 2}
    assert replace(masked, b"k" * 16, ner=model) == (masked, {})


def test_what_cannot_be_loaded_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "meta.json").write_text("{}")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text("{}")
    for name, said in (
        ("absent", "no folder"),
        ("empty", "neither"),
        ("broken", "spaCy"),
        ("other", "token classifier"),
    ):
        with pytest.raises(UserError, match=said) as refusal:
            load(tmp_path / name)
        assert "\n" not in str(refusal.value)
        assert name in str(refusal.value)


def test_a_long_text_is_read_in_pieces_that_lose_nothing() -> None:
    text = "word " * 900 + "x" * 2500 + " end"
    pieces = list(_pieces(text))
    assert all(text[at : at + len(piece)] == piece and len(piece) <= PIECE for at, piece in pieces)
    assert "".join(p for _, p in pieces).replace(" ", "") == text.replace(" ", "")


@pytest.mark.slow
def test_a_transformers_classifier_in_a_folder(tmp_path: Path) -> None:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"[UNK]": 0, "[PAD]": 1, "Xolani": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]").save_pretrained(tmp_path)
    labels = {0: "O", 1: "B-PER"}
    config = BertConfig(
        vocab_size=3,
        hidden_size=8,
        num_hidden_layers=0,
        num_attention_heads=1,
        id2label=labels,
        label2id={v: k for k, v in labels.items()},
    )
    net = BertForTokenClassification(config)
    with torch.no_grad():  # the word decides alone: Xolani is a person, all else is not
        for parameter in net.parameters():
            parameter.zero_()
        net.bert.embeddings.LayerNorm.weight.fill_(1)
        net.bert.embeddings.word_embeddings.weight[2] = torch.tensor([1.0, -1, 0, 0, 0, 0, 0, 0])
        net.classifier.weight[1, 0] = 10
        net.classifier.bias[0] = 1
    net.save_pretrained(tmp_path)
    text = "Then Xolani left."
    assert [text[s.start : s.end] for s in find(text, ner=tmp_path)] == ["Xolani"]
