"""Ray for the doors: the cluster that a submitted job runs on, or a local one that ends with the block; submitting."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pe_ray.config import Config, dump
from pe_ray.errors import UserError
from pe_ray.safety import larger
from pe_ray.store.paths import Home

ATTEMPTS = 3
"""Ray gives a starting node 30 seconds, which a busy machine can outlast."""

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "150",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # every report of Train V2 waits for the next check
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}


@contextmanager
def connected(home: Home) -> Iterator[None]:
    """Ray while the block runs: the cluster named by RAY_ADDRESS, else a local one with token authentication.

    Workers are handed the home, so that they write to the same place whatever their directory is.
    """
    given = os.environ.get("RAY_ADDRESS")
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    os.environ.update(home.environ)
    if not given:
        ensure_token()  # before Ray is imported, which is when it reads the mode
    import ray

    if ray.is_initialized():
        yield
        return
    _init(None if given else _local(), home)
    try:
        yield
    finally:
        ray.shutdown()


def ensure_token() -> None:
    """Turn Ray's token authentication on, with a token file that only its owner can read."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    if os.environ["RAY_AUTH_MODE"] != "token" or os.environ.get("RAY_AUTH_TOKEN"):
        return
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as f:
            f.write(secrets.token_hex(32))
    elif path.stat().st_mode & 0o077 and path.stat().st_uid == os.getuid():
        path.chmod(0o600)  # Ray itself writes it with the umask's mode


def handed_on(home: Home) -> dict[str, str]:
    """What a worker is told: where things rest, and the larger judge of danger if there is one."""
    judge = os.environ.get(larger.VARIABLE)
    return home.environ | ({larger.VARIABLE: str(Path(judge).absolute())} if judge else {})


def _local() -> dict[str, object]:
    cores = os.cpu_count() or 1
    return {
        # logical: a driver, two workers and their helpers must find a place on a laptop with two cores
        "num_cpus": max(4, cores),
        "include_dashboard": False,  # some 100 MB in each of its processes
        "object_store_memory": 256 * 2**20,
    }


def _job_environ() -> dict[str, str]:
    """Variables that a submitted job's runtime environment sets; Ray refuses to be told one of them twice."""
    job = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR") or "{}")
    return dict((job.get("runtime_env") or {}).get("env_vars") or {})


def _init(local: dict[str, object] | None, home: Home) -> None:
    import ray

    environment = {"env_vars": {k: v for k, v in handed_on(home).items() if k not in _job_environ()}}
    for attempt in range(1, ATTEMPTS + 1):
        try:
            ray.init(runtime_env=environment, logging_level=logging.ERROR, log_to_driver=False, **(local or {}))
            return
        except Exception:
            ray.shutdown()
            if attempt == ATTEMPTS:
                raise
            time.sleep(2)


# --- jobs on a running cluster ---------------------------------------------------------------------------------------

COMMANDS = {"corpus": ["corpus", "build"], "tune": ["tune"], "train": ["train"], "quickstart": ["quickstart", "--once"]}
DONE = ("SUCCEEDED", "FAILED", "STOPPED")


@dataclass(frozen=True)
class Submission:
    """A job on a cluster: its id, whether it was there before, and its state when we last looked."""

    id: str
    attached: bool
    state: str


def submit(job: str, config: Config, home: Home, address: str, *, follow: Callable[[str], None] | None) -> Submission:
    """Submit a job with its resolved configuration; the same job, configuration and code is one submission.

    A submission that runs is attached to, one that succeeded is left as it is, one that failed gets a new attempt that
    resumes by its run id. With `follow`, log text is passed on until the job ends. Raises UserError for an unknown job
    or a cluster that does not answer.
    """
    if job not in COMMANDS:
        raise UserError(f"job={job!r} is not one of {', '.join(COMMANDS)}")
    client = _client(address)
    digest = config_digest(config, job)
    settled = config if config.run_id else config.model_copy(update={"run_id": f"{job}-{digest}"})
    before = {d.submission_id: str(d.status.value) for d in client.list_jobs() if d.submission_id}
    attempts = [i for i in before if i.startswith(f"{job}-{digest}")]
    running = [i for i in attempts if before[i] in ("PENDING", "RUNNING", "SUCCEEDED")]
    if running:
        return _follow(client, running[-1], True, follow)
    name = f"{job}-{digest}" + (f"-a{len(attempts) + 1}" if attempts else "")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "run.yaml").write_text(dump(settled))
        client.submit_job(
            entrypoint=shlex.join(["python", "-m", "pe_ray.cli", *COMMANDS[job], "--config", "run.yaml"]),
            submission_id=name,
            runtime_env={
                "working_dir": folder,
                "py_modules": [str(Path(__file__).parent)],
                "env_vars": {**QUIET, **handed_on(home)},
            },
            metadata={"run_id": str(settled.run_id), "config": digest},
        )
    return _follow(client, name, False, follow)


def job_state(address: str, submission: str) -> str:
    """State of a submission: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""
    return str(_client(address).get_job_status(submission).value)


def job_logs(address: str, submission: str) -> str:
    """What a submission has printed so far."""
    return str(_client(address).get_job_logs(submission))


def config_digest(config: Config, job: str) -> str:
    """12 hex digits over the job, the resolved configuration and the code."""
    h = hashlib.sha256(f"{job}\0{dump(config)}".encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        h.update(path.read_bytes())
    return h.hexdigest()[:12]


def _follow(client: Any, submission: str, attached: bool, follow: Callable[[str], None] | None) -> Submission:
    shown = 0
    while True:
        state = str(client.get_job_status(submission).value)
        if follow is not None:
            text = client.get_job_logs(submission)
            for line in text[shown:].splitlines():
                follow(line)
            shown = len(text)
        if follow is None or state in DONE:
            return Submission(submission, attached, state)
        time.sleep(1)


def _client(address: str) -> Any:
    try:
        from ray.job_submission import JobSubmissionClient

        ensure_token()
        return JobSubmissionClient(address)
    except (ModuleNotFoundError, ImportError):
        raise UserError("submitting jobs needs the extra: pip install 'pe-ray[cluster]'") from None
    except (ConnectionError, RuntimeError) as error:
        raise UserError(f"--address {address}: no Ray dashboard answers there ({type(error).__name__})") from None
