"""A run that is killed without warning: `python -m tests.train.killed HOME EXAMPLES BASE RUN_ID STEP`.

The process sends itself SIGKILL when the line of STEP is in the log; nothing of it is cleaned up.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tests.train.conftest import KILLED, make_config


def main(home: str, examples: str, base: str, run_id: str, step: str) -> None:
    from pe_ray.store.paths import Home
    from pe_ray.train.run import train

    def on_step(line) -> None:
        if line["step"] == int(step):
            os.kill(os.getpid(), signal.SIGKILL)

    train(make_config(**KILLED), Path(examples), base, Home.at(home), run_id, on_step=on_step)


if __name__ == "__main__":
    main(*sys.argv[1:])
