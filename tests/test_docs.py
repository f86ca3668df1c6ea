"""What the pages name exists: links lead somewhere, commands, options and settings are known, run files are valid."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from pe_ray import cli
from pe_ray.bench.__main__ import AREAS
from pe_ray.config import Config, check, load
from pe_ray.config.corpus import TABLE, source_kinds
from pe_ray.config.load import apply_override, merge
from pe_ray.errors import UserError

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
WRONG_ON_PURPOSE = "errors.md"
"""Its commands are wrong; tests/test_errors_page.py runs them."""
RIGHT = [path for path in PAGES if path.name != WRONG_ON_PURPOSE]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")
INLINE = re.compile(r"`([^`\n]+)`")
COMMAND = re.compile(r"(?:^|[\s/])pe-ray ([a-z].*)")
PLACEHOLDER = re.compile(r"<[a-z_-]+>")
"""`<run-id>`: something for the reader to put in."""
SETTING = re.compile(rf"(?:{'|'.join(Config.model_fields)})(?:\.[a-z_]+)+(?=$|[:=\s])")
FILES = (".py", ".md", ".html", ".json", ".jsonl", ".yaml", ".toml", ".parquet", ".db")


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text(path: Path) -> str:
    """A page without its blocks."""
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def blocks(path: Path, *languages: str) -> list[str]:
    return [body for language, body in FENCE.findall(path.read_text(encoding="utf-8")) if language in languages]


def anchors(path: Path) -> set[str]:
    """The names that a page's headings have on the web."""
    titles = re.findall(r"^#+ (.+)$", text(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(path: Path) -> Iterator[str]:
    """Each `pe-ray ...` of a page, in blocks and in the text, without comments and redirections."""
    shown = [line for body in blocks(path, "bash", "console") for line in body.replace("\\\n", " ").splitlines()]
    for said in (*shown, *INLINE.findall(text(path))):
        if found := COMMAND.search(said):
            yield re.split(r"\s[#>]\s", found[1])[0].strip()


def wrong_with(command: str) -> str | None:
    """What of a command line does not exist; None if all of it does."""
    words = shlex.split(PLACEHOLDER.sub("X", command))
    here: Any = typer.main.get_command(cli.app)
    while words and hasattr(here, "commands") and not words[0].startswith("-"):
        name = words.pop(0)
        if name not in here.commands:
            return f"no command {name}"
        here = here.commands[name]
    if here.name == "bench":
        return None if not words or words[0] in AREAS else f"no area {words[0]}"
    options = {name: p for p in here.params for name in (*p.opts, *p.secondary_opts) if name.startswith("-")}
    room = sum(p.param_type_name == "argument" for p in here.params)
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            room -= 1
        elif word not in options:
            return f"no option {word}"
        elif not options[word].is_flag:
            value = words.pop(0) if words else ""
            if word == "--set" and (problem := wrong_setting(value)):
                return problem
    return "too many arguments" if room < 0 else None


def wrong_setting(override: str) -> str | None:
    data: dict[str, Any] = {}
    try:
        apply_override(data, override)
        check(data)
    except UserError as error:
        return str(error)
    return None


def is_setting(name: str) -> bool:
    here: Any = Config
    for part in name.split("."):
        fields = getattr(here, "model_fields", {})
        if part not in fields:
            return False
        here = fields[part].annotation
    return True


def as_run_file(body: str) -> dict[str, Any] | None:
    """A block of YAML as a whole run file; None if it is none, or needs a source that its page has just written."""
    data = yaml.safe_load(body)
    if not isinstance(data, dict) or not data.keys() <= {*Config.model_fields, "extends"}:
        return None
    told = data.get("corpus", {})
    specs = [s if isinstance(s, dict) else {"kind": s} for s in told.get("sources", ())]
    if {s["kind"] for s in specs} - {*source_kinds(), TABLE}:
        return None
    if specs and "targets" not in told:  # a piece of a run file, which shows sources alone
        kinds = {s.get("becomes", s["kind"]) for s in specs}
        told["targets"] = dict.fromkeys(kinds, 1 / len(kinds))
    under = ROOT / "jobs" / "configs" / data.pop("extends", "quickstart.yaml")
    return merge(yaml.safe_load(under.read_text(encoding="utf-8")), data)


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in LINK.findall(text(path)):
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert "://" in target or there.exists(), f"{target} is not there"
        assert not anchor or anchor in anchors(there), f"{target}: there is no such heading"


@pytest.mark.parametrize("path", RIGHT, ids=named)
def test_every_command_exists_with_its_options_and_settings(path: Path) -> None:
    assert not {command: problem for command in commands(path) if (problem := wrong_with(command))}


@pytest.mark.parametrize(
    "command",
    [
        "corpus bild",
        "corpus build --confg x",
        "corpus build --set corpus.formats=[xml]",
        "train --set train.stpes=5",
        "corpus report a b",
        "bench garden",
    ],
)
def test_a_wrong_command_is_seen(command: str) -> None:
    assert wrong_with(command)


@pytest.mark.parametrize("path", RIGHT, ids=named)
def test_every_setting_that_the_text_names_exists(path: Path) -> None:
    found = {match[0] for said in INLINE.findall(text(path)) if (match := SETTING.match(said))}
    assert not [name for name in sorted(found) if not name.endswith(FILES) and not is_setting(name)]


def test_a_wrong_setting_is_seen() -> None:
    assert SETTING.match("corpus.checks.generic_mn")
    assert not is_setting("corpus.checks.generic_mn")
    assert is_setting("corpus.checks.generic_min")


@pytest.mark.parametrize("path", RIGHT, ids=named)
def test_every_run_file_that_a_page_shows_is_valid(path: Path) -> None:
    for body in blocks(path, "yaml"):
        if (data := as_run_file(body)) is not None:
            check(data, named(path))


@pytest.mark.parametrize("path", sorted((ROOT / "jobs" / "configs").glob("*.yaml")), ids=named)
def test_every_bundled_run_file_loads(path: Path) -> None:
    assert load(path).corpus.sources


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_no_page_claims_what_nobody_has_examined(path: Path) -> None:
    assert not re.search(r"(?i)\b(?:compliant|certified|clinically validated)\b", path.read_text(encoding="utf-8"))
