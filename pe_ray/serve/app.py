"""The gateway and the engine as an application of Ray Serve, and the process that `pe-ray serve up` starts.

One hop: the ingress (gateway, triage, cache, filter, outbox) calls the engine deployment; the journal is another
application, met by its handle.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import ray
from fastapi import FastAPI
from pydantic import Field
from ray import serve
from ray.serve import Application
from ray.serve.exceptions import BackPressureError
from ray.serve.handle import DeploymentHandle

from pe_ray.config import ProgressConfig, Section, ServeConfig
from pe_ray.security import redact
from pe_ray.security.access import Access
from pe_ray.security.keys import Keys
from pe_ray.security.problems import Problem
from pe_ray.serve import api, dispatch
from pe_ray.serve.config_file import ServeFile
from pe_ray.serve.engine.base import EngineInfo, Generation, TokenEvent, describe
from pe_ray.serve.gateway import Gateway
from pe_ray.store.manifest import write_json
from pe_ray.store.outbox import Outbox
from pe_ray.store.paths import Home

LOG = logging.getLogger("pe_ray.gateway")
PROGRESS = "progress"


class Args(Section):
    """What the Serve configuration may say; unknown names are refused, which Serve itself would not do."""

    mode: Literal["dev", "production"] = "dev"
    """dev: loopback, no authentication. production: Bearer keys."""
    home: str | None = None
    """Root directory; empty: PE_RAY_HOME."""
    state: str | None = None
    """Directory of databases, outbox and keys; empty: PE_RAY_STATE, else below the root."""
    serve: ServeConfig = Field(default_factory=ServeConfig)
    """The section of a run file."""
    progress: ProgressConfig = Field(default_factory=ProgressConfig)
    """The section of a run file."""

    def find_home(self) -> Home:
        """The home that the args or the environment name."""
        home = Home.at(self.home) if self.home else Home.find()
        return Home(home.root, Path(self.state).absolute()) if self.state else home


def build(args: Mapping[str, Any]) -> Application:
    """The application that a Serve configuration names. Raises AdapterNotFound if the model is not there."""
    wanted = Args.model_validate(dict(args))
    config = wanted.serve
    path = wanted.find_home().resolve_model(config.model, config.form)
    scaling = {"min_replicas": config.replicas, "max_replicas": max(config.replicas, config.max_replicas)}
    engine = EngineReplica.options(autoscaling_config={**scaling, "target_ongoing_requests": 8}).bind(str(path))
    return Ingress.bind(wanted.model_dump(mode="json"), str(path), engine)


@serve.deployment(
    max_ongoing_requests=32,
    max_queued_requests=256,
    graceful_shutdown_timeout_s=10,
    ray_actor_options={"num_cpus": 1, "num_gpus": 0},
)
class EngineReplica:
    """One copy of the model."""

    def __init__(self, path: str) -> None:
        redact.install()
        from pe_ray.serve.engine.transformers import TransformersEngine

        self.engine = TransformersEngine(Path(path), threads=1)

    async def generate(self, request: Generation) -> AsyncIterator[TokenEvent]:
        """Pieces of a reply."""
        async for event in self.engine.generate(request):
            yield event

    async def check_health(self) -> None:
        """Serve restarts a replica whose batch worker has died."""
        await self.engine.health()

    async def ready(self) -> bool:
        """For the gateway's /health."""
        await self.engine.health()
        return True


class RemoteEngine:
    """The engine deployment behind the `Engine` contract: one retry before the first piece, overload as 503."""

    def __init__(self, handle: DeploymentHandle, info: EngineInfo, timeout_s: float) -> None:
        self.handle, self.info, self.timeout_s = handle, info, timeout_s

    async def generate(self, request: Generation) -> AsyncIterator[TokenEvent]:
        """Pieces of a reply; Problem 503 when the engine is overloaded, gone or too slow."""
        for attempt in range(2):
            begun = False
            try:
                async with asyncio.timeout(self.timeout_s):
                    async for event in self.handle.options(stream=True).generate.remote(request):
                        begun = True
                        yield event
                return
            except BackPressureError:
                raise Problem(503, "too many requests wait", headers={"retry-after": "1"}) from None
            except TimeoutError:
                raise Problem(503, "the model took too long", headers={"retry-after": "5"}) from None
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, ValueError):  # the message does not fit the context
                    raise ValueError("the message does not fit") from None
                raise Problem(503, "the model failed") from None
            except ray.exceptions.RayActorError:
                if begun or attempt:
                    raise Problem(503, "the model's process ended", headers={"retry-after": "5"}) from None
                LOG.warning("an engine replica ended; trying another")

    async def health(self) -> None:
        """Raise unless a replica answers soon."""
        await asyncio.wait_for(self.handle.ready.remote(), 5)


