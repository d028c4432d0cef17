"""What is kept of Stripe's objects: state and reasons, never a card's number, holder or code.

Read from the JSON of webhooks and answers alike, in the shapes of the pinned version; what is not
named here is not kept; `outbox.domain.billing_reading` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

Json = Mapping[str, Any]

ACCOUNT = "pruuf_account"
"""Under this name our id stands in Stripe's metadata."""
NOTIFICATION = "pruuf_notification"
"""And the command that made the object."""


class Subscription(Struct, frozen=True, kw_only=True):
    """A subscription; see the table of this name."""

    id: str
    customer: str
    status: str
    price: str | None
    trial_end: datetime | None
    period_start: datetime | None
    period_end: datetime | None
    cancel_at_period_end: bool
    collection_paused: bool
    canceled_at: datetime | None
    ended_at: datetime | None
    end_reason: str | None
    latest_invoice: str | None
    default_method: str | None
    created_at: datetime


class Invoice(Struct, frozen=True, kw_only=True):
    """An invoice; see the table of this name."""

    id: str
    subscription: str | None
    status: str
    reason: str | None
    currency: str
    due: int
    untaxed: int | None
    """What it comes to without tax, by Stripe's own arithmetic; null: nobody was told."""
    paid: int
    remaining: int
    attempts: int
    next_attempt_at: datetime | None
    period_start: datetime | None
    period_end: datetime | None
    link: str | None
    finalized_at: datetime | None
    paid_at: datetime | None
    created_at: datetime


class PaymentMethod(Struct, frozen=True, kw_only=True):
    """A way to pay; see the table of this name."""

    id: str
    type: str
    expires_at: datetime | None
    attached: bool
    created_at: datetime


class Customer(Struct, frozen=True, kw_only=True):
    """What an account keeps of its customer."""

    id: str
    default_method: str | None
    credit: int
    deleted: bool


class Reversal(Struct, frozen=True, kw_only=True):
    """A refund, a dispute, or a warning; see the table of this name."""

    id: str
    kind: str
    status: str
    amount: int
    currency: str
    reason: str | None
    intent: str | None
    evidence_by: datetime | None
    withdrawn: int | None
    created_at: datetime


Kept = Subscription | Invoice | PaymentMethod | Customer | Reversal


def name_of(value: object) -> str | None:
    """The id of a reference, which is an id or, expanded, the object itself."""
    if isinstance(value, Mapping):
        value = value.get("id")
    return value if isinstance(value, str) else None


def customer_of(value: Json) -> str | None:
    """The customer that an object belongs to; null when it does not say."""
    if value.get("object") == "customer":
        return name_of(value.get("id"))
    return name_of(value.get("customer"))


def account_of(value: Json) -> str | None:
    """Our id, where the object carries it."""
    parent = value.get("parent")
    details = parent.get("subscription_details") if isinstance(parent, Mapping) else None
    for holder in (value, details):
        metadata = holder.get("metadata") if isinstance(holder, Mapping) else None
        found = metadata.get(ACCOUNT) if isinstance(metadata, Mapping) else None
        if isinstance(found, str) and found:
            return found
    return None


def moment(value: object) -> datetime | None:
    """Stripe's time, which is in seconds."""
    return None if value is None else datetime.fromtimestamp(int(value), UTC)  # type: ignore[call-overload]
