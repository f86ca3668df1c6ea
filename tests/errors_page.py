"""Wrong inputs of different kinds and what each gets: the cases behind `docs/how-to/errors.md`.

    python -m tests.errors_page          # runs every case as a user would and writes the page

`tests/test_errors_page.py` runs the same cases and compares them with the page.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from pe_ray import cli
from tests.errors_corpus import RUN_FILES

PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "errors.md"
PE_RAY = Path(sys.executable).with_name("pe-ray")
SMALL = "corpus.engine=local"


@dataclass(frozen=True)
class Case:
    """One wrong input: what is wrong, the command, what stands in the directory before, the exit code.

    A case with a run file is run in this process, since it is one of many that load the whole corpus engine.
    """

    what: str
    command: str
    code: int = 2
    before: Callable[[Path, ExitStack], dict[str, str]] | None = None
    run_file: str = ""


def no_rows_but_one_bad(folder: Path, _: ExitStack) -> dict[str, str]:
    (folder / "rows.jsonl").write_text('{"question": "How do I sleep?", "answer": 5, "topics": []}\n{"question": \n')
    return {}


def binary_file(folder: Path, _: ExitStack) -> dict[str, str]:
    (folder / "talk.vtt").write_bytes(b"\x00\xff\x00\xffbinary")
    return {}


def other_model(folder: Path, _: ExitStack) -> dict[str, str]:
    (folder / "gpt").mkdir()
    (folder / "gpt" / "config.json").write_text('{"model_type": "gpt2"}')
    return {}


def newer_database(folder: Path, _: ExitStack) -> dict[str, str]:
    state = folder / ".pe_ray" / "state"
    state.mkdir(parents=True)
    with sqlite3.connect(state / "ops.db") as db:
        db.execute("CREATE TABLE schema_version (version INTEGER NOT NULL)")
        db.execute("INSERT INTO schema_version VALUES (99)")
    return {}


def used_run_id(folder: Path, _: ExitStack) -> dict[str, str]:
    state = folder / ".pe_ray" / "state"
    state.mkdir(parents=True)
    code = (
        "from pe_ray.store.ops import Runs; from pe_ray.store.paths import Home\n"
        "Runs(Home.find()).begin('first', 'train', '0123456789abcdef')"
    )
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
    return {}


def busy_port(folder: Path, stack: ExitStack) -> dict[str, str]:
    listener = stack.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return {"PORT": str(listener.getsockname()[1])}


def loose_key(folder: Path, _: ExitStack) -> dict[str, str]:
    key = folder / "kek"
    key.write_bytes(bytes(32))
    key.chmod(0o644)
    return {"PE_RAY_KEK_FILE": str(key)}


def file_as_home(folder: Path, _: ExitStack) -> dict[str, str]:
    (folder / "notes.txt").touch()
    return {"PE_RAY_HOME": "notes.txt"}


def looping_file(folder: Path, _: ExitStack) -> dict[str, str]:
    (folder / "run.yaml").write_text("extends: run.yaml\n")
    return {}


def double_key(folder: Path, _: ExitStack) -> dict[str, str]:
    (folder / "run.yaml").write_text("train:\n  steps: 5\n  steps: 50\n")
    return {}


BUILD = "pe-ray corpus build --config run.yaml"
ONE_VOICE = "--set 'corpus.sources=[{kind: voice, path: %s}]' --set 'corpus.targets={voice: 1}' --set " + SMALL
ONE_STANDARD = "--set 'corpus.sources=[{kind: standard, path: %s}]' --set 'corpus.targets={standard: 1}' --set " + SMALL

CASES = (
    Case("an unknown setting", "pe-ray train --set train.stpes=50"),
    Case("a value of the wrong type", "pe-ray train --set train.steps=many"),
    Case("a value out of range", "pe-ray train --set model.rank=0"),
    Case("settings that cannot work together", "pe-ray train --set train.window_s=10 --set train.safety_margin_s=20"),
    Case("a run file that is not there", "pe-ray corpus build --config gone.yaml"),
    Case("a run file that extends itself", "pe-ray corpus build --config run.yaml", before=looping_file),
    Case("a setting given twice in a run file", "pe-ray corpus build --config run.yaml", before=double_key),
    *(Case(what, BUILD, before=before, run_file=text) for what, text, before in RUN_FILES),
    Case("a source that is not there", "pe-ray corpus build " + ONE_VOICE % "gone"),
    Case("a source file that is not text", "pe-ray corpus build " + ONE_VOICE % "talk.vtt", code=3, before=binary_file),
    Case("malformed rows", "pe-ray corpus build " + ONE_STANDARD % "rows.jsonl", code=3, before=no_rows_but_one_bad),
    Case(
        "more records wanted than there are", f"pe-ray corpus build --set corpus.min_records=5000 --set {SMALL}", code=3
    ),
    Case("a base that is not there", "pe-ray train --set base=/models/gone"),
    Case("a base of a kind that cannot be exported exactly", "pe-ray train --set base=./gpt", before=other_model),
    Case("a run id of another configuration", "pe-ray train --run-id first", before=used_run_id),
    Case("a training run that does not exist", "pe-ray export --run-id second"),
    Case("a model that does not exist", "pe-ray serve up --set serve.model=crisis@4", code=1),
    Case("a busy port", "pe-ray serve up --set serve.port=$PORT", code=1, before=busy_port),
    Case("a database of a later version", "pe-ray train --run-id x", code=1, before=newer_database),
    Case("a key that others can read", "pe-ray keys create --role operator", code=1, before=loose_key),
    Case("production without an API key", "pe-ray serve up --set serve.mode=production", code=1),
    Case("a home that is a file", "pe-ray doctor", before=file_as_home),
    Case("an option that does not exist", "pe-ray train --stpes 5"),
)


def run(case: Case) -> tuple[int, list[str]]:
    """Exit code of a case and the lines that a user sees, paths of the temporary directory and ports made plain."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())).resolve()
        extra = case.before(folder, stack) if case.before else {}
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("PE_RAY_", "RAY_"))}
        environ |= {"HF_HUB_OFFLINE": "1", "RAY_USAGE_STATS_ENABLED": "0", **extra}
        words = [os.path.expandvars(w) if "$" not in w else w for w in shlex.split(case.command)]
        words = [re.sub(r"\$(\w+)", lambda m: extra[m[1]], w) for w in words]
        if case.run_file:
            (folder / "run.yaml").write_text(case.run_file)
        code, out, err = (_here if case.run_file else _apart)(words[1:], folder, environ)
        lines = [line for line in err.splitlines() if line.startswith("error: ")]
        assert code == case.code, f"{case.command}: exit {code}\n{out}\n{err}"
        assert lines, f"{case.command}: no error line\n{err}"
        assert "Traceback" not in err, err
        plain = [line.replace(str(folder), ".") for line in lines]
        if "PORT" in extra:
            plain = [line.replace(extra["PORT"], "8000") for line in plain]
        return code, [re.sub(r"\b(?:[0-9a-f]{16}){1,2}\b", "<hash>", line) for line in plain]


