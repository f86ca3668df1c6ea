"""`pe-ray`: a thin door. Heavy imports stand inside the commands, so that `--help` answers at once.

A file for each group of commands, and `door.py` for what they share. Results go to stdout, everything else to stderr.
Exit codes: 0 done, 1 failed, 2 the input is wrong, 3 a gate was not met.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.exceptions import TyperException

from pe_ray.cli import cluster, training
from pe_ray.cli.corpus import corpus_app, generate_app
from pe_ray.cli.door import AsJson, ConfigFile, DryRun, Overrides, RunId, load_config, overrides, run_job, say
from pe_ray.cli.safety import safety_app
from pe_ray.cli.serving import audit_app, keys_app, progress_app, serve_app
from pe_ray.cli.training import adapters_app, evaluate_app, train_app

if TYPE_CHECKING:
    from pe_ray.run import Run

app = typer.Typer(
    name="pe-ray",
    help="Build, serve and improve a therapeutic language model on Ray.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="What a run can be told.", no_args_is_help=True)


@app.command()
def quickstart(
    config: ConfigFile = None,
    set_: Overrides = None,
    run_id: RunId = None,
    once: Annotated[bool, typer.Option("--once", help="End after the report instead of staying up.")] = False,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """The whole life of a model on this machine, from sources to a served and journalled reply."""
    from pe_ray.config import load
    from pe_ray.quickstart import RUN_FILE, live

    def work(run: Run) -> Path:
        return live(run, stay=not once, say=say)

    settled = load(config or RUN_FILE, overrides(set_, run_id))
    run_job("quickstart", settled, work, as_json, dry_run)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Tell what this machine has, what listens where, and what would stop a run."""
    from pe_ray.doctor import as_dict, diagnose
    from pe_ray.store.paths import Home

    findings = diagnose(Home.find())
    body = as_dict(findings)
    if as_json:
        typer.echo(json.dumps(body, indent=1))
    else:
        for f in findings:
            typer.echo(f"{f.state:<5}{f.subject:<44} {f.detail}")
    if not body["ok"]:
        raise typer.Exit(1)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def bench(ctx: typer.Context) -> None:
    """Measure an area against its peers: `pe-ray bench corpus --json`."""
    from pe_ray.bench.__main__ import main as measure

    raise typer.Exit(measure(ctx.args))


@config_app.command("show")
def config_show(config: ConfigFile = None, set_: Overrides = None) -> None:
    """Print the resolved configuration."""
    from pe_ray.config import dump

    typer.echo(dump(load_config(config, set_, None)), nl=False)


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON Schema of run files, for an editor."""
    from pe_ray.config import Config

    typer.echo(json.dumps(Config.model_json_schema(), indent=1))


for command in (training.tune, training.export, cluster.submit, cluster.status, cluster.logs):
    app.command()(command)
for name, group in (
    ("corpus", corpus_app),
    ("generate", generate_app),
    ("train", train_app),
    ("evaluate", evaluate_app),
    ("adapters", adapters_app),
    ("safety", safety_app),
    ("serve", serve_app),
    ("progress", progress_app),
    ("audit", audit_app),
    ("keys", keys_app),
    ("config", config_app),
):
    app.add_typer(group, name=name)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit; the only place where an error becomes a line and a number."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # stages say themselves how far they are
    try:
        code = app(args=list(argv) if argv is not None else None, standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except TyperException as error:
        say(f"error: {_usage(error)}")
        sys.exit(2)
    except Exception as error:  # noqa: BLE001 (the outermost door)
        sys.exit(_report(error))


def _report(error: Exception) -> int:
    from pe_ray.errors import PeRayError, disk_is_full

    cause = _root(error)
    if os.environ.get("PE_RAY_DEBUG"):
        traceback.print_exception(error)
    if isinstance(cause, PeRayError):
        for line in str(cause).splitlines():
            say(f"error: {line}")
        return cause.exit_code
    if disk_is_full(cause):
        where = f" ({name})" if (name := getattr(cause, "filename", None)) else ""
        say(f"error: the disk is full{where}; make room and run the same again, finished parts are kept")
        return 1
    lines = str(cause).strip().splitlines() or [""]
    say(f"error: {type(cause).__name__}: {lines[0][:300]} (PE_RAY_DEBUG=1 shows where)")
    return 1


def _root(error: BaseException) -> BaseException:
    """What really went wrong, out of the wrappings that Ray puts around an error of a task."""
    from pe_ray.errors import PeRayError, disk_is_full

    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if isinstance(current, PeRayError) or disk_is_full(current):
            return current
        seen.add(id(current))
        inner = getattr(current, "cause", None) or current.__cause__
        failures = getattr(current, "worker_failures", None)  # Ray Train: rank to error
        current = inner or (next(iter(failures.values())) if failures else None)
    return error


def _usage(error: TyperException) -> str:
    text = error.format_message().replace("\n", " ")
    ctx = getattr(error, "ctx", None)
    return f"{text} (see `{ctx.command_path} --help`)" if ctx else text
