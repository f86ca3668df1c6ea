"""Progress as an application of Ray Serve: one replica, the one writer of the journal.

    applications:
    - name: progress
      route_prefix: /progress
      import_path: pe_ray.progress.app:build
      args: {mode: dev}

Serve leaves the prefix in the path and names it in `root_path`, which FastAPI takes off: the routes inside are relative
to it. The gateway delivers by this application's handle, without HTTP:

    serve.get_app_handle("progress").deliver.remote([(id, sealed), ...])
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from fastapi import FastAPI
from pydantic import Field
from ray import serve
from ray.serve import Application

from pe_ray.config import ProgressConfig, Section
from pe_ray.progress.api import Service, application
from pe_ray.progress.journal import Journal
from pe_ray.security import redact
from pe_ray.security.access import Access
from pe_ray.security.keys import Keys
from pe_ray.store.paths import Home


class Args(Section):
    """What the Serve configuration may say; unknown names are refused, which Serve itself would not do."""

    mode: Literal["dev", "production"] = "dev"
    """dev: loopback, no authentication. production: Bearer keys, refuses to start without a key file."""
    home: str | None = None
    """Root directory; empty: PE_RAY_HOME."""
    state: str | None = None
    """Directory of databases and keys; empty: PE_RAY_STATE, else below the root."""
    progress: ProgressConfig = Field(default_factory=ProgressConfig)
    """The section of a run file."""


def build(args: Mapping[str, Any]) -> Application:
    """The application that a Serve configuration names."""
    return Progress.bind(Args.model_validate(dict(args)).model_dump(mode="json"))


def open_service(args: Mapping[str, Any]) -> Service:
    """The journal and its door, opened. Raises KeyUnavailable, DatabaseTooNew, or PeRayError for a second writer."""
    wanted = Args.model_validate(dict(args))
    home = Home.find()
    if wanted.home:
        home = Home.at(wanted.home)
    if wanted.state:
        home = Home(home.root, Path(wanted.state).absolute())
    keys = Keys(home, wanted.mode)
    return Service(Journal(home, keys), Access(home, keys), wanted.progress)


@serve.deployment(
    num_replicas=1,  # a second writer would wait for the first one's lock and give up
    max_ongoing_requests=64,
    graceful_shutdown_timeout_s=5,
    ray_actor_options={"num_cpus": 0},  # it waits for the disk, not for a processor
)
@serve.ingress()
class Progress:
    """One journal behind HTTP and behind a handle."""

    def __init__(self, args: Mapping[str, Any]) -> None:
        redact.install()
        self.service = open_service(args)

    def __serve_build_asgi_app__(self) -> FastAPI:
        return application(self.service)

    async def deliver(self, parcels: Sequence[tuple[str, bytes]]) -> dict[str, list[str]]:
        """Take sealed parcels; {"stored": ids, "refused": ids}, both on disk and done with."""
        return asdict(await asyncio.to_thread(self.service.journal.deliver, parcels))

    def __del__(self) -> None:
        if hasattr(self, "service"):
            self.service.journal.close()
            self.service.access.close()
