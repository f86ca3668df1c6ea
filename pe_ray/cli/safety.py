"""Commands about the judges of text: train one, list what ships, ask one, look for groups tied to an outcome."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pe_ray.cli.door import AsJson, DryRun, newest, say

safety_app = typer.Typer(help="Train and ask the small models that judge texts.", no_args_is_help=True)


@safety_app.command("train")
def safety_train(
    task: Annotated[str, typer.Argument(help="What to learn; `pe-ray safety list` tells the tasks.")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder; else models/safety/ under PE_RAY_HOME.")] = None,
    encoder: Annotated[
        Path | None, typer.Option("--encoder", help="Folder of a Transformer whose vectors are learnt from.")
    ] = None,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Train a task's model on public data, measure it, and write it with its card; the same again gives the same."""
    from pe_ray.safety.learn.model import read_card
    from pe_ray.safety.learn.task import find
    from pe_ray.safety.learn.train import located, train
    from pe_ray.store.paths import Home

    told = find(task)
    folder = out or Home.find().root / "models" / "safety" / told.name
    root = located(told)
    if dry_run:
        say(f"{told.name}@{told.version}: would read {', '.join(s.path for s in told.sources)} and write {folder}")
        return
    train(told, folder, root, say, encoder=encoder)
    card = read_card(folder)
    typer.echo(json.dumps({**card, "path": str(folder)}, indent=1) if as_json else str(folder))


@safety_app.command("list")
def safety_list(as_json: AsJson = False) -> None:
    """Tell the tasks, the models that ship, and their main figures."""
    from pe_ray.safety.learn import model, task

    shipped = [model.read_card(model.shipped() / name) for name in model.names()]
    body = {
        "tasks": task.names(),
        "models": [
            {
                "name": f"{card['task']}@{card['version']}",
                "purpose": card["purpose"],
                "bytes": card["weights"]["bytes"],
                "licences": sorted({d["licence"] for d in card["data"]}),
                "figures": card["figures"],
            }
            for card in shipped
        ],
    }
    typer.echo(json.dumps(body, indent=1) if as_json else "\n".join(_listed(body)))


@safety_app.command("judge")
def safety_judge(
    text: Annotated[str, typer.Argument(help="What to judge.")],
    task: Annotated[str, typer.Option("--task", help="A task of which a model ships.")] = "emotion",
    model: Annotated[Path | None, typer.Option("--model", help="Folder of another model.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask one model about one text. The text is kept nowhere."""
    from dataclasses import asdict

    from pe_ray.safety.learn import load

    judge = load(model or task)
    (found,) = judge.judge([text])
    if as_json:
        typer.echo(json.dumps({"model": judge.name, **asdict(found)}, indent=1))
        return
    if found.abstained:
        typer.echo(f"{judge.name} abstains: {found.reason}")
    for name, probability in sorted(found.scores.items(), key=lambda pair: -pair[1])[:5]:
        typer.echo(f"{probability:.3f} {name}{' *' if name in found.labels else ''}")


@safety_app.command("fairness")
def safety_fairness(
    name: Annotated[
        str | None, typer.Option("--corpus", help="Corpus name, its newest snapshot; else a planted bias is shown.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look for groups that a corpus ties to a worse outcome; without a corpus, find and mitigate a planted bias."""
    from pe_ray.evaluate import fairness
    from pe_ray.store.paths import Home

    body: dict[str, Any] = fairness.of_corpus(newest(Home.find(), name)) if name else fairness.planted()
    typer.echo(json.dumps(body, indent=1) if as_json else fairness.as_text(body))


def _listed(body: dict[str, Any]) -> list[str]:
    lines = [f"tasks: {', '.join(body['tasks'])}"]
    for found in body["models"]:
        lines.append(f"{found['name']:<12}{found['bytes'] / 1e6:.2f} MB, {', '.join(found['licences'])}")
        lines.append(f"  {found['purpose']}")
        for f in found["figures"][:2]:
            between = f" (95 % {f['interval'][0]} to {f['interval'][1]})" if f["interval"] else ""
            lines.append(f"  {f['name']} {f['value']}{between} on {f['set']}")
    return lines
