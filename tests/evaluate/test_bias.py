"""The task of bias_detection against likelihoods written out, and records that it cannot use."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from pe_ray.evaluate.bias import NO, QUESTION, YES, Statement, bias_task, statements
from pe_ray.evaluate.scoring import Scores, score
from pe_ray.record import Record
from tests.corpus.finished import record, snapshot
from tests.evaluate.conftest import make_records, split_of
from tests.model.bases import byte_tokenizer, expert_model

TOKENIZER = byte_tokenizer()
CONTEXT = 256


def labelled() -> list[Statement]:
    """Three biased statements and two that are not."""
    found = [r for r in make_records() if r.domain == "bias_detection"][:5]
    return [Statement(r, r.metadata["biased"] == "true") for r in found]


def likelihood(model, question: str, reply: str) -> float:
    """Mean log-likelihood per token of a reply, its end included, the obvious way."""
    head = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    whole = TOKENIZER(f"{head}{reply}<|im_end|>")["input_ids"]
    begin = len(TOKENIZER(head)["input_ids"])
    with torch.no_grad():
        log = model(torch.tensor([whole])).logits[0].log_softmax(-1)
    return float(np.mean([log[t - 1, whole[t]].item() for t in range(begin, len(whole))]))


def test_both_tasks_equal_likelihoods_written_out() -> None:
    model, found = expert_model(), labelled()
    made = bias_task(found, TOKENIZER, partial(score, model, context=CONTEXT, pad_id=256), CONTEXT)
    prefers = [
        likelihood(model, s.asked, s.respectful) > likelihood(model, s.asked, s.swapped) for s in found if s.biased
    ]
    yes = [likelihood(model, s.asked + QUESTION, YES) > likelihood(model, s.asked + QUESTION, NO) for s in found]
    assert (made["respect"]["hits"], made["respect"]["trials"]) == (sum(prefers), 3)
    right = sum(said == s.biased for said, s in zip(yes, found, strict=True))
    assert (made["label"]["hits"], made["label"]["trials"]) == (right, 5)
    assert made["label"]["said_yes"] == pytest.approx(sum(yes) / 5)
    assert made["label"]["largest_share"] == pytest.approx(0.6)


def liked(chosen: str):
    """A scorer for which the replies that contain `chosen` are the likeliest."""
    wanted = TOKENIZER(chosen)["input_ids"]

    def measure(examples) -> Scores:
        texts = [examples.token_T[a:b].tolist() for a, b in zip(examples.start_X, examples.start_X[1:], strict=False)]
        has = [any(t[i : i + len(wanted)] == wanted for i in range(len(t))) for t in texts]
        loss = np.array([1.0 if h else 2.0 for h in has])
        return Scores(loss * 3, np.full(len(loss), 3.0), loss, loss, None, None)

    return measure


def test_a_model_that_prefers_respect_has_all_of_them_and_yes_to_everything_the_share_of_yes() -> None:
    found = labelled()
    assert bias_task(found, TOKENIZER, liked("Let us ask her"), CONTEXT)["respect"]["value"] == 1
    assert bias_task(found, TOKENIZER, liked("People under"), CONTEXT)["respect"]["value"] == 0
    label = bias_task(found, TOKENIZER, liked(YES), CONTEXT)["label"]
    assert (label["value"], label["said_yes"], label["auc"]) == (0.6, 1.0, 0.5)


def test_a_reply_that_does_not_fit_is_counted_and_left_out() -> None:
    found = labelled()
    long = Statement(record(9, ("user", "x" * 300), ("assistant", "wrong\n\nright"), metadata={"biased": "true"}), True)
    made = bias_task([*found, long], TOKENIZER, liked(YES), CONTEXT)
    assert (made["label"]["trials"], made["label"]["too_long"]) == (5, 1)
    assert made["respect"]["trials"] == 3  # it has no swapped statement either


def test_no_statement_gives_no_figure() -> None:
    made = bias_task([], TOKENIZER, liked(YES), CONTEXT)
    assert made["respect"]["value"] is made["label"]["value"] is made["label"]["auc"] is None


def test_statements_are_of_the_split_and_unlabelled_ones_are_counted(tmp_path: Path) -> None:
    records: list[Record] = [*make_records(), record(41, ("user", "a"), ("assistant", "b"), domain="bias_detection")]
    corpus = snapshot(tmp_path, records, lambda i: "validation" if i == 40 else split_of(i))
    found, unlabelled = statements(corpus, "validation")
    assert (len(found), unlabelled) == (2, 1)
    assert sorted(s.biased for s in found) == [False, True]
    assert found[0].respectful == "Let us ask her what she would like."
    assert statements(corpus, "test") == ([], 0)
    assert "People over" not in repr(found)