@serve.deployment(
    max_ongoing_requests=128,
    graceful_shutdown_timeout_s=5,
    ray_actor_options={"num_cpus": 0.5},
)
@serve.ingress()
class Ingress:
    """The gateway behind HTTP."""

    def __init__(self, args: Mapping[str, Any], path: str, engine: DeploymentHandle) -> None:
        redact.install()
        wanted = Args.model_validate(dict(args))
        home = wanted.find_home()
        keys = Keys(home, wanted.mode)
        self.config = wanted
        self.outbox = Outbox(home.outbox / f"gateway-{os.getpid()}.db")
        self.access = Access(home, keys)
        info = describe(Path(path))
        self.engine = RemoteEngine(engine, info, wanted.serve.timeout_s)
        self.gateway = Gateway(self.engine, info, wanted.serve, keys, self.outbox)
        self.folder = home.outbox

    def __serve_build_asgi_app__(self) -> FastAPI:
        return api.application(self.gateway, self.access, self.health, self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(dispatch.adopt, self.folder, self.outbox)
        task = asyncio.create_task(dispatch.drain(self.outbox, deliver, self.config.progress.drain_every_s))
        try:
            yield
        finally:
            task.cancel()
            with suppress(Exception):  # what is left stays on disk and the next gateway adopts it
                await asyncio.wait_for(dispatch.deliver_once(self.outbox, deliver), 3)

    async def health(self) -> dict[str, str]:
        """State of each component."""
        return {
            "gateway": "ok",
            "engine": await _state(self.engine.health()),
            "progress": await _state(deliver([])),
            "outbox": "ok" if self.outbox.oldest_s() < 60 else "late",
        }


async def deliver(parcels: Sequence[tuple[str, bytes]]) -> Sequence[str]:
    """Hand parcels to the journal's application; the ids that it has dealt with."""
    answer = await asyncio.wait_for(serve.get_app_handle(PROGRESS).deliver.remote(list(parcels)), 20)
    return [*answer["stored"], *answer["refused"]]


async def _state(check: Any) -> str:
    try:
        await check
        return "ok"
    except Exception as error:  # noqa: BLE001 (each means that the component does not answer)
        return type(error).__name__


# --- the process behind `pe-ray serve up` ----------------------------------------------------------------------------


def main(settings: Path) -> None:
    """Serve what `up` wrote into a file until SIGTERM; report readiness beside it."""
    from pe_ray.serve.up import SERVE_ENVIRONMENT

    given = json.loads(settings.read_text())
    file = ServeFile.model_validate(given["file"])
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    os.environ.update(SERVE_ENVIRONMENT)
    _start_ray(given["environ"])
    try:
        deploy(file)
        write_json(Path(given["ready"]), {"ready": True})
        ended.wait()
    finally:
        serve.shutdown()
        ray.shutdown()


def deploy(file: ServeFile) -> None:
    """Start Serve and run every application of a file, the journal before the gateway that reports on it."""
    serve.start(
        proxy_location=file.proxy_location,
        http_options=file.http_options.model_dump(exclude_none=True),
        logging_config=file.logging_config.model_dump(),
    )
    for app in sorted(file.applications, key=lambda a: -len(a.route_prefix)):
        module, _, name = app.import_path.partition(":")
        built = getattr(importlib.import_module(module), name)(app.args)
        serve.run(built, name=app.name, route_prefix=app.route_prefix, logging_config=file.logging_config.model_dump())


def _start_ray(environ: Mapping[str, str]) -> None:
    for attempt in range(3):  # a busy machine can outlast Ray's own start-up wait
        try:
            ray.init(
                num_cpus=max(4, os.cpu_count() or 1),
                include_dashboard=False,
                object_store_memory=100 * 2**20,
                logging_level=logging.ERROR,
                log_to_driver=False,
                runtime_env={"env_vars": dict(environ)},
            )
            return
        except Exception:
            ray.shutdown()
            if attempt == 2:
                raise


if __name__ == "__main__":
    main(Path(sys.argv[1]))
