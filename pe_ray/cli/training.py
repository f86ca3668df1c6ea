"""Commands that choose a profile, train, measure and export."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pe_ray.cli.door import (
    AsJson,
    ConfigFile,
    DryRun,
    Overrides,
    RunId,
    load_config,
    overrides,
    run_job,
    say,
    stdout_kept,
)

if TYPE_CHECKING:
    from pe_ray.store.paths import Home

train_app = typer.Typer(help="Train the experts, and look after a run.", invoke_without_command=True)
evaluate_app = typer.Typer(help="Measure a model on what it was not trained on.", no_args_is_help=True)
adapters_app = typer.Typer(help="What has been exported.", no_args_is_help=True)


def tune(
    config: ConfigFile = None,
    set_: Overrides = None,
    run_id: RunId = None,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Measure the profiles on this machine and choose one."""
    from pe_ray import quickstart

    run_job("tune", load_config(config, set_, run_id), lambda run: quickstart.tune_job(run, say), as_json, dry_run)


@train_app.callback()
def train(
    ctx: typer.Context,
    config: ConfigFile = None,
    set_: Overrides = None,
    run_id: RunId = None,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Train the experts inside the wall-clock window; the same --run-id resumes."""
    if ctx.invoked_subcommand is not None:
        return
    from pe_ray import quickstart

    run_job("train", load_config(config, set_, run_id), lambda run: quickstart.train_job(run, say), as_json, dry_run)


@train_app.command("estimate")
def train_estimate(
    config: ConfigFile = None,
    set_: Overrides = None,
    no_measure: Annotated[bool, typer.Option("--no-measure", help="From FLOPs and --tflops; nothing is run.")] = False,
    seconds: Annotated[float, typer.Option("--seconds", help="Time for the calibration steps.")] = 20.0,
    tflops: Annotated[float | None, typer.Option("--tflops", help="Rate of a worker, for --no-measure.")] = None,
    peak_tflops: Annotated[
        float | None, typer.Option("--peak-tflops", help="What the utilisation is a share of.")
    ] = None,
    price_per_hour: Annotated[float | None, typer.Option("--price-per-hour", help="Of all that the run uses.")] = None,
    as_json: AsJson = False,
) -> None:
    """How long a run takes, what it needs and costs, and whether the window holds it."""
    from dataclasses import asdict

    from pe_ray import quickstart
    from pe_ray.train import estimate

    settled = load_config(config, set_, None)
    options = {"tflops": tflops, "peak_tflops": peak_tflops, "price_per_hour": price_per_hour}
    found = quickstart.estimate_job(settled, say, measure=not no_measure, seconds=seconds, **options)
    typer.echo(json.dumps(asdict(found), indent=1) if as_json else estimate.text(found))


@train_app.command("watch")
def train_watch(
    run_id: Annotated[str, typer.Argument(help="The run.")],
    once: Annotated[bool, typer.Option("--once", help="Print one frame.")] = False,
    as_json: AsJson = False,
) -> None:
    """A live table of a run, until it ends."""
    from dataclasses import asdict

    from pe_ray.store.paths import Home
    from pe_ray.train.view import Watched
    from pe_ray.train.watch import watch

    if as_json:
        typer.echo(json.dumps(asdict(Watched(Home.find(), run_id).look()), indent=1, default=str))
    else:
        watch(Home.find(), run_id, once=once)


@train_app.command("rollback")
def train_rollback(
    run_id: Annotated[str, typer.Argument(help="The run.")],
    to: Annotated[int, typer.Option("--to", help="Step of a finished checkpoint.")],
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Put a run back to an earlier checkpoint; what is newer is moved aside."""
    from dataclasses import asdict

    from pe_ray.store.paths import Home
    from pe_ray.train.rollback import rollback

    found = rollback(Home.find(), run_id, to, dry_run=dry_run)
    typer.echo(json.dumps(asdict(found), indent=1, default=str) if as_json else found.text())


@evaluate_app.command("model")
def evaluate_model(
    run_id: Annotated[str | None, typer.Option("--run-id", help="Training run; its best checkpoint is taken.")] = None,
    adapter: Annotated[str | None, typer.Option("--adapter", help="Directory, name, name@version or latest.")] = None,
    corpus: Annotated[
        Path | None, typer.Option("--corpus", help="Finished corpus; else the one it learnt from.")
    ] = None,
    split: Annotated[str, typer.Option("--split", help="validation or test.")] = "validation",
    max_tokens: Annotated[int, typer.Option("--max-tokens", help="Most tokens read of each domain.")] = 100_000,
    seed: Annotated[int, typer.Option("--seed", help="Of the documents chosen and the permutations.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Loss by domain, routing and the bias task on held-out records, beside the base and each expert alone."""
    from pe_ray.evaluate import text
    from pe_ray.evaluate.model import evaluate_model as measure
    from pe_ray.store.paths import Home

    asked = {"run_id": run_id, "adapter_ref": adapter, "corpus_dir": corpus}
    with stdout_kept() as out:
        found = measure(Home.find(), **asked, split=split, max_tokens=max_tokens, seed=seed)
        out.write((json.dumps(found, indent=1, allow_nan=False) if as_json else text.of_model(found)) + "\n")
        out.flush()


@evaluate_app.command("validators")
def evaluate_validators(
    only: Annotated[
        str, typer.Option("--only", help="Parts, with commas: crisis, bias, mismatch, emotion, replies, dedup, pii.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """What each validator is worth on the labelled sets in PE_RAY_DATA; 3 where a figure misses its bound."""
    from pe_ray.evaluate import validators

    chosen = [name.strip() for name in only.split(",") if name.strip()]
    _measured(lambda: validators.document(chosen, say), as_json, validators.text)


@evaluate_app.command("safety")
def evaluate_safety(as_json: AsJson = False) -> None:
    """Triage and replies on the project's own suites, beside the first run; 3 where a figure misses its bound."""
    from pe_ray.evaluate import safety, safety_table

    _measured(safety.document, as_json, safety_table.text)


def _measured(measure: Callable[[], dict[str, Any]], as_json: bool, text: Callable[[dict[str, Any]], str]) -> None:
    """Print a document of figures, then fail where one misses its bound."""
    from pe_ray.errors import GateNotMet
    from pe_ray.evaluate.validators import failed

    with stdout_kept() as out:
        found = measure()
        out.write((json.dumps(found, indent=1, allow_nan=False) if as_json else text(found)) + "\n")
        out.flush()
    if missed := failed(found):
        raise GateNotMet(f"below their bound: {', '.join(missed)}")


def export(
    run_id: Annotated[str, typer.Option("--run-id", help="The training run whose best checkpoint is exported.")],
    set_: Overrides = None,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Write the adapter and the stock mixture-of-experts checkpoint of a training run."""
    from pe_ray import quickstart

    settled = quickstart.config_of_run(run_id, overrides(set_, None))
    run_job("export", settled, lambda run: quickstart.export_job(run, run_id), as_json, dry_run)


@adapters_app.command("list")
def adapters_list(as_json: AsJson = False) -> None:
    """List finished adapters and merged models."""
    from pe_ray.store import manifest
    from pe_ray.store.paths import Home

    home, rows = Home.find(), []
    for kind in ("adapters", "models"):
        for name in home.names(kind):
            for version in home.versions(kind, name):
                path = home.root / kind / name / str(version)
                found = manifest.read(path)
                parent = found.parents.get("run", "")
                rows.append(
                    {
                        "ref": f"{name}@{version}",
                        "form": found.kind,
                        "run": parent,
                        "created_at": found.created_at,
                        "path": str(path),
                    }
                )
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    for row in () if as_json else rows:
        typer.echo(f"{row['ref']:<24}{row['form']:<10}{row['run']:<36}{row['created_at']}  {row['path']}")
    if not rows and not as_json:
        say("none yet; run `pe-ray train`, then `pe-ray export`")


@adapters_app.command("to-peft")
def adapters_to_peft(
    ref: Annotated[str, typer.Argument(help="Adapter: directory, name, name@version or latest.")],
    expert: Annotated[str, typer.Option("--expert", help="Which one.")],
    out: Annotated[Path, typer.Option("--out", help="Directory to write.")],
) -> None:
    """Write one expert by itself as an ordinary PEFT adapter."""
    from pe_ray.model.peft import to_peft
    from pe_ray.store.paths import Home

    to_peft(Home.find().resolve_model(ref, "adapter"), expert, out)
    typer.echo(out.absolute())


@adapters_app.command("combine")
def adapters_combine(
    refs: Annotated[list[str], typer.Option("--of", help="REF=WEIGHT, for example a@1=0.7; stands twice or more.")],
    name: Annotated[str, typer.Option("--name", help="Of the adapter that is written; its next version.")],
) -> None:
    """Write the weighted sum of adapters over one base."""
    from pe_ray.errors import UserError
    from pe_ray.model.combine import combine
    from pe_ray.store.paths import Home

    home, parts = Home.find(), []
    for ref in refs:
        text, _, weight = ref.rpartition("=")
        try:
            parts.append((home.resolve_model(text, "adapter"), float(weight)))
        except ValueError:
            raise UserError(f"--of {ref}: give REF=WEIGHT, for example therapist@1=0.7") from None
    typer.echo(_derived(home, name, [p for p, _ in parts], lambda out: combine(parts, out)))


@adapters_app.command("add-expert")
def adapters_add_expert(
    ref: Annotated[str, typer.Argument(help="Adapter: directory, name, name@version or latest.")],
    expert: Annotated[str, typer.Argument(help="Name of the further expert.")],
    like: Annotated[str, typer.Option("--like", help="Expert that it begins as a copy of.")],
    name: Annotated[str, typer.Option("--name", help="Of the adapter that is written; its next version.")],
) -> None:
    """Write an adapter with one expert more; train it with train.start_from."""
    from pe_ray.model.combine import add_expert
    from pe_ray.store.paths import Home

    home = Home.find()
    path = home.resolve_model(ref, "adapter")
    typer.echo(_derived(home, name, [path], lambda out: add_expert(path, expert, out, like=like)))


def _derived(home: Home, name: str, origins: list[Path], make: Callable[[Path], object]) -> Path:
    """Write the next version of an adapter that is made of others; its manifest names them."""
    from pe_ray.store import manifest

    version = home.next_version(name)
    found = [manifest.read(p, "adapter") for p in origins]
    parents = {k: v for k, v in found[0].parents.items() if all(m.parents.get(k) == v for m in found)}
    parents |= {f"adapter.{i}": f"{p.parent.name}@{p.name}" for i, p in enumerate(origins)}
    with manifest.stage(home.adapter(name, version), kind="adapter", parents=parents) as stage:
        make(stage.path)
        stage.facts.update(found[0].facts, name=name, version=version)
    return home.adapter(name, version)
