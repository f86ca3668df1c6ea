"""`pe-ray`: a thin door. Heavy imports stand inside the commands, so that `--help` answers at once.

Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 the input is wrong, 3 a gate was not
met.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.exceptions import TyperException

if TYPE_CHECKING:
    import httpx

    from pe_ray.config import Config
    from pe_ray.run import Run
    from pe_ray.security.api_keys import ApiKeys
    from pe_ray.store.paths import Home

app = typer.Typer(
    name="pe-ray",
    help="Build, serve and improve a therapeutic language model on Ray.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
corpus_app = typer.Typer(help="Build and look at a corpus.", no_args_is_help=True)
train_app = typer.Typer(help="Train the experts, and look after a run.", invoke_without_command=True)
generate_app = typer.Typer(
    help="Write records with a language model, held for review where they must be.", no_args_is_help=True
)
evaluate_app = typer.Typer(help="Measure a model on what it was not trained on.", no_args_is_help=True)
adapters_app = typer.Typer(help="What has been exported.", no_args_is_help=True)
serve_app = typer.Typer(help="Serve a model and its journal.", no_args_is_help=True)
progress_app = typer.Typer(help="Read a client's journal and progress on this machine.", no_args_is_help=True)
audit_app = typer.Typer(help="The journal's audit chain.", no_args_is_help=True)
config_app = typer.Typer(help="What a run can be told.", no_args_is_help=True)
keys_app = typer.Typer(help="API keys of production mode.", no_args_is_help=True)
for name, group in (
    ("corpus", corpus_app),
    ("generate", generate_app),
    ("train", train_app),
    ("evaluate", evaluate_app),
    ("adapters", adapters_app),
    ("serve", serve_app),
    ("progress", progress_app),
    ("audit", audit_app),
    ("keys", keys_app),
    ("config", config_app),
):
    app.add_typer(group, name=name)

ConfigFile = Annotated[Path | None, typer.Option("--config", help="Run file (YAML); see jobs/configs/.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="section.field=value; may stand several times.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and written; do nothing.")]
ClientId = Annotated[str, typer.Argument(help="The client's id.")]
RunId = Annotated[str | None, typer.Option("--run-id", help="Name of the run; the same name resumes.")]


# --- jobs ---------------------------------------------------------------------------------------------------------


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

    settled = load(config or RUN_FILE, _overrides(set_, run_id))
    _job("quickstart", settled, work, as_json, dry_run)


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

    _job("corpus", _load(config, set_, run_id), lambda run: quickstart.corpus_job(run, say), as_json, dry_run)


@corpus_app.command("report")
def corpus_report(
    name: Annotated[str | None, typer.Argument(help="Corpus name; the newest snapshot of it, or of all.")] = None,
) -> None:
    """Print the path of the newest snapshot's report."""
    from pe_ray.store.paths import Home

    typer.echo(_newest(Home.find(), name) / "report.html")


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

    typer.echo(write(_newest(Home.find(), name), form, out))


@generate_app.command("edge-cases")
def generate_edge_cases(
    config: ConfigFile = None, set_: Overrides = None, as_json: AsJson = False, dry_run: DryRun = False
) -> None:
    """Write edge cases, by category and difficulty, with a language model or from templates; the same again resumes."""
    _generate("edge-cases", _load(config, set_, None), as_json, dry_run)


@generate_app.command("personas")
def generate_personas(
    config: ConfigFile = None, set_: Overrides = None, as_json: AsJson = False, dry_run: DryRun = False
) -> None:
    """Write dialogues between two personas from the store of persona cards; the same again resumes."""
    _generate("personas", _load(config, set_, None), as_json, dry_run)