def _apart(words: list[str], folder: Path, environ: dict[str, str]) -> tuple[int, str, str]:
    """A command in a process of its own: its exit code, stdout and stderr."""
    done = subprocess.run([str(PE_RAY), *words], cwd=folder, env=environ, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def _here(words: list[str], folder: Path, environ: dict[str, str]) -> tuple[int, str, str]:
    """The same in this process."""
    out, err = io.StringIO(), io.StringIO()
    with (
        chdir(folder),
        mock.patch.dict(os.environ, environ, clear=True),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            cli.main(words)
        except SystemExit as ended:
            return int(ended.code or 0), out.getvalue(), err.getvalue()
    raise AssertionError(f"pe-ray {shlex.join(words)} did not exit")


def shown(case: Case, code: int, lines: list[str]) -> str:
    """What the page shows of a case."""
    file = f"```yaml\n{case.run_file}```\n\n" if case.run_file else ""
    said = "\n".join(lines)
    return f"{file}```console\n$ {case.command}\n{said}\n$ echo $?\n{code}\n```\n"


def render() -> str:
    """The page, from running every case."""
    parts = [
        "# What wrong input gets\n",
        "One line per problem: the field, its value, and what would be right. Exit codes: 1 failed, 2 the input is\n"
        "wrong, 3 a gate was not met. `PE_RAY_DEBUG=1` adds the traceback.\n\n"
        "Produced by `python -m tests.errors_page`.\n",
    ]
    for case in CASES:
        parts.append(f"## {case.what[0].upper()}{case.what[1:]}\n\n{shown(case, *run(case))}")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(render())
    print(PAGE)
