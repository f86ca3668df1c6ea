"""Which tokens an optimizer step learns from: whole documents packed into rows, the domains balanced by tokens.

What step s uses is a function of (examples, context, rows, seed, s) alone. The global batch of a step is fixed and the
ranks take its micro-batches in turn, so that a resumed run repeats it and a second worker changes no sample.

Shapes: B rows, T tokens of a row, D documents of a micro-batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pe_ray.train.data import Examples

IGNORE = -100
LOOK_AHEAD = 16
"""Documents that did not fit are held for the next step; after this many the step's rows count as full."""
SHORTEST = 8
"""A row with less room than this is full."""


@dataclass(frozen=True)
class Piece:
    """A document, or a part of one that is longer than the context: tokens [start, stop) of the flat arrays."""

    start: int
    stop: int
    domain: int

    def __len__(self) -> int:
        return self.stop - self.start


Row = list[Piece]


@dataclass(frozen=True)
class PackedBatch:
    """One micro-batch. Positions start anew with every document, which makes attention block-diagonal in HF models.

    `labels_BT[b, t]` is the token that follows position t of the same document where it is learnt, else -100.
    `document_BT` names the document of a token, -1 is padding; `domain_D` is its expert, -1 unknown. `weight` is this
    micro-batch's share of the learnt tokens of the whole step, over all workers.
    """

    input_ids_BT: Tensor
    labels_BT: Tensor
    position_ids_BT: Tensor
    document_BT: Tensor
    domain_D: Tensor
    weight: float
    num_tokens: int

    def to(self, device: torch.device | str) -> PackedBatch:
        """The same batch on another device."""
        names = ("input_ids_BT", "labels_BT", "position_ids_BT", "document_BT", "domain_D")
        return replace(self, **{n: getattr(self, n).to(device, non_blocking=True) for n in names})


@dataclass(frozen=True)
class Shape:
    """Sizes of one optimizer step: `micro_batch` rows of `context` tokens, `accumulation` times over all workers."""

    micro_batch: int
    accumulation: int
    context: int

    @property
    def rows(self) -> int:
        """Packed rows of a step, over all workers."""
        return self.micro_batch * self.accumulation

    @property
    def tokens(self) -> int:
        """Most tokens of a step."""
        return self.rows * self.context


class TrainBatches:
    """The training stream as one rank sees it; `start(s)` yields that rank's micro-batches of steps s, s + 1, ..."""

    def __init__(
        self,
        examples: Examples,
        shape: Shape,
        seed: int,
        *,
        pad_id: int,
        rank: int = 0,
        size: int = 1,
        balanced: bool = True,
    ) -> None:
        self.examples, self.shape, self.seed, self.pad_id = examples, shape, seed, pad_id
        self.rank, self.size, self.balanced = rank, size, balanced

    def start(self, step: int) -> Iterator[list[PackedBatch]]:
        """Batches from the step that follows `step` finished ones; earlier ones are skipped by lengths, in no time."""
        stream = pack(stream_pieces(self.examples, self.shape.context, self.seed, self.balanced), self.shape)
        for index, rows in enumerate(stream):
            if index >= step:
                yield self._micro_batches(rows)

    def _micro_batches(self, rows: list[Row]) -> list[PackedBatch]:
        size = self.shape.micro_batch
        parts = [rows[i : i + size] for i in range(0, len(rows), size)]
        return collate_step(self.examples, parts, self.shape.context, self.pad_id, self.rank, self.size)


def evaluation_batches(
    examples: Examples, shape: Shape, *, pad_id: int, max_tokens: int, rank: int = 0, size: int = 1
) -> list[PackedBatch]:
    """A held-out split packed once, in the order of the file, cut after `max_tokens`; this rank's part of it.

    A batch's weight is its share of the learnt tokens of the whole.
    """
    pieces = [p for x in range(len(examples)) for p in split(examples, x, shape.context)]
    total = np.cumsum([len(p) for p in pieces]) if pieces else np.zeros(0)
    waiting = pieces[: int(np.searchsorted(total, max_tokens, side="right")) or 1]
    batch, parts = Shape(shape.micro_batch, 1, shape.context), []
    while waiting:
        rows, waiting = fill(waiting, iter(()), batch)
        parts.append([row for row in rows if row])
    return collate_step(examples, parts, shape.context, pad_id, rank, size)


