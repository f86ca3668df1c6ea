from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_ray.corpus.loader import StreamingLoader
from pe_ray.corpus.stream import Stream, below, bits
from pe_ray.errors import ManifestError, UserError
from pe_ray.record import DOMAINS, Example, Record
from pe_ray.store import manifest
from tests.corpus.finished import every, examples, snapshot, talk

ROWS = 97
SHUFFLED = {"split": "train", "batch_size": 4, "shuffle_buffer": 10, "seed": 7, "epochs": 1}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three files of several row groups, each with rows of both splits."""
    folder = tmp_path_factory.mktemp("loader")
    return snapshot(folder, [talk(i) for i in range(ROWS)], file_rows=40, group_rows=9)


@pytest.fixture(scope="module")
def by_size(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Corpora of several sizes, all of them for training."""
    folder = tmp_path_factory.mktemp("sizes")
    return {
        n: snapshot(folder / str(n), [talk(i) for i in range(n)], lambda _: "train", file_rows=11, group_rows=3)
        for n in (1, 2, 7, 23, 40)
    }


def loader(directory: Path, **over: Any) -> StreamingLoader:
    return StreamingLoader(directory, **(SHUFFLED | over))


def offsets(batches: Any) -> list[int]:
    return [record.offset for batch in batches for record in batch]


def of_split(split: str) -> set[int]:
    return {i for i in range(ROWS) if every(i) == split}


@pytest.mark.parametrize("split", ["train", "validation"])
def test_an_epoch_holds_every_record_of_the_split_once(corpus: Path, split: str) -> None:
    batches = list(loader(corpus, split=split))
    assert sorted(offsets(batches)) == sorted(of_split(split))
    assert [len(b) for b in batches[:-1]] == [4] * (len(batches) - 1)
    assert batches[0][0] == talk(batches[0][0].offset)


def test_examples_are_read_as_examples(tmp_path: Path) -> None:
    directory = snapshot(tmp_path, [talk(1)])
    found = [Example(tuple(range(i + 1)), (1,) * (i + 1), DOMAINS[i % 4], f"{i:032x}") for i in range(30)]
    folder = examples(directory, found)
    read = [e for batch in loader(folder) for e in batch]
    assert sorted(read, key=lambda e: e.record_id) == [e for i, e in enumerate(found) if every(i) == "train"]


def test_the_order_follows_from_the_seed_and_differs_by_epoch(corpus: Path) -> None:
    first, second = batched_epochs(loader(corpus, epochs=2))
    assert offsets(loader(corpus)) == first
    assert sorted(first) == sorted(second)
    orders = [first, second, offsets(loader(corpus, seed=8)), sorted(first)]
    assert len({tuple(o) for o in orders}) == 4


def batched_epochs(one: StreamingLoader) -> list[list[int]]:
    rows = offsets(one)
    assert len(rows) % one.num_rows == 0
    return [rows[i : i + one.num_rows] for i in range(0, len(rows), one.num_rows)]


def test_without_a_buffer_the_order_is_that_of_the_files(corpus: Path) -> None:
    in_order = sorted(of_split("train"))
    assert offsets(loader(corpus, shuffle_buffer=0, epochs=2)) == in_order * 2


def test_a_batch_does_not_reach_over_the_end_of_an_epoch(corpus: Path) -> None:
    sizes = [len(b) for b in loader(corpus, batch_size=30, epochs=2)]
    assert sizes == [30, 30, 18] * 2


