"""From a billing event to its fact and its command, which goes the way of all that is sent."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.billing_schemas import (
    AccountOpened,
    BillingEvent,
    MethodAdded,
    MethodRemoved,
    RoleChanged,
    SubscriptionCancelled,
    SubscriptionResumed,
)
from gateway.problems import FieldError, Problem, invalid
from outbox.domain.billing_facts import STRIPE, Fact, Role, Wish
from outbox.domain.content import Content
from outbox.domain.intake import NewNotification
from outbox.domain.policy import Policy
from outbox.drafts import draft
from outbox.sealing import Sealer

IS_OFF = "billing, which is off here: STRIPE_API_KEY, STRIPE_PRICE_ID, STRIPE_WEBHOOK_SECRETS"
"""What is said of an event that nobody could carry out. Refused, not parked: who posted it learns
at once that nothing will come of it, and an alert behind it does not wait for its repetition."""


def refused(index: int | None) -> Problem:
    """The answer to a billing event where there is no billing."""
    accepted = "the other types, until these are set and the gateway is started again"
    return invalid([FieldError("$.type", IS_OFF, accepted, index)])


def fact_of(event: BillingEvent, sealer: Sealer) -> Fact:
    """What an event says of its account."""
    kind = str(event.__struct_config__.tag)
    why = f"{kind} {event.id}"
    role: Role | None = None
    wish: Wish | None = None
    email: bytes | None = None
    by = event.source
    match event:
        case AccountOpened():
            account = event.data.account
            role, wish = Role(account.role), Wish.SUBSCRIBED
            email = sealer.seal(
                account.email.encode(), table="account", row=account.id, field="email"
            )
        case RoleChanged():
            role = Role(event.data.account.role)
        case SubscriptionCancelled():
            wish = Wish.ENDED if event.data.when == "now" else Wish.ENDING
        case SubscriptionResumed():
            wish = Wish.SUBSCRIBED
        case MethodAdded() | MethodRemoved():
            pass
    if isinstance(event, AccountOpened | RoleChanged):
        by = event.data.decided_by or by
        why = event.data.reason or why
    return Fact(
        account=event.data.account.id,
        type=kind,
        at=event.time or datetime.now(UTC),
        by=by,
        why=why,
        role=role,
        wish=wish,
        opens=isinstance(event, AccountOpened),
        email=email,
    )


def command_of(
    event: BillingEvent,
    *,
    sealer: Sealer,
    policy: Policy,
    shard: int,
) -> NewNotification:
    """The command at Stripe that an event becomes; it decides what to do when it is carried out."""
    named = isinstance(event, MethodAdded | MethodRemoved)
    return draft(
        sealer,
        kind=str(event.__struct_config__.tag),
        recipient=STRIPE,
        locale="en",
        content=Content(about=event.data.payment_method if named else None),  # type: ignore[union-attr]
        shard=shard,
        policy=policy,
    )
