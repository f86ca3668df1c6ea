"""Answers to what went wrong: problem documents (RFC 9457) that never repeat what the client sent.

    app = FastAPI()
    problems.install(app)

FastAPI's own answer to a malformed request holds the input, which here is a person's words. Ours names the field and
the kind of error, for at most 16 of them; a name that is no declared field (a client can invent keys) becomes "*".
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from pe_ray import errors
from pe_ray.security.body_guard import BodyGuard, Limits, problem, where

LOG = logging.getLogger("pe_ray.http")
MAX_ERRORS = 16

STATUS: dict[type[Exception], tuple[int, str]] = {
    errors.ClientNotFound: (404, "no such client"),
    errors.AdapterNotFound: (404, "no such adapter"),
    errors.UserError: (422, "the request cannot be used"),
    errors.KeyUnavailable: (503, "the key is not available"),
    errors.PeRayError: (500, "Internal Server Error"),
}
"""Answer by kind of error; a subclass has its nearest ancestor's. Messages stay inside: they may name values."""


class Problem(Exception):
    """An answer to give: raise it where a handler finds that a request cannot go on.

    `title` and `errors` ({"loc": [...], "type": ...}) are sent as they are: keep the client's input out of them.
    """

    def __init__(
        self,
        status: int,
        title: str,
        *,
        errors: Sequence[dict[str, Any]] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(title)
        self.status, self.title, self.errors, self.headers = status, title, list(errors), headers


def install(app: FastAPI, limits: Limits | None = None) -> None:
    """Guard every body of `app` and answer every error with a problem document; call it while the app is built."""
    declared: set[str] = set()

    async def on_validation(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        if not declared:
            declared.update(declared_names(app))
        found = [
            {"loc": [_known(part, declared) for part in e["loc"][:8]], "type": e["type"]}
            for e in error.errors()[:MAX_ERRORS]
        ]
        status = 400 if any(e["type"] == "json_invalid" for e in found) else 422
        return problem(status, "the request does not fit", errors=found)

    async def on_http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        title = error.detail if isinstance(error.detail, str) else None
        return problem(error.status_code, title, headers=dict(error.headers or {}))

    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(errors.PeRayError, on_known)
    app.add_middleware(BodyGuard, limits=limits or Limits())


async def on_problem(_: Request, error: Exception) -> Response:
    """The answer that a `Problem` asks for."""
    assert isinstance(error, Problem)
    more = {"errors": error.errors} if error.errors else {}
    return problem(error.status, error.title, headers=error.headers, **more)


async def on_known(_: Request, error: Exception) -> Response:
    """The answer to one of our own errors, by the table."""
    status, title = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    if status >= 500:
        LOG.error("%s at %s", type(error).__name__, where(error))
    return problem(status, title)


def declared_names(app: FastAPI) -> set[str]:
    """Every parameter and field name that the app's routes declare."""
    document = app.openapi()
    names = {"body", "query", "path", "header", "cookie"}
    for schema in document.get("components", {}).get("schemas", {}).values():
        names |= set(schema.get("properties", {}))
    for methods in document.get("paths", {}).values():
        for operation in methods.values():
            names |= {p["name"] for p in operation.get("parameters", ())}
    return names


def _known(part: Any, declared: set[str]) -> Any:
    return part if isinstance(part, int) or part in declared else "*"
