"""From any exception to a problem: what the client may know, and what the log must know.

Messages of unexpected exceptions can hold what a client sent, so the log gets their type and
where they came from, never their text.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import psycopg
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from gateway import problems
from gateway.head import with_head
from gateway.problems import FieldError, Problem
from observability.logs import places
from outbox.store.connect import UNABLE
from outbox.store.group_commit import DataRefusedError, NotDurableError

_log = logging.getLogger(__name__)

AWAY = UNABLE
"""The database is away, overloaded, full or a standby: worth another try, whatever was asked."""

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

_MISMATCH = re.compile(r"Expected `(?P<type>[^`]*)`(?P<bound>[^,`]*)(?:, got `(?P<got>[^`]*)`)?")
_TYPES = {"int": "a whole number", "int | null": "a whole number", "bool": "true or false"}


def unavailable(detail: str, retry_after_s: int = problems.RETRY_AFTER_S) -> Problem:
    """A 503 that asks to come back."""
    return Problem(problems.UNAVAILABLE, detail, retry_after_s=retry_after_s)


def problem_of(error: Exception, where: str) -> Problem:  # noqa: PLR0911 - one per class
    """What a client may know of an exception; ``where`` is said in the log of a fault of ours."""
    match error:
        case Problem():
            return error
        case NotDurableError():
            return unavailable(error.detail, error.retry_after_s)
        case DataRefusedError():
            # Its text is the class of the server's error, which names no value.
            got = f"content that cannot be stored ({error})"
            return problems.invalid([FieldError("$", got, "text without NUL")])
        case DBAPIError() if isinstance(error.orig, psycopg.Error):
            return problem_of(error.orig, where)
        case _ if isinstance(error, AWAY):
            _log.warning("the database failed a request: %s", type(error).__name__)
            return unavailable("the database cannot be reached")
        case PoolTimeoutError():
            _log.warning("no database connection came free: %s", type(error).__name__)
            return unavailable("the database is busy")
        case HTTPException():
            return _http(error, where)
        case _:
            return _unexpected(error, where)


def _http(error: HTTPException, where: str) -> Problem:
    status = HTTPStatus(error.status_code)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        if error.detail == _GONE:
            _log.info("a client went away in the middle of its request")
            return Problem(problems.INVALID, "the request ended early")
        return _unexpected(error, where)
    if status in _BY_STATUS:
        kind, detail = _BY_STATUS[status]
        headers = {name.title(): value for name, value in (error.headers or {}).items()}
        if "Allow" in headers:
            headers["Allow"] = with_head(headers["Allow"])
        return Problem(kind, detail, headers=headers)
    return problems.invalid(_parameters(error.extra))


def _parameters(extra: dict[str, Any] | list[Any] | None) -> Sequence[FieldError]:
    """The framework's complaints about query, path and header parameters."""
    entries = (
        [entry for entry in extra if isinstance(entry, dict)] if isinstance(extra, list) else []
    )
    found = []
    for entry in entries:
        said = _MISMATCH.match(str(entry.get("message", "")))
        source = getattr(entry.get("source"), "value", "query")
        accepted = "text as documented"
        if said is not None:
            accepted = _TYPES.get(said["type"], "text") + said["bound"]
        got = "text" if said is not None and said["got"] else "another value"
        found.append(FieldError(f"{source}.{entry.get('key', '')}", got, accepted))
    if not found:
        found.append(FieldError("request", "something malformed", "a request as documented"))
    return found


def _unexpected(error: Exception, where: str) -> Problem:
    instance = f"urn:uuid:{uuid4()}"
    _log.error("fault %s in %s: %s", instance, where, places(error))
    detail = "a fault of this service; it was logged under this instance"
    return Problem(problems.INTERNAL, detail, instance=instance)


def answer_to(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The answer to a request that ended in an exception."""
    where = f"{request.scope['method']} {request.scope.get('path_template', 'unmatched')}"
    return problems.response(problem_of(error, where))


HANDLERS: ExceptionHandlersMap = {Exception: answer_to}
"""For the app: every exception becomes problem details."""
