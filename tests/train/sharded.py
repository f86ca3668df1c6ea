"""One rank of a run over two gloo processes: `python -m tests.train.sharded RANK PORT OUT`; it writes what it saw."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

from pe_ray.model.inject import inject, trainable
from pe_ray.train.checkpoint import Checkpoints
from pe_ray.train.collective import Collective, Distributed
from pe_ray.train.objective import Experts
from pe_ray.train.shard import shard
from tests.model import bases
from tests.train.toy import toy_fit, toy_settings

STEPS, HALF = 6, 3


def losses(directory: Path, collective: Collective | None, stop_at: int, *, sharded: bool = False) -> list[float]:
    """The losses of a run without dropout that goes on from whatever checkpoint is in `directory`."""
    torch.manual_seed(0)
    config = bases.experts_config()
    model = inject(bases.dense_model(), config, seed=1)
    if sharded:
        shard(model)
        frozen = sum(p.to_local().numel() for p in model.parameters() if hasattr(p, "to_local"))
        whole = sum(p.numel() for p in model.parameters() if hasattr(p, "to_local"))
        assert 0.45 * whole < frozen < 0.55 * whole and not any(
            hasattr(p, "to_local") for p in trainable(model).values()
        )
    lines: list[dict] = []
    toy_fit(model, objective=Experts(config), collective=collective, checkpoints=Checkpoints(directory, parents={}),
            evaluation=[], on_step=lines.append, settings=toy_settings(steps=STEPS),
            stop_asked=lambda: len(lines) >= stop_at - 1)  # fmt: skip
    return [line["loss"] for line in lines]


def main(rank: int, port: str, out: Path) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, RANK=str(rank), WORLD_SIZE="2")
    torch.distributed.init_process_group("gloo")
    found = {
        "replicated": losses(out / "replicated", Distributed(), STEPS),
        "sharded": losses(out / "sharded", Distributed(), HALF, sharded=True),
    }
    torch.distributed.barrier()
    if rank == 0:
        (out / "found.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
