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
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import ray
from fastapi import FastAPI
from pydantic import Field
from ray import serve
from ray.exceptions import RayActorError, RayTaskError
from ray.serve import Application, RunTarget
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle
from ulid import ULID

from pe_ray.config import ProgressConfig, Section, ServeConfig
from pe_ray.corpus import queue
from pe_ray.monitor import metrics
from pe_ray.monitor.memory import settled
from pe_ray.safety import triage
from pe_ray.security import redact
from pe_ray.security.access import Access
from pe_ray.security.keys import Keys
from pe_ray.security.transit import operator_token, seal_entry
from pe_ray.serve import api
from pe_ray.serve.config_file import ApplicationPart, ServeFile
from pe_ray.serve.dispatch import Deliver, Dispatcher, over_http
from pe_ray.serve.engine.base import (
    Completion,
    EngineBusy,
    EngineFailed,
    EngineInfo,
    GenerateRequest,
    PromptTooLong,
    TokenEvent,
)
from pe_ray.serve.gateway import Gateway
from pe_ray.store.manifest import write_json
from pe_ray.store.outbox import Outbox, Parcel
from pe_ray.store.paths import Home

PROGRESS = "progress"
"""Name of the journal's application; the two meet here and in nothing else."""
DELIVERY_S = 20.0


class Args(Section):
    """What the Serve configuration may say; unknown names are refused, which Serve itself would not do."""

    home: str | None = None
    """Root directory; empty: PE_RAY_HOME."""
    state: str | None = None
    """Directory of databases, outbox and keys; empty: PE_RAY_STATE, else below the root."""
    progress_url: str | None = None
    """Where the journal takes deliveries over HTTP; empty: the application `progress` of the same Serve."""
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
    return Ingress.bind(wanted.model_dump(mode="json"), engine)


@serve.deployment(
    name="engine",
    max_ongoing_requests=32,
    max_queued_requests=256,
    graceful_shutdown_timeout_s=10,
    ray_actor_options={"num_cpus": 1},
)
class EngineReplica:
    """One copy of the model."""

    def __init__(self, path: str) -> None:
        redact.install()
        from pe_ray.serve.engine.transformers import TransformersEngine

        owned = ray.get_runtime_context().get_assigned_resources().get("CPU", 1)
        self.engine = TransformersEngine(path, threads=max(1, int(owned)))

    async def info(self) -> EngineInfo:
        """What is loaded."""
        return await self.engine.info()

    async def complete(self, request: GenerateRequest) -> Completion:
        """A whole reply."""
        return await self.engine.complete(request)

    async def generate(self, request: GenerateRequest) -> AsyncIterator[TokenEvent]:
        """A reply, piece by piece."""
        async for event in self.engine.generate(request):
            yield event

    async def health(self) -> bool:
        """For the gateway's /health."""
        return await self.engine.health()

    async def check_health(self) -> None:
        """Serve restarts a replica whose model thread has ended."""
        if not await self.engine.health():
            raise EngineFailed("the engine has stopped")


class RemoteEngine:
    """The engine deployment behind the `Engine` contract: Ray's errors become those that the gateway knows."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle

    async def info(self) -> EngineInfo:
        """What a replica has loaded."""
        return await self._call(self._handle.info)

    async def health(self) -> bool:
        """Whether a replica answers."""
        return await self._call(self._handle.health)

    async def complete(self, request: GenerateRequest) -> Completion:
        """The whole reply in one hop."""
        return await self._call(self._handle.complete, request)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenEvent, None]:
        """The reply, piece by piece."""
        try:
            async for event in self._handle.options(stream=True).generate.remote(request):
                yield event
        except Exception as error:  # noqa: BLE001 (Ray raises many kinds; `_known` names them all)
            raise _known(error) from None

    async def _call(self, method: Any, *args: GenerateRequest) -> Any:
        try:
            return await method.remote(*args)
        except Exception as error:  # noqa: BLE001 (Ray raises many kinds; `_known` names them all)
            raise _known(error) from None


def _known(error: Exception) -> Exception:
    """The gateway's name for what Ray raises; a task's error keeps its kind and loses its text."""
    if isinstance(error, BackPressureError):
        return EngineBusy("too many requests wait")
    if isinstance(error, DeploymentUnavailableError | RayActorError):
        return EngineFailed("the engine's process ended")
    cause = error.cause if isinstance(error, RayTaskError) else error
    for kind in (EngineBusy, PromptTooLong):
        if isinstance(cause, kind):
            return kind("refused by the engine")
    return EngineFailed(f"the engine failed: {type(cause).__name__}")


@serve.deployment(
    name="ingress",
    max_ongoing_requests=128,
    graceful_shutdown_timeout_s=5,
    ray_actor_options={"num_cpus": 0.5},
)
@serve.ingress()
class Ingress:
    """The gateway behind HTTP, and the delivery of its outbox."""

    def __init__(self, args: Mapping[str, Any], engine: DeploymentHandle) -> None:
        redact.install()
        wanted = Args.model_validate(dict(args))
        home = wanted.find_home()
        keys = Keys(home, wanted.serve.mode)
        self.access = Access(home, keys)
        self.outbox = Outbox(home.outbox / f"{ULID()}.db")
        self.gateway = Gateway(RemoteEngine(engine), self.outbox, partial(seal_entry, keys), wanted.serve)
        self.deliver = by_handle if wanted.progress_url is None else _by_http(wanted.progress_url, keys)
        self.dispatcher = Dispatcher(self.outbox, self.deliver, wanted.progress.drain_every_s)
        metrics.BEFORE_SCRAPE.append(queue.watch(home))

    def __serve_build_asgi_app__(self) -> FastAPI:
        return api.application(self.gateway, self.access, more_health=self.health, lifespan=self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        self.dispatcher.start()
        try:
            triage.assess("Good morning.")  # loads rules and model, before the first request and to stay
            with settled():
                yield
        finally:
            await self.dispatcher.stop()  # what is left stays on disk, and the next gateway adopts it

    async def health(self) -> dict[str, str]:
        """Whether the journal answers."""
        try:
            await self.deliver([])
        except Exception as error:  # noqa: BLE001 (whatever it is, the journal does not answer)
            return {"progress": type(error).__name__}
        return {"progress": "ok"}


async def by_handle(parcels: Sequence[Parcel]) -> set[str]:
    """Hand parcels to the journal's application; the ids that it has dealt with."""
    handle = serve.get_app_handle(PROGRESS)
    answer = await asyncio.wait_for(handle.deliver.remote([(p.id, p.sealed) for p in parcels]), DELIVERY_S)
    return {*answer["stored"], *answer["refused"]}


def _by_http(url: str, keys: Keys) -> Deliver:
    return over_http(httpx.AsyncClient(timeout=DELIVERY_S), url, operator_token(keys))


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
    """Start Serve and run every application of a file at once; returns when all of them are healthy."""
    quiet = file.logging_config.model_dump()
    serve.start(
        proxy_location=file.proxy_location,
        http_options=file.http_options.model_dump(exclude_none=True),
        logging_config=quiet,
    )
    serve.run_many([RunTarget(_built(a), a.name, a.route_prefix, logging_config=quiet) for a in file.applications])


def _built(part: ApplicationPart) -> Application:
    """What an application's builder gives for its arguments."""
    module, _, name = part.import_path.partition(":")
    built: Application = getattr(importlib.import_module(module), name)(part.args)
    return built


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
            for left in psutil.Process().children(recursive=True):  # a failed start leaves its processes behind
                left.kill()
            if attempt == 2:
                raise


if __name__ == "__main__":
    main(Path(sys.argv[1]))
