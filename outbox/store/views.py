"""What is shown of events and notifications, by API, command line and dashboard alike."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from outbox.domain.states import State
from outbox.domain.timeline import Entry

LIVE = ("pending", "sending", "awaiting_receipt")
"""States that the API names and the due row tells."""

STATES = (*LIVE, *(str(state) for state in State if state is not State.OPEN))
"""All states that the API names."""


class Summary(Struct, frozen=True, kw_only=True):
    """A notification as lists show it."""

    id: UUID
    event_id: UUID
    kind: str
    subject: str
    recipient: str
    lane: str
    state: str
    reason: str | None
    proof: str | None
    channel: str | None
    """The one that reached the recipient; null until then."""
    step: int
    """Position in the plan, from 0."""
    created_at: datetime
    final_at: datetime | None
    expires_at: datetime
    next_at: datetime | None
    """When it is looked at again; null when it is final or parked."""


class PlanStep(Struct, frozen=True, kw_only=True):
    """One step of the plan that it was accepted with."""

    channel: str
    receipt_within_s: int | None
    retry_within_s: int


class Notification(Summary, frozen=True, kw_only=True):
    """A notification with its whole story."""

    attempts: int
    """Calls to providers."""
    plan: list[PlanStep]
    timeline: list[Entry]
    texts_dropped_at: datetime | None = None
    """When its texts, names and number were dropped; null: they are there, sealed."""
    trace_id: str | None = None
    """Of its event, as the tracing backend knows it; null where nobody traced that."""


class EventNotification(Struct, frozen=True, kw_only=True):
    """A notification as its event lists it."""

    id: UUID
    recipient: str
    kind: str
    state: str


class Event(Struct, frozen=True, kw_only=True):
    """An accepted event and what it became."""

    event_id: UUID
    id: str
    """As the backend named it."""
    source: str
    type: str
    subject: str
    occurred_at: datetime
    accepted_at: datetime
    notifications: list[EventNotification]
    trace_id: str | None = None
    """As the tracing backend knows it; null where nobody traced it."""


class Filter(Struct, frozen=True, kw_only=True):
    """Which notifications to list."""

    state: str | None = None
    """One of `STATES`."""
    kind: str | None = None
    recipient: str | None = None
    phone_hashes: tuple[bytes, ...] = ()
    """Of one number, under every look-up key; the dashboard's role may not ask for it."""
    since: datetime | None = None
    """Created at or after this."""
    before: UUID | None = None
    """The cursor: older than this one."""
    limit: int = 50


class Page(Struct, frozen=True):
    """A part of a list, newest first."""

    items: list[Summary]
    next: UUID | None
    """Cursor of the part that follows; null when this is the last."""