def test_a_loader_without_end_goes_on(by_size: dict[int, Path]) -> None:
    endless = loader(by_size[7], epochs=None, batch_size=7)
    assert [sorted(offsets([b])) for b in islice(endless, 5)] == [list(range(7))] * 5
    assert endless.epoch == 5


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_resumed_run_is_the_rest_of_an_unbroken_one(by_size: dict[int, Path], data: st.DataObject) -> None:
    size = data.draw(st.sampled_from(sorted(by_size)))
    options = {
        "batch_size": data.draw(st.integers(1, 9)),
        "shuffle_buffer": data.draw(st.sampled_from([0, 1, 2, 5, 16, 100])),
        "seed": data.draw(st.integers(0, 2**40)),
        "epochs": data.draw(st.integers(1, 3)),
    }
    unbroken = list(loader(by_size[size], **options))
    assert Counter(offsets(unbroken)) == dict.fromkeys(range(size), options["epochs"])
    cut = data.draw(st.integers(0, len(unbroken)))
    broken = loader(by_size[size], **options)
    before = list(islice(broken, cut))
    state = json.loads(json.dumps(broken.state_dict()))
    resumed = loader(by_size[size], **options)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    assert before + list(resumed) == unbroken
    assert before + list(broken) == unbroken  # and a loader that was asked for its state goes on as before


def test_a_state_may_be_read_on_in_other_batches(corpus: Path) -> None:
    started = loader(corpus)
    head = offsets(islice(started, 5))
    resumed = loader(corpus, batch_size=11)
    resumed.load_state_dict(started.state_dict())
    assert head + offsets(resumed) == offsets(loader(corpus))


@pytest.mark.parametrize("world_size", [2, 3, 8])
def test_ranks_share_an_epoch_without_overlap_or_loss(corpus: Path, world_size: int) -> None:
    ranks = [loader(corpus, rank=r, world_size=world_size) for r in range(world_size)]
    sizes = [r.num_rows for r in ranks]
    read = [offsets(r) for r in ranks]
    assert [len(r) for r in read] == sizes
    assert max(sizes) - min(sizes) <= 1
    assert sorted(i for part in read for i in part) == sorted(of_split("train"))


def test_a_rank_resumes_inside_its_part(corpus: Path) -> None:
    options = {"rank": 1, "world_size": 3, "epochs": 2}
    unbroken = offsets(loader(corpus, **options))
    started = loader(corpus, **options)
    head = offsets(islice(started, 9))
    resumed = loader(corpus, **options)
    resumed.load_state_dict(started.state_dict())
    assert head + offsets(resumed) == unbroken


def test_a_state_holds_places_and_no_text(corpus: Path) -> None:
    started = loader(corpus, shuffle_buffer=20)
    next(iter(started))
    state = started.state_dict()
    assert len(state["buffer"]) == 20
    assert all(type(place) is int for place in state["buffer"])
    assert "Yes" not in json.dumps(state)


def test_what_is_no_state_of_this_loader_is_refused_in_a_line(corpus: Path, by_size: dict[int, Path]) -> None:
    started = loader(corpus)
    next(iter(started))
    state = started.state_dict()
    for damaged in (
        {},
        None,
        [],
        {**state, "taken": 5},
        {**state, "check": ""},
        {**state, "buffer": {1}},
        {"check": ""},
    ):
        with pytest.raises(UserError, match=r"^state: is damaged[^\n]*$"):
            loader(corpus).load_state_dict(damaged)  # type: ignore[arg-type]
    others = {
        "data": loader(by_size[23]),
        "split": loader(corpus, split="validation"),
        "seed": loader(corpus, seed=8),
        "shuffle_buffer": loader(corpus, shuffle_buffer=11),
        "world_size": loader(corpus, world_size=2),
    }
    for name, other in others.items():
        with pytest.raises(UserError, match=rf"^state: has {name}=[^\n]*must be the same$"):
            other.load_state_dict(state)
        assert offsets(other)[:1] != [], "a refused state leaves the loader usable"


def test_the_same_content_elsewhere_takes_the_state(corpus: Path, tmp_path: Path) -> None:
    import shutil

    started = loader(corpus)
    next(iter(started))
    shutil.copytree(corpus, tmp_path / "moved")
    resumed = loader(tmp_path / "moved")
    resumed.load_state_dict(started.state_dict())
    assert offsets(resumed) == offsets(started)


