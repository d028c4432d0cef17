"""From any exception to a problem: what the client may know, and what the log must know.

Messages of unexpected exceptions can hold what a client sent, so the log gets their type and
where they came from, never their text.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import psycopg
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap
from psycopg import errors
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from gateway import problems
from gateway.problems import FieldError, Problem
from outbox.store.group_commit import DataRefusedError, NotDurableError

_log = logging.getLogger(__name__)

_AnyRequest = Request[Any, Any, Any]

AWAY = (psycopg.OperationalError, psycopg.InterfaceError, errors.ReadOnlySqlTransaction)
"""The database is away, overloaded or a standby: worth another try, whatever was asked."""

_BY_STATUS = {
    HTTPStatus.NOT_FOUND: (problems.NOT_FOUND, "no such address"),
    HTTPStatus.METHOD_NOT_ALLOWED: (
        problems.METHOD_NOT_ALLOWED,
        "this address does not take that method",
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (problems.TOO_LARGE, "a body may hold 1 MiB"),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: (
        problems.UNSUPPORTED_MEDIA_TYPE,
        "this content type is not read here",
    ),
    HTTPStatus.TOO_MANY_REQUESTS: (problems.TOO_MANY_REQUESTS, "too many requests"),
}
_GONE = "client disconnected prematurely"
"""The framework's only mark of a client that went away while it sent."""

_MISMATCH = re.compile(r"Expected `(?P<accepted>[^`]*)`(?:, got `(?P<got>[^`]*)`)?")


def unavailable(detail: str, retry_after_s: int = problems.RETRY_AFTER_S) -> Problem:
    """A 503 that asks to come back."""
    return Problem(problems.UNAVAILABLE, detail, retry_after_s=retry_after_s)


def _problem(_: _AnyRequest, error: Problem) -> Response[bytes]:
    return problems.response(error)


def _not_durable(_: _AnyRequest, error: NotDurableError) -> Response[bytes]:
    return problems.response(unavailable(error.detail, error.retry_after_s))


def _data_refused(_: _AnyRequest, error: DataRefusedError) -> Response[bytes]:
    # Its text is the class of the server's error, which names no value.
    refused = FieldError("$", f"content that cannot be stored ({error})", "text without NUL")
    return problems.response(problems.invalid([refused]))


def _driver(request: _AnyRequest, error: psycopg.Error) -> Response[bytes]:
    if isinstance(error, AWAY):
        _log.warning("the database failed a request: %s", type(error).__name__)
        return problems.response(unavailable("the database cannot be reached"))
    return _unexpected(request, error)


def _wrapped(request: _AnyRequest, error: DBAPIError) -> Response[bytes]:
    cause = error.orig
    if isinstance(cause, psycopg.Error):
        return _driver(request, cause)
    return _unexpected(request, error)


def _busy(_: _AnyRequest, error: PoolTimeoutError) -> Response[bytes]:
    _log.warning("no database connection came free: %s", type(error).__name__)
    return problems.response(unavailable("the database is busy"))


def _http(request: _AnyRequest, error: HTTPException) -> Response[bytes]:
    status = HTTPStatus(error.status_code)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        if error.detail == _GONE:
            _log.info("a client went away in the middle of its request")
            return problems.response(Problem(problems.INVALID, "the request ended early"))
        return _unexpected(request, error)
    if status in _BY_STATUS:
        kind, detail = _BY_STATUS[status]
        return problems.response(Problem(kind, detail, headers=error.headers))
    return problems.response(problems.invalid(_parameters(error.extra)))


def _parameters(extra: dict[str, Any] | list[Any] | None) -> Sequence[FieldError]:
    """The framework's complaints about query, path and header parameters."""
    entries = (
        [entry for entry in extra if isinstance(entry, dict)] if isinstance(extra, list) else []
    )
    found = []
    for entry in entries:
        said = _MISMATCH.match(str(entry.get("message", "")))
        path = f"{entry.get('source', 'query')}.{entry.get('key', '')}"
        accepted = said["accepted"] if said else "see the description of this parameter"
        got = (said["got"] if said else None) or "another value"
        found.append(FieldError(path, got, accepted.replace("|", "or")))
    if not found:
        found.append(FieldError("request", "something malformed", "a request as documented"))
    return found


def _unexpected(request: _AnyRequest, error: Exception) -> Response[bytes]:
    instance = f"urn:uuid:{uuid4()}"
    chain: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        frames = "".join(traceback.format_tb(cause.__traceback__))
        chain.append(f"{type(cause).__module__}.{type(cause).__qualname__}\n{frames}")
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    _log.error(
        "fault %s in %s %s: %s",
        instance,
        request.scope["method"],
        request.scope.get("path_template", "unmatched"),
        "caused by ".join(chain),
    )
    detail = "a fault of this service; it was logged under this instance"
    return problems.response(Problem(problems.INTERNAL, detail, instance=instance))


HANDLERS: ExceptionHandlersMap = {
    Problem: _problem,
    NotDurableError: _not_durable,
    DataRefusedError: _data_refused,
    psycopg.Error: _driver,
    DBAPIError: _wrapped,
    PoolTimeoutError: _busy,
    HTTPException: _http,
    Exception: _unexpected,
}
"""For the app: every exception becomes problem details."""
