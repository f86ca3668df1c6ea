"""The tests of this room once more, on a real PostgreSQL that is started for them on loopback."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest


@pytest.fixture
def server() -> Iterator[str]:
    """URL of a PostgreSQL with an empty cluster; it refuses to run as root, so root starts it as nobody."""
    folder = Path(tempfile.mkdtemp(prefix="pe_ray_pg_"))
    account = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    password = secrets.token_hex(16)
    (folder / "password").write_text(password)
    if account:
        for path in (folder, folder / "password"):
            shutil.chown(path, account["user"], account["group"])
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    data, log = folder / "data", folder / "log"
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c max_connections=200"
    setup = ["initdb", "-D", str(data), "-U", "pe_ray", "-A", "scram-sha-256", f"--pwfile={folder}/password"]
    control = ["pg_ctl", "-D", str(data), "-w"]

    def run(*command: str) -> None:
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, **account)

    try:
        run(*setup, "-E", "UTF8", "--locale=C")
        run(*control, "-l", str(log), "-o", options, "start")
        yield f"postgresql://pe_ray:{password}@127.0.0.1:{port}"
        run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("postgres") is None or shutil.which("initdb") is None, reason="no postgres binary")
@pytest.mark.skipif(find_spec("psycopg") is None, reason="the extra pe-ray[postgres] is not installed")
def test_the_same_tests_pass_on_postgresql(server: str) -> None:
    command = [sys.executable, "-m", "pytest", "tests/progress", "-m", "not slow and not ray", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PE_RAY_TEST_POSTGRES": server},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
