"""Records or examples in shuffled batches, streamed from Parquet, and resumed in the middle of an epoch.

    loader = StreamingLoader(corpus_dir, split="train", batch_size=8, shuffle_buffer=2000, seed=7, epochs=3)
    for batch in loader:              # lists of Record, or of Example from an examples directory
        ...
        state = loader.state_dict()   # plain JSON: what comes after this batch, whenever it is asked for

One row group is in memory at a time, and the buffer. How an epoch is shuffled, exactly:

1. The row groups of all files are put into an order that follows from (seed, epoch), and the rows of each into one that
   follows from (seed, epoch, row group). That is the epoch's stream, the same on every rank.
2. Rank r of w takes the rows from r * n // w up to (r + 1) * n // w of the n rows of the stream: no row twice, none
   missing, ranks within one row of each other, and no rank reads a row group that it has no part in.
3. The first `shuffle_buffer` rows fill the buffer. From then on each row drawn is uniform over the buffer's rows, and
   the next of the stream takes its place; when the stream has ended, the buffer is drawn empty in the same way.

`shuffle_buffer=0` leaves everything in the order of the files. A state holds places of the stream, never a text: on
resume the buffer's rows are read again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import copy
from itertools import islice
from pathlib import Path
from typing import Any

from numpy.random import PCG64

from pe_ray.corpus.stream import DRAWS, Row, Store, Stream, below, bits
from pe_ray.errors import UserError
from pe_ray.record import digest

FORMAT = "pe_ray.loader/1"


class StreamingLoader:
    """Batches of one split of a finished corpus, or of its examples; it has one place, which every iteration moves.

    Iterating goes on from that place until `epochs` epochs have been read in all, or without end. The last batch of
    an epoch may be short. Raises ManifestError for a directory that is not finished, UserError for arguments that
    cannot work.
    """

    _epoch: int
    _taken: int
    """Rows read from this rank's part of the stream; those that are not in the buffer were given out."""
    _buffer: list[tuple[int, Row]]
    _stream: Stream
    _draws: PCG64

    def __init__(
        self,
        directory: Path,
        *,
        split: str,
        batch_size: int,
        shuffle_buffer: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        epochs: int | None = None,
    ) -> None:
        _at_least("batch_size", batch_size, 1)
        _at_least("shuffle_buffer", shuffle_buffer, 0)
        _at_least("seed", seed, 0)
        _at_least("world_size", world_size, 1)
        _at_least("rank", rank, 0)
        _at_least("epochs", 1 if epochs is None else epochs, 1)
        if rank >= world_size:
            raise UserError(f"rank={rank}: is not one of the {world_size} ranks from 0 to {world_size - 1}")
        self.batch_size, self.shuffle_buffer, self.seed, self.epochs = batch_size, shuffle_buffer, seed, epochs
        self.rank, self.world_size = rank, world_size
        self._store = Store.open(Path(directory), split)
        if self._store.num_rows < world_size:
            raise UserError(f"split={split}: {self._store.num_rows} rows are too few for world_size={world_size}")
        self._start(epoch=0)

    @property
    def num_rows(self) -> int:
        """Rows that this rank reads in an epoch."""
        first, last = self._range()
        return last - first

    @property
    def epoch(self) -> int:
        """The epoch of the next row, from 0."""
        return self._epoch + self._ended()

    def __iter__(self) -> Iterator[list[Row]]:
        while self.num_rows and (self.epochs is None or self.epoch < self.epochs):
            if self._ended():
                self._start(self._epoch + 1)
            rows = self._rows()
            while batch := list(islice(rows, self.batch_size)):
                yield batch

    def state_dict(self) -> dict[str, Any]:
        """Where the loader is, as JSON can hold it: some bytes for each row of the buffer."""
        places = [place for place, _ in self._buffer]
        state = self._settings() | {"epoch": self._epoch, "taken": self._taken, "buffer": places}
        return state | {"check": _check(state)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state: the batches that follow are those that would have followed there.

        `batch_size` and `epochs` may differ from then. Raises UserError for a state that is damaged, or of other data
        or another order.
        """
        if not _sound(state):
            raise UserError("state: is damaged, or is no state of a loader; give what state_dict() gave back")
        for name, ours in self._settings().items():
            if state[name] != ours:
                raise UserError(
                    f"state: has {name}={state[name]}; this loader has {name}={ours}; they must be the same"
                )
        self._start(state["epoch"])
        self._taken = state["taken"]
        self._buffer = self._stream.fetch(state["buffer"])
        self._draws.advance(self._taken - len(self._buffer))

    def part(self, number: int, of: int) -> StreamingLoader:
        """One of several loaders that share this one's rows out between them, at the start of its epoch."""
        if not self._ended() and self._taken:
            raise UserError(
                f"state: is inside epoch {self._epoch} and cannot be shared out over {of} workers; load it with "
                "num_workers=0, or into the workers' own loaders"
            )
        own = copy(self)
        own.rank, own.world_size = self.rank * of + number, self.world_size * of
        own._start(self.epoch)
        return own

    def torch(self) -> Any:
        """This loader as a torch IterableDataset, for `DataLoader(loader.torch(), batch_size=None, num_workers=...)`.

        Each worker reads its part of the rank's rows. With workers, the state is theirs: a DataLoader that asks its
        workers for it (torchdata's StatefulDataLoader) resumes; without workers, this loader's own state does.
        """
        return torch_dataset(self)

    def _rows(self) -> Iterator[Row]:
        """The rest of the epoch; all that it changes is in the loader before a row is given out."""
        first, last = self._range()
        buffer, size = self._buffer, max(self.shuffle_buffer, 1)
        for item in self._stream.read(first + self._taken, last):
            self._taken += 1
            if len(buffer) < size:
                buffer.append(item)
                continue
            drawn = below(self._draws, len(buffer))
            (_, row), buffer[drawn] = buffer[drawn], item
            yield row
        while buffer:
            drawn = below(self._draws, len(buffer))
            buffer[drawn], buffer[-1] = buffer[-1], buffer[drawn]
            yield buffer.pop()[1]

    def _start(self, epoch: int) -> None:
        seed = self.seed if self.shuffle_buffer else None
        self._epoch, self._taken = epoch, 0
        self._buffer = []
        self._stream = Stream(self._store, seed, epoch)
        self._draws = bits(self.seed, epoch, DRAWS, self.rank, self.world_size)

    def _ended(self) -> bool:
        return self._taken == self.num_rows and not self._buffer

    def _range(self) -> tuple[int, int]:
        rows = self._store.num_rows
        return self.rank * rows // self.world_size, (self.rank + 1) * rows // self.world_size

    def _settings(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "data": self._store.identity,
            "split": self._store.split,
            **{name: getattr(self, name) for name in ("seed", "shuffle_buffer", "rank", "world_size")},
        }


def torch_dataset(loader: StreamingLoader) -> Any:
    """A torch IterableDataset over a loader; the class is made here so that only its users import torch."""
    from torch.utils.data import IterableDataset, get_worker_info

    class Batches(IterableDataset[list[Row]]):
        """In a worker it is that worker's part, from the first use there."""

        def __init__(self) -> None:
            self.own: StreamingLoader | None = None

        def _loader(self) -> StreamingLoader:
            worker = get_worker_info()
            if self.own is None:
                self.own = loader if worker is None else loader.part(worker.id, worker.num_workers)
            return self.own

        def __iter__(self) -> Iterator[list[Row]]:
            return iter(self._loader())

        def state_dict(self) -> dict[str, Any]:
            return self._loader().state_dict()

        def load_state_dict(self, state: Mapping[str, Any]) -> None:
            self._loader().load_state_dict(state)

        def __reduce__(self) -> Any:
            return torch_dataset, (loader,)  # a worker that was spawned makes its own

    return Batches()


def _check(state: Mapping[str, Any]) -> str:
    return digest(json.dumps(state, sort_keys=True))


def _sound(state: Any) -> bool:
    """Whether `state_dict` gave this back, to the last digit."""
    try:
        return bool(state["check"] == _check({k: v for k, v in state.items() if k != "check"}))
    except (AttributeError, KeyError, TypeError, ValueError):
        return False  # no mapping, without a check, or with what JSON cannot hold


def _at_least(name: str, value: int, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UserError(f"{name}={value}: a whole number of at least {least} is wanted")
