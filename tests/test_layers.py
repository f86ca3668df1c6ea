"""Imports point down, strangers do not know each other, and Ray stays at the rim."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "pe_ray"

LAYERS = [
    {"record", "config", "errors"},
    {"store", "security", "monitor"},
    {"safety", "model"},
    {"corpus", "train", "progress"},
    {"tune", "align", "continual", "evaluate", "serve", "review"},
    {"evolve", "agent"},
    {"cli", "quickstart", "bench", "run", "report", "doctor", "cluster"},
]
STRANGERS = [{"corpus", "train"}, {"serve", "progress"}, {"progress", "model"}]
RAY_FILES = {"job.py", "app.py"}
RAY_DOORS = {"cli", "quickstart.py", "cluster.py"}  # inside functions only
NOUN_LIBRARIES = {"pydantic", "pydantic_core", "pyarrow", "yaml", "pe_ray"}

LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}


def violations(path: Path, source: str) -> list[str]:
    """What is wrong with the imports of one file; `path` is relative to the package."""
    found = []
    tree = ast.parse(source)
    room = path.parts[0].removesuffix(".py")
    top_level = {id(n) for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)} - {
        id(n)
        for f in ast.walk(tree)
        if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef)
        for n in ast.walk(f)
        if isinstance(n, ast.Import | ast.ImportFrom)
    }
    for node in ast.walk(tree):
        for name in _imported(node):
            head, *rest = name.split(".")
            if head == "ray" and not _may_use_ray(path, at_top=id(node) in top_level):
                found.append(f"{path}:{node.lineno} imports ray outside job.py, app.py and the doors")
            if head == "pe_ray" and rest and room != "__init__":
                found += [f"{path}:{node.lineno} {p}" for p in _wrong_way(room, rest[0])]
            if LEVEL.get(room) == 0 and not _noun_may_import(head):
                found.append(
                    f"{path}:{node.lineno} imports {head}; nouns and config keep to pydantic, pyarrow and PyYAML"
                )
    return found


def _wrong_way(room: str, other: str) -> list[str]:
    if room == other or other not in LEVEL:
        return []
    assert room in LEVEL, f"pe_ray/{room} has no place in LAYERS"
    if LEVEL[other] > LEVEL[room]:
        return [f"({room}) imports {other}, which stands above it"]
    if any({room, other} == pair for pair in STRANGERS):
        return [f"({room}) imports {other}; they are strangers and meet in record.py or a manifest"]
    return []


def _may_use_ray(path: Path, at_top: bool) -> bool:
    return path.name in RAY_FILES or path.parts[0] == "bench" or (path.parts[0] in RAY_DOORS and not at_top)


def _noun_may_import(head: str) -> bool:
    import sys

    return head in NOUN_LIBRARIES or head in sys.stdlib_module_names


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [a.name for a in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [f"{node.module}.{a.name}" for a in node.names] if node.module == "pe_ray" else [node.module]
    return []


def test_imports_point_down_and_ray_stays_at_the_rim() -> None:
    found = []
    for file in sorted(ROOT.rglob("*.py")):
        found += violations(file.relative_to(ROOT), file.read_text())
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("store/paths.py", "from pe_ray.train.loop import fit"),
        ("corpus/clean.py", "from pe_ray.train import packing"),
        ("serve/gateway.py", "import pe_ray.progress.journal"),
        ("progress/trends.py", "from pe_ray import model"),
        ("train/loop.py", "def f():\n    import ray"),
        ("cli/corpus.py", "import ray"),
        ("record.py", "import numpy"),
        ("config/tree.py", "import torch"),
        ("config/tree.py", "from pe_ray.store import paths"),
    ],
)
def test_a_planted_violation_is_caught(path: str, source: str) -> None:
    assert violations(Path(path), source)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("train/job.py", "import ray.train"),
        ("cli/serving.py", "def up():\n    import ray"),
        ("serve/gateway.py", "from pe_ray.safety.triage import assess"),
        ("corpus/clean.py", "from pe_ray.record import Record"),
    ],
)
def test_what_is_allowed_is_not_reported(path: str, source: str) -> None:
    assert not violations(Path(path), source)
