"""From a run file and overrides to a checked `Config`: one clear line for each thing that is wrong.

extends: base.yaml          # a file beside this one, read first
base: tiny
train: {window_s: 43200}

load("run.yaml", ["train.steps=50"])
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from pe_ray.config.section import Section
from pe_ray.config.tree import Config
from pe_ray.errors import ConfigError


def load(path: str | Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Read a run file (or the defaults), apply `key=value` overrides, and check the whole tree.

    Raises ConfigError with one problem per line.
    """
    data = read_file(Path(path)) if path is not None else {}
    for override in overrides:
        apply_override(data, override)
    return check(data, origin=str(path) if path is not None else "--set")


def check(data: Mapping[str, Any], origin: str = "config") -> Config:
    """A `Config` from plain data; `origin` opens every line of the error."""
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(*[f"{origin}: {explain(e)}" for e in error.errors()]) from None


def read_file(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The mapping in a YAML file, laid over the file that it extends.

    Raises ConfigError if the file is absent, is not YAML, is not a mapping, or extends itself.
    """
    if not path.is_file():
        raise ConfigError(
            f"--config {path}: no such file; give a YAML run file, for example jobs/configs/quickstart.yaml"
        )
    if path.resolve() in seen:
        raise ConfigError(f"{path}: extends itself through {' -> '.join(p.name for p in seen)}")
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML ({_yaml_problem(error)})") from None
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(
            f"{path}: holds a {type(data).__name__}; a mapping of sections (corpus, base, train, ...) is wanted"
        )
    parent = data.pop("extends", None)
    if parent is None:
        return data
    if not isinstance(parent, str):
        raise ConfigError(f"{path}: extends={parent!r} must be the path of another run file")
    return merge(read_file(path.parent / parent, (*seen, path.resolve())), data)


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid on `under`: mappings merge key by key, anything else replaces."""
    out = dict(under)
    for key, value in over.items():
        old = out.get(key)
        out[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return out


def apply_override(data: dict[str, Any], override: str) -> None:
    """Set one field in place from `a.b=value`; the value is read as YAML.

    Raises ConfigError if there is no `=`, a path is empty, or the value is not YAML.
    """
    key, sep, raw = override.partition("=")
    path = key.strip().split(".")
    if not sep or not all(path):
        raise ConfigError(f"--set {override}: write it as section.field=value, for example train.steps=50")
    try:
        value = yaml.load(raw, Loader=_UniqueKeys) if raw.strip() else raw.strip()
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}: the value is not YAML ({_yaml_problem(error)})") from None
    node, model = data, _section(Config)
    for name in path[:-1]:
        model = _section(model.model_fields[name].annotation) if model and name in model.model_fields else None
        child = node.get(name, {})
        if not isinstance(child, dict):  # `base: tiny`, then `--set base.revision=...`
            child = {model.shorthand: child} if model and model.shorthand else {}
        node[name] = child
        node = child
    node[path[-1]] = value


def dump(config: Config) -> str:
    """The whole resolved tree as YAML, as it is saved with a run."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def config_hash(config: Config, sections: Sequence[str] = ("corpus", "base", "model", "train", "export")) -> str:
    """16 hex digits over the sections that decide what a run computes (not where it serves)."""
    data = config.model_dump(mode="json", include=set(sections))
    data.get("train", {}).pop("track", None)  # who looks on changes nothing
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


def explain(error: Mapping[str, Any]) -> str:
    """One line for one pydantic error: the field, its value, and what would be right."""
    loc, kind, value = [str(p) for p in error["loc"]], error["type"], error.get("input")
    where = ".".join(loc)
    if kind == "extra_forbidden":
        fields = _fields_at(error["loc"][:-1])
        near = difflib.get_close_matches(loc[-1], fields, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(fields))}"
        return f"unknown setting {where!r}; {hint}"
    if kind == "value_error":  # our own validators already name field and value
        message = str(error["ctx"]["error"])
        return f"{where}: {message}" if where else message
    message = error["msg"][0].lower() + error["msg"][1:]
    if isinstance(value, Mapping):
        return f"{where}: {message}"
    return f"{where}={value!r}: {message}"


def _fields_at(loc: Sequence[Any]) -> list[str]:
    model: type[Section] | None = Config
    for part in loc:
        if isinstance(part, str) and model and part in model.model_fields:
            model = _section(model.model_fields[part].annotation)
    return list(model.model_fields) if model else []


def _section(annotation: Any) -> type[Section] | None:
    """The section inside an annotation such as `Section`, `tuple[Section, ...]` or `Section | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return typing.cast("type[Section]", annotation)
    if typing.get_origin(annotation) in (tuple, list, typing.Union, types.UnionType):
        found = [_section(a) for a in typing.get_args(annotation) if a is not Ellipsis]
        return next((f for f in found if f), None)
    return None


def _yaml_problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"line {mark.line + 1}: {problem}" if mark else str(problem)


class _UniqueKeys(yaml.SafeLoader):
    """YAML keeps the last of two equal keys without a word; we refuse. And `1e-3` is a number, as everybody expects."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(k, deep=True) for k, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.MarkedYAMLError(problem=f"key {key!r} stands twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


_UniqueKeys.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*\.?[\d_]*|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)