@app.command()
def tune(
    config: ConfigFile = None,
    set_: Overrides = None,
    run_id: RunId = None,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Measure the profiles on this machine and choose one."""
    from pe_ray import quickstart

    _job("tune", _load(config, set_, run_id), lambda run: quickstart.tune_job(run, say), as_json, dry_run)


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

    _job("train", _load(config, set_, run_id), lambda run: quickstart.train_job(run, say), as_json, dry_run)


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

    settled = _load(config, set_, None)
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
    with _stdout_kept() as out:
        found = measure(Home.find(), **asked, split=split, max_tokens=max_tokens, seed=seed)
        out.write((json.dumps(found, indent=1, allow_nan=False) if as_json else text.of_model(found)) + "\n")
        out.flush()


@app.command()
def export(
    run_id: Annotated[str, typer.Option("--run-id", help="The training run whose best checkpoint is exported.")],
    set_: Overrides = None,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Write the adapter and the stock mixture-of-experts checkpoint of a training run."""
    from pe_ray import quickstart

    settled = quickstart.config_of_run(run_id, _overrides(set_, None))
    _job("export", settled, lambda run: quickstart.export_job(run, run_id), as_json, dry_run)


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


Address = Annotated[str, typer.Option("--address", envvar="RAY_DASHBOARD", help="URL of the Ray dashboard.")]
LOCAL_DASHBOARD = "http://127.0.0.1:8265"


@app.command()
def submit(
    job: Annotated[str, typer.Argument(help="corpus, tune, train or quickstart.")],
    config: ConfigFile = None,
    set_: Overrides = None,
    run_id: RunId = None,
    address: Address = LOCAL_DASHBOARD,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the log until the job ends.")] = True,
    dry_run: DryRun = False,
) -> None:
    """Run a job on a Ray cluster; the same again attaches to it. Prints the submission id last."""
    from pe_ray import cluster
    from pe_ray.store.paths import Home

    settled, home = _load(config, set_, run_id), Home.find()
    if dry_run:
        say(f"submit: would send {job} as {job}-{cluster.config_digest(settled, job)} to {address}, home {home.root}")
        return
    found = cluster.submit(job, settled, home, address, follow=say if wait else None)
    say(f"{found.id}: {found.state}" + (" (was there already)" if found.attached else ""))
    typer.echo(found.id)
    if wait and found.state != "SUCCEEDED":
        raise typer.Exit(1)


@app.command()
def status(submission: Annotated[str, typer.Argument()], address: Address = LOCAL_DASHBOARD) -> None:
    """Print the state of a submitted job."""
    from pe_ray.cluster import job_state

    typer.echo(job_state(address, submission))


@app.command()
def logs(submission: Annotated[str, typer.Argument()], address: Address = LOCAL_DASHBOARD) -> None:
    """Print what a submitted job has printed."""
    from pe_ray.cluster import job_logs

    typer.echo(job_logs(address, submission))


# --- serving and the journal --------------------------------------------------------------------------------------


@serve_app.command("up")
def serve_up(
    config: ConfigFile = None,
    set_: Overrides = None,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay until Ctrl-C.")] = False,
) -> None:
    """Start the gateway, the engine and the journal; returns when /health answers and prints the URL last."""
    from pe_ray.cluster import ensure_token
    from pe_ray.serve import up
    from pe_ray.store.paths import Home

    ensure_token()
    settled, home = _load(config, set_, None), Home.find()
    url = up.up(settled, home, say=say)
    typer.echo(url)
    if foreground:
        up.wait(home)


@serve_app.command("down")
def serve_down() -> None:
    """End what `up` started, and nothing else."""
    from pe_ray.serve import up
    from pe_ray.store.paths import Home

    typer.echo(up.down(Home.find()))


@serve_app.command("status")
def serve_status(as_json: AsJson = False) -> None:
    """Tell whether it runs, and the health of its components."""
    from pe_ray.serve import up
    from pe_ray.store.paths import Home

    found = up.status(Home.find())
    typer.echo(json.dumps(found, indent=1) if as_json else "\n".join(f"{k}: {v}" for k, v in found.items()))


@progress_app.command("journal")
def progress_journal(client: ClientId, as_json: AsJson = False) -> None:
    """Print a client's entries."""
    items = _of_client(client, "journal", limit=500).json()["items"]
    if as_json:
        typer.echo(json.dumps(items, indent=1, ensure_ascii=False))
    for item in () if as_json else items:
        typer.echo(f"{item['at']}  {item['kind']:<10} {item['text']}")


@progress_app.command("report")
def progress_report(
    client: ClientId,
    out: Annotated[Path | None, typer.Option("--out", help="Write the HTML report here; else JSON on stdout.")] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=3660, help="How far to look back.")] = 365,
) -> None:
    """A client's trends, goals and entries as a report."""
    from pe_ray.store.manifest import write_bytes

    found = _of_client(client, "report", days=days, format="html" if out else "json")
    if out is None:
        typer.echo(json.dumps(found.json(), indent=1, ensure_ascii=False))
    else:
        write_bytes(out, found.content)
        typer.echo(out.absolute())


