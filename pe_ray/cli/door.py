"""What every command shares: its options, how a job is run and printed, where newest things are found."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pe_ray.config import Config
    from pe_ray.run import Run
    from pe_ray.store.paths import Home

ConfigFile = Annotated[Path | None, typer.Option("--config", help="Run file (YAML); see jobs/configs/.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="section.field=value; may stand several times.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and written; do nothing.")]
RunId = Annotated[str | None, typer.Option("--run-id", help="Name of the run; the same name resumes.")]


def say(text: str) -> None:
    """A line for the person who waits; never part of the result."""
    print(text, file=sys.stderr, flush=True)


def overrides(set_: list[str] | None, run_id: str | None) -> list[str]:
    return [*(set_ or []), *([f"run_id={json.dumps(run_id)}"] if run_id else [])]


def load_config(config: Path | None, set_: list[str] | None, run_id: str | None) -> Config:
    from pe_ray.config import load

    return load(config, overrides(set_, run_id))


def newest(home: Home, name: str | None) -> Path:
    """The newest finished snapshot of a corpus, or of all."""
    from pe_ray.errors import UserError

    found = [p.parent for p in (home.root / "corpora").glob(f"{name or '*'}/*/records")]
    newest = sorted((p for p in found if not p.name.startswith(".")), key=lambda p: p.stat().st_mtime)
    if not newest:
        raise UserError(
            f"name={name or 'any'}: no finished corpus under {home.root / 'corpora'}; run `pe-ray corpus build`"
        )
    return newest[-1]


def run_job(job: str, config: Config, work: Callable[[Run], Path], as_json: bool, dry_run: bool) -> None:
    """Run one job inside its run directory; print the path of its summary last, or the whole document."""
    from pe_ray.config import dump
    from pe_ray.run import Run
    from pe_ray.store.paths import Home

    home = Home.find()
    if dry_run:
        say(f"{job}: would write under {home.root}; nothing is done. The resolved configuration:")
        typer.echo(dump(config), nl=False)
        return
    with stdout_kept() as out:
        with Run(job, config, home) as run:
            path = work(run)
        if as_json:
            out.write(json.dumps({**json.loads(path.read_text()), "summary_path": str(path)}, indent=1) + "\n")
        else:
            out.write(f"{path}\n")
        out.flush()


@contextmanager
def stdout_kept() -> Iterator[Any]:
    """Yield the real stdout while file descriptor 1 goes to stderr: libraries and Ray print where they like."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(kept), "w") as out:
            yield out
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
