"""Commands that build a corpus, look at it, and write records for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pe_ray.cli.door import AsJson, ConfigFile, DryRun, Overrides, RunId, load_config, newest, run_job, say
from pe_ray.cli.review import review_app

if TYPE_CHECKING:
    from pe_ray.config import Config

corpus_app = typer.Typer(help="Build and look at a corpus.", no_args_is_help=True)
corpus_app.add_typer(review_app, name="review")
generate_app = typer.Typer(
    help="Write records with a language model, held for review where they must be.", no_args_is_help=True
)


@corpus_app.command("build")
def corpus_build(
    config: ConfigFile = None,
    set_: Overrides = None,
    run_id: RunId = None,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Read, clean, check, de-duplicate and balance the sources into a snapshot."""
    from pe_ray import quickstart

    run_job("corpus", load_config(config, set_, run_id), lambda run: quickstart.corpus_job(run, say), as_json, dry_run)


@corpus_app.command("report")
def corpus_report(
    name: Annotated[str | None, typer.Argument(help="Corpus name; the newest snapshot of it, or of all.")] = None,
    over_runs: Annotated[bool, typer.Option("--history", help="A table over the corpus' snapshots instead.")] = False,
    last: Annotated[int, typer.Option("--last", min=1, help="With --history: how many, the newest.")] = 6,
    as_json: AsJson = False,
) -> None:
    """Print the path of the newest snapshot's report, or how quality moved from snapshot to snapshot."""
    from pe_ray.store.paths import Home

    home = Home.find()
    path = newest(home, name)
    if not over_runs:
        typer.echo(json.dumps({"report": str(path / "report.html")}) if as_json else path / "report.html")
        return
    from pe_ray.corpus import history

    found = history.history(home, path.parent.name)[-last - 1 :]  # the first shown is compared with one before it
    if as_json:
        typer.echo(json.dumps({"corpus": path.parent.name, "snapshots": history.as_dicts(found)[-last:]}, indent=1))
        return
    for row in history.table(found, last):
        typer.echo(f"{row[0]:<26}" + "".join(f"{cell:>18}" for cell in row[1:]))
    for words in history.words(found, last):
        typer.echo(words)


@corpus_app.command("explain")
def corpus_explain(
    record: Annotated[str, typer.Argument(help="A record's id or its beginning, or file:line of a row.")],
    name: Annotated[str | None, typer.Option("--corpus", help="Corpus name; else the newest that knows it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell a record's whole story: as read, what changed, verdicts, cluster, decision, where it went."""
    from dataclasses import asdict

    from pe_ray.corpus import explain
    from pe_ray.store.paths import Home

    story = explain.explain(Home.find(), record, name)
    text = json.dumps(asdict(story), indent=1, ensure_ascii=False) if as_json else "\n".join(explain.lines(story))
    typer.echo(text)


@corpus_app.command("export")
def corpus_export(
    form: Annotated[str, typer.Argument(help="jsonl, json, csv, messages or hdf5.")],
    name: Annotated[
        str | None, typer.Option("--corpus", help="Corpus name; the newest snapshot of it, or of all.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder; else exports/ beside the snapshot.")] = None,
) -> None:
    """Write a snapshot in another form and print where it is."""
    from pe_ray.corpus.formats import export as write
    from pe_ray.store.paths import Home

    typer.echo(write(newest(Home.find(), name), form, out))


@generate_app.command("edge-cases")
def generate_edge_cases(
    config: ConfigFile = None, set_: Overrides = None, as_json: AsJson = False, dry_run: DryRun = False
) -> None:
    """Write edge cases, by category and difficulty, with a language model or from templates; the same again resumes."""
    _generate("edge-cases", load_config(config, set_, None), as_json, dry_run)


@generate_app.command("personas")
def generate_personas(
    config: ConfigFile = None, set_: Overrides = None, as_json: AsJson = False, dry_run: DryRun = False
) -> None:
    """Write dialogues between two personas from the store of persona cards; the same again resumes."""
    _generate("personas", load_config(config, set_, None), as_json, dry_run)


def _generate(kind: str, config: Config, as_json: bool, dry_run: bool) -> None:
    from pe_ray.corpus import generate
    from pe_ray.store.paths import Home

    if dry_run:
        say(generate.plan(kind, config.generate, Home.find()))
        return
    result = generate.run(kind, config.generate, Home.find(), say)
    typer.echo(json.dumps({**result.summary, "path": str(result.path)}, indent=1) if as_json else str(result.path))