def stream_pieces(examples: Examples, context: int, seed: int, balanced: bool) -> Iterator[Piece]:
    """Documents without end: the next one comes from the domain that has had the fewest tokens so far.

    Each domain goes through its documents in an order of its own, a new one at every pass. Without `balanced` all
    documents are one domain.
    """
    domains = np.unique(examples.domain_X) if balanced else np.array([0])
    member = {int(d): np.flatnonzero(examples.domain_X == d) if balanced else np.arange(len(examples)) for d in domains}
    queues = {d: _endless(examples, chosen, context, seed, d) for d, chosen in member.items()}
    queues = {d: q for d, q in queues.items() if any(split(examples, int(x), context) for x in member[d])}
    if not queues:
        raise ValueError("no example has a token that is learnt")
    drawn = dict.fromkeys(queues, 0)
    while True:
        domain = min(drawn, key=lambda d: (drawn[d], d))
        piece = next(queues[domain])
        drawn[domain] += len(piece)
        yield piece


def _endless(examples: Examples, chosen: np.ndarray, context: int, seed: int, domain: int) -> Iterator[Piece]:
    passes = 0
    while True:
        order = np.random.default_rng([abs(seed), domain + 1, passes]).permutation(chosen)
        for x in order:
            yield from split(examples, int(x), context)
        passes += 1


def split(examples: Examples, x: int, context: int) -> list[Piece]:
    """Example x in parts of at most `context` tokens; parts in which nothing is learnt are left out."""
    begin, end = int(examples.start_X[x]), int(examples.start_X[x + 1])
    parts = [Piece(a, min(a + context, end), int(examples.domain_X[x])) for a in range(begin, end, context)]
    return [p for p in parts if examples.mask_T[p.start + 1 : p.stop].any()]  # the first token is never a target


def pack(pieces: Iterator[Piece], shape: Shape) -> Iterator[list[Row]]:
    """The rows of step 0, 1, 2, ...; what did not fit into a step comes first in the next."""
    waiting: list[Piece] = []
    while True:
        rows, waiting = fill(waiting, pieces, shape)
        yield rows


def fill(waiting: Sequence[Piece], pieces: Iterator[Piece], shape: Shape) -> tuple[list[Row], list[Piece]]:
    """Rows filled by best fit, first with the waiting pieces and then from the stream; and the pieces without room."""
    rows: list[Row] = [[] for _ in range(shape.rows)]
    room = [shape.context] * shape.rows

    def place(piece: Piece) -> bool:
        fitting = [r for r in range(shape.rows) if room[r] >= len(piece)]
        if fitting:
            best = min(fitting, key=room.__getitem__)
            rows[best].append(piece)
            room[best] -= len(piece)
        return bool(fitting)

    held = [p for p in waiting if not place(p)]
    while len(held) < LOOK_AHEAD and max(room) >= SHORTEST:
        piece = next(pieces, None)
        if piece is None:
            break
        if not place(piece):
            held.append(piece)
    return rows, held


def collate_step(
    examples: Examples, parts: Sequence[list[Row]], context: int, pad_id: int, rank: int, size: int
) -> list[PackedBatch]:
    """This rank's micro-batches of a step as tensors, weighted by their share of the step's learnt tokens."""
    learnt = [sum(int(examples.mask_T[p.start + 1 : p.stop].sum()) for row in rows for p in row) for rows in parts]
    total = max(1, sum(learnt))
    return [
        replace(collate(examples, rows, context, pad_id), weight=n / total)
        for rows, n in list(zip(parts, learnt, strict=True))[rank::size]
    ]


def collate(examples: Examples, rows: Sequence[Row], context: int, pad_id: int) -> PackedBatch:
    """Rows of pieces as tensors; padding is a document of its own, so that no document attends to it."""
    shape = (len(rows), context)
    ids, labels = np.full(shape, pad_id, np.int64), np.full(shape, IGNORE, np.int64)
    position, document = np.zeros(shape, np.int64), np.full(shape, -1, np.int64)
    domains: list[int] = []
    for r, row in enumerate(rows):
        at = 0
        for piece in row:
            n = len(piece)
            token = examples.token_T[piece.start : piece.stop]
            learnt = examples.mask_T[piece.start + 1 : piece.stop] == 1
            ids[r, at : at + n] = token
            labels[r, at : at + n - 1] = np.where(learnt, token[1:], IGNORE)
            position[r, at : at + n] = np.arange(n)
            document[r, at : at + n] = len(domains)
            domains.append(piece.domain)
            at += n
        position[r, at:] = np.arange(context - at)
    return PackedBatch(
        *(torch.from_numpy(a) for a in (ids, labels, position, document)),
        domain_D=torch.tensor(domains, dtype=torch.int64),
        weight=1.0,
        num_tokens=int((document >= 0).sum()),
    )
