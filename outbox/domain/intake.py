"""What the edge hands to the store: an event, prepared, with everything to be sent for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Struct

from outbox.domain.states import Lane


class NewNotification(Struct, frozen=True, kw_only=True):
    """One thing to tell one recipient."""

    id: UUID
    recipient: str
    kind: str
    lane: int
    plan: bytes
    template: str
    locale: str
    content: bytes
    """Sealed."""
    expires_after_s: int
    first_step: int = 0
    """Past 0 when the steps before cannot work: no usable number, say."""
    phone_hash: bytes | None = None
    """Keyed hash of the number it goes to; null when there is none."""
    clears: UUID | None = None
    """Of an all-clear: the alert's notification that it takes back."""
    country: str | None = None
    """Of the number, ISO 3166-1; null when there is none. For figures: nothing is decided by it."""


class Alerted(Struct, frozen=True, kw_only=True):
    """A notification of an ended alert that may have reached somebody."""

    id: UUID
    kind: str
    recipient: str
    locale: str
    content: bytes
    """Sealed, with the number that it went to."""
    subject: str


class CheckedIn(Struct, frozen=True):
    """A confirmed check-in: what it does to the Member's alert."""

    at: datetime


class Missed(Struct, frozen=True):
    """A missed check-in: what it does to the Member's alert."""

    due_at: datetime
    page: NewNotification
    """For the operator, created only if there is nobody else to tell."""


class NewEvent(Struct, frozen=True, kw_only=True):
    """One event, sealed and ready to be stored."""

    id: UUID
    shard: int
    key_shard: int
    source: str
    source_id: str
    type: str
    subject: str
    occurred_at: datetime
    content_hash: bytes
    traceparent: str | None
    """Its trace context (W3C): of the request that brought it, or else as its sender gave it."""
    data: bytes
    """Sealed."""
    keep_key: bool
    """Safety and billing keys are kept for ever."""
    notifications: tuple[NewNotification, ...]
    rule: CheckedIn | Missed | None = None
    tracestate: str | None = None
    fact: object | None = None
    """What it says of something else than alerts: written in the same transaction by whoever knows
    of it; null for most."""


def answer_of(notifications: Sequence[NewNotification]) -> str:
    """The notifications as the 202 lists them, JSON."""
    return msgspec.json.encode(
        [
            {
                "id": str(n.id),
                "recipient": n.recipient,
                "kind": n.kind,
                "lane": Lane(n.lane).name.lower(),
            }
            for n in notifications
        ],
    ).decode()