def test_arguments_that_cannot_work_are_named(corpus: Path, tmp_path: Path) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"split": "trian"}, "split=trian: .* has no rows of it"),
        ({"batch_size": 0}, "batch_size=0: a whole number of at least 1"),
        ({"batch_size": 2.0}, r"batch_size=2\.0"),
        ({"shuffle_buffer": -1}, "shuffle_buffer=-1"),
        ({"seed": -3}, "seed=-3"),
        ({"epochs": 0}, "epochs=0"),
        ({"rank": 2, "world_size": 2}, "rank=2: is not one of the 2 ranks from 0 to 1"),
        ({"split": "validation", "world_size": 50}, "19 rows are too few for world_size=50"),
    ]
    for over, said in wrong:
        with pytest.raises(UserError, match=said):
            loader(corpus, **over)
    with pytest.raises(ManifestError, match="never finished"):
        loader(tmp_path)
    with manifest.stage(tmp_path / "run", kind="export", parents={}):
        pass
    with pytest.raises(ManifestError, match="holds a export; a corpus or its examples are wanted"):
        loader(tmp_path / "run")


def test_one_row_group_is_read_at_a_time(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pe_ray.corpus.stream import Store

    sizes: list[int] = []
    read = Store.read

    def counted(self: Store, group: Any, chosen: Any) -> Any:
        sizes.append(len(chosen))
        return read(self, group, chosen)

    monkeypatch.setattr(Store, "read", counted)
    batches = iter(loader(corpus, shuffle_buffer=3, batch_size=1))
    next(batches)
    assert len(sizes) == 1
    list(batches)
    assert max(sizes) <= 9
    assert sum(sizes) == len(of_split("train"))


def test_the_buffer_draws_evenly() -> None:
    generator = bits(1, 2, 3)
    counts = Counter(below(generator, 5) for _ in range(5000))
    assert set(counts) == set(range(5))
    assert all(abs(n - 1000) < 150 for n in counts.values())


def test_the_order_of_an_epoch_is_written_in_stone(corpus: Path) -> None:
    """A state outlives an upgrade of NumPy only if the order does."""
    assert offsets(loader(corpus))[:6] == [30, 53, 57, 52, 35, 32]


def test_torch_reads_batches_through_workers(corpus: Path) -> None:
    from torch.utils.data import DataLoader

    whole = loader(corpus)
    alone = list(DataLoader(loader(corpus).torch(), batch_size=None))
    assert alone == list(whole)
    shared = list(DataLoader(loader(corpus).torch(), batch_size=None, num_workers=2))
    assert sorted(offsets(shared)) == sorted(of_split("train"))
    assert all(isinstance(r, Record) for batch in shared for r in batch)


def test_a_state_inside_an_epoch_is_not_shared_out(corpus: Path) -> None:
    started = loader(corpus)
    dataset = started.torch()
    next(iter(dataset))
    state = dataset.state_dict()
    assert state == started.state_dict()
    with pytest.raises(UserError, match="is inside epoch 0 and cannot be shared out over 2 workers"):
        started.part(0, 2)
    resumed = loader(corpus).torch()
    resumed.load_state_dict(state)
    assert list(resumed) == list(started)
    assert started.part(0, 2).epoch == 1


def test_a_dataset_travels_to_a_spawned_worker(corpus: Path) -> None:
    import pickle

    assert list(pickle.loads(pickle.dumps(loader(corpus).torch()))) == list(loader(corpus))


def test_a_stream_fetches_what_it_read(corpus: Path) -> None:
    store = loader(corpus)._store
    stream = Stream(store, 5, 2)
    read = list(stream.read(3, 60))
    places = [50, 3, 17, 59, 18]
    assert stream.fetch(places) == [read[p - 3] for p in places]
    assert stream.fetch([]) == []
