"""Commands that send a job to a Ray cluster and follow it."""

from __future__ import annotations

from typing import Annotated

import typer

from pe_ray.cli.door import ConfigFile, DryRun, Overrides, RunId, load_config, say

Address = Annotated[str, typer.Option("--address", envvar="RAY_DASHBOARD", help="URL of the Ray dashboard.")]
LOCAL_DASHBOARD = "http://127.0.0.1:8265"


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

    settled, home = load_config(config, set_, run_id), Home.find()
    if dry_run:
        say(f"submit: would send {job} as {job}-{cluster.config_digest(settled, job)} to {address}, home {home.root}")
        return
    found = cluster.submit(job, settled, home, address, follow=say if wait else None)
    say(f"{found.id}: {found.state}" + (" (was there already)" if found.attached else ""))
    typer.echo(found.id)
    if wait and found.state != "SUCCEEDED":
        raise typer.Exit(1)


def status(submission: Annotated[str, typer.Argument()], address: Address = LOCAL_DASHBOARD) -> None:
    """Print the state of a submitted job."""
    from pe_ray.cluster import job_state

    typer.echo(job_state(address, submission))


def logs(submission: Annotated[str, typer.Argument()], address: Address = LOCAL_DASHBOARD) -> None:
    """Print what a submitted job has printed."""
    from pe_ray.cluster import job_logs

    typer.echo(job_logs(address, submission))