@progress_app.command("erase")
def progress_erase(
    client: ClientId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Destroy a client's keys and rows for good; needs the server to be down."""
    from pe_ray.errors import PeRayError
    from pe_ray.progress.journal import Journal
    from pe_ray.security.keys import Keys
    from pe_ray.store.paths import Home

    if not yes:
        typer.confirm(f"Erase everything about client {client}? This cannot be undone", abort=True, err=True)
    home = Home.find()
    journal = Journal(home, Keys(home))
    try:
        if not journal.erase(client):
            raise PeRayError(f"client={client}: a reader still holds the old keys; end it and erase again")
    finally:
        journal.close()
    typer.echo(f"erased {client}; backups of the keys database older than now must be destroyed too")


@audit_app.command("verify")
def audit_verify() -> None:
    """Check the journal's audit chain from its first row to its last; exit 1 at the first row that does not fit."""
    from pe_ray.progress.journal import verify_audit
    from pe_ray.store.paths import Home

    found = verify_audit(Home.find())
    bad = found.first_bad_seq
    typer.echo(f"{found.rows} rows" + (", the chain holds" if bad is None else f"; row {bad}: {found.reason}"))
    if bad is not None:
        raise typer.Exit(1)


@keys_app.command("create")
def keys_create(
    role: Annotated[str, typer.Option("--role", help="client, therapist or operator.")],
    name: Annotated[str, typer.Option("--name", help="A note for the list of keys.")] = "",
    client: Annotated[list[str] | None, typer.Option("--client", help="Client that the key is for.")] = None,
    days: Annotated[int, typer.Option("--days", help="Days until it expires, 90 at most.")] = 90,
) -> None:
    """Make an API key for production mode; it is shown once, on stdout."""
    with _api_keys() as keys:
        typer.echo(keys.issue(role, name, client or [], days))


@keys_app.command("list")
def keys_list(as_json: AsJson = False) -> None:
    """List API keys, without their secrets."""
    with _api_keys() as keys:
        rows = keys.list()
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    for row in () if as_json else rows:
        state = "revoked" if row["revoked_at"] else f"until {row['expires_at']}"
        typer.echo(f"{row['id']}  {row['role']:<10} {state}  {row['name']}")


@keys_app.command("revoke")
def keys_revoke(id: Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it.")]) -> None:
    """End an API key at once."""
    from pe_ray.errors import UserError

    with _api_keys() as keys:
        if not keys.revoke(id):
            raise UserError(f"id={id}: no key of that id is in force; see `pe-ray keys list`")


@config_app.command("show")
def config_show(config: ConfigFile = None, set_: Overrides = None) -> None:
    """Print the resolved configuration."""
    from pe_ray.config import dump

    typer.echo(dump(_load(config, set_, None)), nl=False)


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON Schema of run files, for an editor."""
    from pe_ray.config import Config

    typer.echo(json.dumps(Config.model_json_schema(), indent=1))


NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""A full disk, and a quota that is used up."""

# --- plumbing -----------------------------------------------------------------------------------------------------


def say(text: str) -> None:
    """A line for the person who waits; never part of the result."""
    print(text, file=sys.stderr, flush=True)


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


def _newest(home: Home, name: str | None) -> Path:
    """The newest finished snapshot of a corpus, or of all."""
    from pe_ray.errors import UserError

    found = [p.parent for p in (home.root / "corpora").glob(f"{name or '*'}/*/records")]
    newest = sorted((p for p in found if not p.name.startswith(".")), key=lambda p: p.stat().st_mtime)
    if not newest:
        raise UserError(
            f"name={name or 'any'}: no finished corpus under {home.root / 'corpora'}; run `pe-ray corpus build`"
        )
    return newest[-1]


def _generate(kind: str, config: Config, as_json: bool, dry_run: bool) -> None:
    from pe_ray.corpus import generate
    from pe_ray.store.paths import Home

    if dry_run:
        say(generate.plan(kind, config.generate, Home.find()))
        return
    result = generate.run(kind, config.generate, Home.find(), say)
    typer.echo(json.dumps({**result.summary, "path": str(result.path)}, indent=1) if as_json else str(result.path))


def _of_client(client: str, what: str, **params: Any) -> httpx.Response:
    """A client's page from the running server, or from the journal's own application where none runs."""
    import httpx

    from pe_ray.errors import ClientNotFound, PeRayError
    from pe_ray.serve.up import status
    from pe_ray.store.paths import Home

    home = Home.find()
    running = status(home)
    path = f"/progress/api/v1/clients/{client}/{what}"
    key = os.environ.get("PE_RAY_API_KEY")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    if running["running"]:
        found = httpx.get(running["url"] + path, params=params, headers=headers, timeout=60)
    else:
        found = _offline(home, path.removeprefix("/progress"), params)
    if found.status_code == 404:
        raise ClientNotFound(f"client={client}: no such client in {running.get('url', home.state)}")
    if found.status_code != 200:
        raise PeRayError(
            f"{what} of {client}: the journal answered {found.status_code} {found.json().get('title', '')}"
        )
    return found


def _offline(home: Home, path: str, params: dict[str, Any]) -> httpx.Response:
    """Ask the journal's application in this process."""
    from fastapi.testclient import TestClient

    from pe_ray.progress.api import Service, application
    from pe_ray.progress.journal import Journal
    from pe_ray.security.access import Access
    from pe_ray.security.keys import Keys

    keys = Keys(home)
    journal, access = Journal(home, keys), Access(home, keys)
    try:
        app = application(Service(journal, access))
        return TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 0)).get(path, params=params)
    finally:
        journal.close()
        access.close()


