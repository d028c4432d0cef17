"""``/v1/events`` and ``/v1/notifications``, read: what became of what was accepted, and why."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from litestar import Request, Router, get
from litestar.params import PathParameter, QueryParameter
from msgspec import Meta, Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import examples
from gateway.auth import requires
from gateway.documented import Answer, documented
from gateway.problems import NOT_FOUND, FieldError, Problem, invalid
from gateway.resources import resources_of
from outbox.domain.ids import parse_id
from outbox.store import listing, reads
from outbox.store.keys import Scope
from outbox.store.reading import run_async
from outbox.store.views import STATES, Event, Filter, Notification, Summary

Read = TypeVar("Read")
EventId = Annotated[str, PathParameter(description="`event_id` of the answer to its post.")]
NotificationId = Annotated[str, PathParameter(description="As the answer to the post lists it.")]

_GUARDS = [requires(Scope.READ)]
_MOST = 200
_Moment = Annotated[datetime, Meta(tz=True)]


class NotificationList(Struct, frozen=True):
    """A part of a list."""

    items: list[Summary]
    next: str | None
    """For ``cursor``, to get the part that follows; null when this is the last."""


@asynccontextmanager
async def _snapshot(request: Request[Any, Any, Any]) -> AsyncIterator[AsyncConnection]:
    """A connection whose statements see one moment: state and timeline must not contradict."""
    async with resources_of(request).engine.connect() as connection:
        yield await connection.execution_options(isolation_level="REPEATABLE READ")


def _found(value: Read | None, what: str) -> Read:
    if value is None:
        raise Problem(NOT_FOUND, f"no {what} has this id")
    return value


def _id(text: str, what: str) -> UUID:
    return _found(parse_id(text), what)


@get(
    "/v1/events/{event:str}",
    guards=_GUARDS,
    opt=documented(
        scope=Scope.READ,
        answers={200: Answer("The event", Event, examples={"an alert": examples.EVENT})},
        problems=(NOT_FOUND,),
    ),
    tags=["events"],
)
async def get_event(request: Request[Any, Any, Any], event: EventId) -> Event:
    """Read an event by the `event_id` of its 202, with the notifications it became."""
    event_id = _id(event, "event")
    async with _snapshot(request) as connection:
        found = await run_async(connection, reads.event(event_id))
    return _found(found, "event")


@get(
    "/v1/notifications/{notification:str}",
    guards=_GUARDS,
    opt=documented(
        scope=Scope.READ,
        answers={
            200: Answer(
                "The notification",
                Notification,
                examples={"by push after all": examples.NOTIFICATION},
            ),
        },
        problems=(NOT_FOUND,),
    ),
    tags=["notifications"],
)
async def get_notification(
    request: Request[Any, Any, Any],
    notification: NotificationId,
) -> Notification:
    """Read a notification with its timeline: attempts, receipts, decisions with their reasons."""
    notification_id = _id(notification, "notification")
    async with _snapshot(request) as connection:
        found = await run_async(connection, reads.notification(notification_id))
    return _found(found, "notification")


@get(
    "/v1/notifications",
    guards=_GUARDS,
    opt=documented(
        scope=Scope.READ,
        answers={
            200: Answer(
                "Newest first",
                NotificationList,
                examples={"the last part": {"items": [examples.SUMMARY], "next": None}},
            ),
        },
    ),
    tags=["notifications"],
)
async def list_notifications(  # noqa: PLR0913, PLR0917 - one per filter
    request: Request[Any, Any, Any],
    in_state: Annotated[
        str | None,
        QueryParameter(
            name="state",
            description="Only those in this state",
            schema_extra={"enum": list(STATES)},
        ),
    ] = None,
    kind: Annotated[str | None, QueryParameter(max_length=128)] = None,
    recipient: Annotated[str | None, QueryParameter(max_length=128)] = None,
    since: Annotated[
        str | None,
        QueryParameter(
            description="Only those accepted at or after this time",
            schema_extra={"format": "date-time"},
        ),
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=_MOST)] = 50,
    cursor: Annotated[
        str | None,
        QueryParameter(max_length=64, description="`next` of the part before"),
    ] = None,
) -> NotificationList:
    """List notifications, newest first."""
    wanted = _filter(in_state, kind, recipient, since, cursor, limit)
    async with _snapshot(request) as connection:
        page = await run_async(connection, listing.notifications(wanted))
    after = None if page.next is None else listing.encode_cursor(page.next)
    return NotificationList(page.items, after)


def _filter(  # noqa: PLR0913, PLR0917 - one per filter
    state: str | None,
    kind: str | None,
    recipient: str | None,
    since: str | None,
    cursor: str | None,
    limit: int,
) -> Filter:
    faults = []
    if state is not None and state not in STATES:
        faults.append(FieldError("query.state", "another value", " or ".join(STATES)))
    faults += [
        FieldError(f"query.{name}", "text with NUL", "text without it")
        for name, value in (("kind", kind), ("recipient", recipient))
        if value is not None and "\0" in value
    ]
    moment = moment_of(since, faults)
    before = None if cursor is None else listing.decode_cursor(cursor)
    if cursor is not None and before is None:
        faults.append(FieldError("query.cursor", "another value", "`next` of the part before"))
    if faults:
        raise invalid(faults)
    return Filter(
        state=state,
        kind=kind,
        recipient=recipient,
        since=moment,
        before=before,
        limit=limit,
    )


def moment_of(text: str | None, faults: list[FieldError]) -> datetime | None:
    """A time of the query, in UTC; what is wrong with it is added to ``faults``."""
    if text is None:
        return None
    try:
        # A + that was not escaped in the address arrives as a space.
        return msgspec.convert(text.replace(" ", "+"), _Moment).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        accepted = "an RFC 3339 time with its zone, like 2026-01-31T09:00:00Z"
        faults.append(FieldError("query.since", "another value", accepted))
        return None


router = Router(
    "/",
    route_handlers=[get_event, get_notification, list_notifications],
)
