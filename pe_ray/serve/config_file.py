"""Serve configuration files, read strictly: Ray's own reader accepts a misspelt key without a word."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pe_ray.config.load import read_file
from pe_ray.errors import ConfigError

LOCAL = Path(__file__).parents[2] / "serve_configs" / "local.yaml"


class Part(BaseModel):
    """A part of the file: strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class HttpOptions(Part):
    """Where the proxy listens."""

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    request_timeout_s: float | None = None
    keep_alive_timeout_s: int = 5


class LoggingConfig(Part):
    """What Serve writes about itself."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"
    encoding: Literal["TEXT", "JSON"] = "TEXT"
    enable_access_log: Literal[False] = False
    """Paths hold client ids, so there is no access log."""


class ApplicationPart(Part):
    """One application: `import_path` is module:builder, `args` what the builder is given."""

    name: str
    route_prefix: str
    import_path: str = Field(pattern=r"^[\w.]+:\w+$")
    args: dict[str, Any] = Field(default_factory=dict)


class ServeFile(Part):
    """The whole file."""

    proxy_location: Literal["HeadOnly", "EveryNode", "Disabled"] = "HeadOnly"
    http_options: HttpOptions = HttpOptions()
    logging_config: LoggingConfig = LoggingConfig()
    applications: list[ApplicationPart] = Field(min_length=1)

    def with_args(self, port: int, host: str, args: Mapping[str, Mapping[str, Any]]) -> ServeFile:
        """The same file with another address and, by application name, args laid over its own."""
        applications = [a.model_copy(update={"args": {**a.args, **args.get(a.name, {})}}) for a in self.applications]
        http = self.http_options.model_copy(update={"port": port, "host": host})
        return self.model_copy(update={"http_options": http, "applications": applications})


def load_file(path: Path = LOCAL) -> ServeFile:
    """A checked Serve configuration. Raises ConfigError, a line for each thing that is wrong."""
    data = read_file(path)
    try:
        return ServeFile.model_validate(data)
    except ValidationError as error:
        raise ConfigError(*[f"{path}: {_explain(e)}" for e in error.errors()]) from None


def _explain(error: Mapping[str, Any]) -> str:
    where = ".".join(str(p) for p in error["loc"])
    if error["type"] == "extra_forbidden":
        known = [n for part in _parts() for n in part.model_fields]
        near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1, cutoff=0.5)
        return f"unknown setting {where!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    return f"{where}={error.get('input')!r}: {error['msg'][0].lower()}{error['msg'][1:]}"


def _parts() -> tuple[type[Part], ...]:
    return (ServeFile, HttpOptions, LoggingConfig, ApplicationPart)
