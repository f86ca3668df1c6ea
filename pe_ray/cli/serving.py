"""Commands that serve a model, and read and keep the journal beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pe_ray.cli.door import AsJson, ConfigFile, Overrides, load_config, say

if TYPE_CHECKING:
    import httpx

    from pe_ray.security.api_keys import ApiKeys
    from pe_ray.security.audit import Verification
    from pe_ray.store.paths import Home

serve_app = typer.Typer(help="Serve a model and its journal.", no_args_is_help=True)
progress_app = typer.Typer(help="Read a client's journal and progress on this machine.", no_args_is_help=True)
audit_app = typer.Typer(help="The audit chains of the journal and of clinical review.", no_args_is_help=True)
keys_app = typer.Typer(help="API keys of production mode.", no_args_is_help=True)
ClientId = Annotated[str, typer.Argument(help="The client's id.")]


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
    settled, home = load_config(config, set_, None), Home.find()
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
    """Check both audit chains row by row, and the signature of each review decision; exit 1 where one is wrong."""
    from pe_ray.progress.journal import verify_audit
    from pe_ray.security.decisions import checked
    from pe_ray.store.db import exists
    from pe_ray.store.paths import Home

    home = Home.find()
    journal = verify_audit(home) if exists(home.database("journal")) else None
    typer.echo(f"journal: {_chain(journal) if journal else 'none yet'}")
    review = checked(home)
    typer.echo(f"review: {_chain(review.chain)}; {len(review.decisions)} decisions, each with its reviewer's signature")
    wrong = [p for p in review.problems if review.chain.first_bad_seq is None]
    for problem in wrong:
        typer.echo(f"review: {problem.where}: {problem.what}")
    if review.problems or (journal and journal.first_bad_seq is not None):
        raise typer.Exit(1)


def _chain(found: Verification) -> str:
    bad = found.first_bad_seq
    return f"{found.rows} rows" + (", the chain holds" if bad is None else f"; row {bad}: {found.reason}")


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
