"""Packed rows: nothing lost, nothing mixed, balanced, and the same for every run and every number of ranks."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_ray.train.data import Examples
from pe_ray.train.packing import (
    IGNORE,
    Shape,
    TrainBatches,
    evaluation_batches,
    fill,
    pack,
    split,
    stream_pieces,
)
from tests.train.toy import SHAPE, toy_examples, toy_model


def batches(step: int = 0, examples: Examples | None = None, seed: int = 7, shape: Shape = SHAPE, **rank):
    return next(TrainBatches(examples or toy_examples(), shape, seed, pad_id=0, **rank).start(step))


def same(a, b) -> bool:
    return torch.equal(a.input_ids_BT, b.input_ids_BT) and torch.equal(a.labels_BT, b.labels_BT)


def test_a_step_is_a_function_of_seed_and_step() -> None:
    stream = TrainBatches(toy_examples(), SHAPE, 7, pad_id=0).start(0)
    for step, whole in enumerate(itertools.islice(stream, 9)):
        assert all(map(same, whole, batches(step)))
    assert not all(map(same, batches(0), batches(0, seed=8)))
    assert not all(map(same, batches(0), batches(1)))


def test_ranks_share_out_the_micro_batches_and_their_weights_sum_to_one() -> None:
    whole = batches(3)
    parts = [batches(3, rank=r, size=2) for r in range(2)]
    assert len(whole) == 2 and [len(p) for p in parts] == [1, 1]
    assert same(parts[0][0], whole[0]) and same(parts[1][0], whole[1])
    assert sum(b.weight for b in whole) == pytest.approx(1)
    learnt = [(b.labels_BT != IGNORE).sum().item() for b in whole]
    assert [b.weight for b in whole] == pytest.approx([n / sum(learnt) for n in learnt])


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(16, 40), st.integers(0, 1000))
def test_every_document_stands_once_in_a_pass_whole_and_in_one_piece(micro, accumulation, context, seed) -> None:
    examples = toy_examples(30, domains=1)
    pieces = list(itertools.islice(stream_pieces(examples, context, seed, True), 500))
    wanted = Counter(p for x in range(30) for p in split(examples, x, context))
    one_pass = sum(wanted.values())
    assert Counter(pieces[:one_pass]) == wanted
    packed = pack(iter(pieces), Shape(micro, accumulation, context))
    placed = [p for rows in itertools.islice(packed, 40) for row in rows for p in row]
    taken = Counter(placed)
    assert all(taken[p] >= n for p, n in Counter(pieces[: max(0, len(placed) - 20)]).items())


def test_tokens_labels_and_positions_are_those_of_the_document() -> None:
    examples = toy_examples()
    for batch in batches(2, examples):
        for b, t in itertools.product(range(SHAPE.micro_batch), range(SHAPE.context)):
            d = batch.document_BT[b, t].item()
            label = batch.labels_BT[b, t].item()
            if label != IGNORE:
                assert d >= 0 and batch.document_BT[b, t + 1] == d and batch.input_ids_BT[b, t + 1] == label
        for d in range(len(batch.domain_D)):
            where = (batch.document_BT == d).nonzero()
            assert batch.position_ids_BT[batch.document_BT == d].tolist() == list(range(len(where)))
            assert len(where[:, 0].unique()) == 1
    assert batch.num_tokens == (batch.document_BT >= 0).sum()


def test_documents_do_not_see_each_other_nor_the_padding() -> None:
    model, batch = toy_model().eval(), batches(1)[0]
    with torch.no_grad():
        packed = model(input_ids=batch.input_ids_BT, position_ids=batch.position_ids_BT, use_cache=False).logits
        for d in range(len(batch.domain_D)):
            at = batch.document_BT == d
            alone = model(input_ids=batch.input_ids_BT[at][None]).logits[0]
            assert torch.allclose(packed[at], alone, atol=1e-5)


def test_domains_get_equal_tokens_though_one_is_rare() -> None:
    examples = toy_examples(60, domains=1)
    examples.domain_X[:6], examples.domain_X[6:9] = 1, 2  # 51, 6 and 3 documents
    drawn: Counter = Counter()
    for piece in itertools.islice(stream_pieces(examples, 32, 7, True), 600):
        drawn[piece.domain] += len(piece)
    assert max(drawn.values()) - min(drawn.values()) <= 20
    plain: Counter = Counter(p.domain for p in itertools.islice(stream_pieces(examples, 32, 7, False), 600))
    assert set(plain) == {0, 1, 2} and plain[0] > 5 * plain[1]


def test_rows_are_well_filled() -> None:
    shape = Shape(4, 2, 64)
    stream = pack(stream_pieces(toy_examples(200), 64, 7, True), shape)
    used = [sum(len(p) for row in rows for p in row) / shape.tokens for rows in itertools.islice(stream, 50)]
    assert np.mean(used) > 0.93 and min(used) > 0.85


def test_what_does_not_fit_waits_for_the_next_step() -> None:
    pieces = [p for x in range(40) for p in split(toy_examples(40), x, 32)]
    rows, waiting = fill(pieces, iter(()), Shape(1, 2, 32))
    assert sorted([p for row in rows for p in row] + waiting, key=lambda p: p.start) == pieces


def test_a_long_document_is_cut_and_a_part_without_a_learnt_token_left_out() -> None:
    examples = Examples(
        np.arange(10, dtype=np.int32), np.array([0] * 6 + [1] * 4, np.int8), np.array([0, 10]), np.array([0])
    )
    assert [(p.start, p.stop) for p in split(examples, 0, 4)] == [(4, 8), (8, 10)]
    with pytest.raises(ValueError, match="learnt"):
        next(
            stream_pieces(
                Examples(examples.token_T, examples.mask_T * 0, examples.start_X, examples.domain_X), 4, 1, True
            )
        )


def test_held_out_documents_stand_once_each_up_to_the_cut() -> None:
    examples = toy_examples(25, seed=5)
    whole = evaluation_batches(examples, SHAPE, pad_id=0, max_tokens=10**6)
    assert sum(len(b.domain_D) for b in whole) == 25 and sum(b.weight for b in whole) == pytest.approx(1)
    assert sum(b.num_tokens for b in whole) == examples.num_tokens
    ranks = [evaluation_batches(examples, SHAPE, pad_id=0, max_tokens=10**6, rank=r, size=2) for r in (0, 1)]
    assert sum(b.weight for r in ranks for b in r) == pytest.approx(1)
    assert sum(len(b.domain_D) for b in evaluation_batches(examples, SHAPE, pad_id=0, max_tokens=40)) < 5
    none = examples.take(np.zeros(0, np.int64))
    assert evaluation_batches(none, SHAPE, pad_id=0, max_tokens=100) == []