@contextmanager
def _api_keys() -> Iterator[ApiKeys]:
    from pe_ray.security.api_keys import ApiKeys
    from pe_ray.security.keys import Keys
    from pe_ray.store.paths import Home

    home = Home.find()
    keys = ApiKeys(home, Keys(home))
    try:
        yield keys
    finally:
        keys.close()


def _report(error: Exception) -> int:
    from pe_ray.errors import PeRayError

    cause = _root(error)
    if os.environ.get("PE_RAY_DEBUG"):
        traceback.print_exception(error)
    if isinstance(cause, PeRayError):
        for line in str(cause).splitlines():
            say(f"error: {line}")
        return cause.exit_code
    if isinstance(cause, OSError) and cause.errno in NO_ROOM:
        where = f" ({cause.filename})" if cause.filename else ""
        say(f"error: the disk is full{where}; make room and run the same again, finished parts are kept")
        return 1
    lines = str(cause).strip().splitlines() or [""]
    say(f"error: {type(cause).__name__}: {lines[0][:300]} (PE_RAY_DEBUG=1 shows where)")
    return 1


def _root(error: BaseException) -> BaseException:
    """What really went wrong, out of the wrappings that Ray puts around an error of a task."""
    from pe_ray.errors import PeRayError

    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if isinstance(current, PeRayError) or (isinstance(current, OSError) and current.errno in NO_ROOM):
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


def _overrides(set_: list[str] | None, run_id: str | None) -> list[str]:
    return [*(set_ or []), *([f"run_id={json.dumps(run_id)}"] if run_id else [])]


def _load(config: Path | None, set_: list[str] | None, run_id: str | None) -> Config:
    from pe_ray.config import load

    return load(config, _overrides(set_, run_id))


def _job(job: str, config: Config, work: Callable[[Run], Path], as_json: bool, dry_run: bool) -> None:
    """Run one job inside its run directory; print the path of its summary last, or the whole document."""
    from pe_ray.config import dump
    from pe_ray.run import Run
    from pe_ray.store.paths import Home

    home = Home.find()
    if dry_run:
        say(f"{job}: would write under {home.root}; nothing is done. The resolved configuration:")
        typer.echo(dump(config), nl=False)
        return
    with _stdout_kept() as out:
        with Run(job, config, home) as run:
            path = work(run)
        if as_json:
            out.write(json.dumps({**json.loads(path.read_text()), "summary_path": str(path)}, indent=1) + "\n")
        else:
            out.write(f"{path}\n")
        out.flush()


@contextmanager
def _stdout_kept() -> Iterator[Any]:
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


if __name__ == "__main__":
    main()
