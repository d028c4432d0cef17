"""Problems: every error the API answers, as RFC 9457 problem details with a stable type.

``got`` names what kind of thing came, never the thing: a value may be somebody's number or name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Response
from msgspec import Struct

MEDIA_TYPE = "application/problem+json"

RETRY_AFTER_S = 2
"""What a client is asked to wait where nothing better is known."""


class FieldError(Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong with a request."""

    path: str
    """``$.data.member.id`` in a body, ``query.limit`` or ``header.content-type`` elsewhere."""
    got: str
    accepted: str
    index: int | None = None
    """Position of the event in a batch; absent outside of one."""


class Kind(Struct, frozen=True):
    """A class of errors; its page explains it."""

    name: str
    status: HTTPStatus
    title: str
    explanation: str
    """For the page behind the type: what it means, then what to do."""

    @property
    def type(self) -> str:
        """The stable URI reference, relative to this API."""
        return f"/problems/{self.name}"


INVALID = Kind(
    "invalid",
    HTTPStatus.BAD_REQUEST,
    "The request is malformed or invalid",
    "Something in the request is not what this endpoint takes. Each entry of errors names the"
    " place by its path, what kind of thing was found there, and what is accepted. Nothing was"
    " stored; mend the request and send it again.",
)
UNAUTHORIZED = Kind(
    "unauthorized",
    HTTPStatus.UNAUTHORIZED,
    "A valid API key is needed",
    "The request carried no API key, one that does not exist, or one that was revoked. Send"
    " Authorization: Bearer pruuf_… with a key made by: pruuf key create NAME --scope SCOPE.",
)
SCOPE = Kind(
    "scope",
    HTTPStatus.FORBIDDEN,
    "The API key lacks a scope",
    "The key is valid, but was not made for this endpoint. The detail names the scope that is"
    " missing; make another key that has it.",
)
FORGED = Kind(
    "forged",
    HTTPStatus.FORBIDDEN,
    "The signature is missing or not genuine",
    "Callbacks and receipts are believed by their signature alone, and this one does not fit."
    " Nothing was stored. If it should be genuine: for Twilio, PRUUF_PUBLIC_URL must be the very"
    " address that Twilio calls and TWILIO_AUTH_TOKEN the account's token; for Stripe,"
    " STRIPE_WEBHOOK_SECRETS must hold this endpoint's signing secret; for the app, the"
    " receipt_token must be passed on exactly as the push brought it.",
)
NOT_FOUND = Kind(
    "not-found",
    HTTPStatus.NOT_FOUND,
    "There is nothing here",
    "No such address, or nothing is known under this id.",
)
METHOD_NOT_ALLOWED = Kind(
    "method-not-allowed",
    HTTPStatus.METHOD_NOT_ALLOWED,
    "This address does not take that method",
    "The address exists, the method does not. The Allow header lists those that do.",
)
SLOW = Kind(
    "slow",
    HTTPStatus.REQUEST_TIMEOUT,
    "The request did not come in time",
    "The head of a request may take ten seconds, its body half a minute; this one took longer, and"
    " the connection was closed. Nothing was stored. Send it again on a new connection.",
)
CONFLICT = Kind(
    "conflict",
    HTTPStatus.CONFLICT,
    "The current state does not allow this",
    "What was asked for does not fit the state that it is in. Read it again, then decide.",
)
TOO_LARGE = Kind(
    "too-large",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "The request body is too large",
    "A body may hold 1 MiB. Split it into several requests.",
)
UNSUPPORTED_MEDIA_TYPE = Kind(
    "unsupported-media-type",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "The content type is not supported here",
    "The Content-Type header names something that this endpoint does not read, or an encoding"
    " other than UTF-8. The errors name what is accepted.",
)
KEY_REUSED = Kind(
    "key-reused",
    HTTPStatus.UNPROCESSABLE_ENTITY,
    "An event with this source and id has other content",
    "An event is known by its source and id. One with the same two was accepted before, with"
    " different content, so this one was refused; nothing was stored. If it is a new event, give"
    " it an id of its own. If it is the same, send exactly what was sent first.",
)
TOO_MANY_REQUESTS = Kind(
    "too-many-requests",
    HTTPStatus.TOO_MANY_REQUESTS,
    "Too many requests",
    "Wait as long as the Retry-After header says, in seconds, then go on.",
)
INTERNAL = Kind(
    "internal",
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "A fault of this service",
    "This is a bug here, not in the request. The instance names the entry in the log. Posting the"
    " same event again is safe: it is never accepted twice.",
)
UNAVAILABLE = Kind(
    "unavailable",
    HTTPStatus.SERVICE_UNAVAILABLE,
    "It cannot be made durable now",
    "Nothing is confirmed that could be lost, so the request was not accepted: most often the"
    " database is away or overloaded. Send the same request again after Retry-After seconds; an"
    " event that was stored after all is recognised and not sent twice.",
)

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        INVALID,
        UNAUTHORIZED,
        SCOPE,
        FORGED,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        SLOW,
        CONFLICT,
        TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        KEY_REUSED,
        TOO_MANY_REQUESTS,
        INTERNAL,
        UNAVAILABLE,
    )
}


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """Raised anywhere below a route; answered as problem details."""

    def __init__(  # noqa: PLR0913 - the members of a problem, all but two optional
        self,
        kind: Kind,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        retry_after_s: int | None = None,
        instance: str | None = None,
    ) -> None:
        """``detail`` is shown: no personal data. ``retry_after_s`` is for 429 and 503."""
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.instance = instance
        self.retry_after_s: int | None = None
        waits = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS)
        if kind.status in waits:
            self.retry_after_s = retry_after_s or RETRY_AFTER_S
            self.headers["Retry-After"] = str(self.retry_after_s)


def invalid(errors: Sequence[FieldError]) -> Problem:
    """A 400 whose detail is its first error, in words."""
    first = errors[0]
    where = first.path if first.index is None else f"event {first.index}, {first.path}"
    more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    detail = f"{where}: got {first.got}; accepted: {first.accepted}{more}"
    return Problem(INVALID, detail, errors=errors)


class ProblemDetails(Struct, frozen=True, omit_defaults=True):
    """The body of every error answer."""

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[FieldError, ...]
    instance: str | None = None


class ProblemLine(ProblemDetails, frozen=True, omit_defaults=True, kw_only=True):
    """A problem with one line of a stream."""

    line: int
    """From 1, empty lines counted."""
    retry_after_s: int | None = None
    """How long to wait before this line is sent again; absent if that is of no use."""


def _members(problem: Problem) -> dict[str, Any]:
    return {
        "type": problem.kind.type,
        "title": problem.kind.title,
        "status": int(problem.kind.status),
        "detail": problem.detail,
        "errors": problem.errors,
        "instance": problem.instance,
    }


def encoded(problem: Problem) -> bytes:
    """The body of the answer for a problem."""
    return msgspec.json.encode(ProblemDetails(**_members(problem)))


def response(problem: Problem) -> Response[bytes]:
    """The answer for a problem."""
    return Response(
        encoded(problem),
        status_code=int(problem.kind.status),
        media_type=MEDIA_TYPE,
        headers=problem.headers,
    )


def as_line(problem: Problem, line: int) -> bytes:
    """The answer for one line of a stream, without its end."""
    members = _members(problem)
    return msgspec.json.encode(
        ProblemLine(**members, line=line, retry_after_s=problem.retry_after_s),
    )
