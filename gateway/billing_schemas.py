"""What the app's backend says of accounts: roles, wishes, and payment methods by Stripe's name."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from gateway.envelope import Envelope, Id, Label
from outbox.domain import billing_facts as facts

Email = Annotated[
    str,
    Meta(min_length=3, max_length=254, pattern=r"^[^\x00-\x20\x7f@]+@[^\x00-\x20\x7f@]+\Z"),
]
# Stripe's name of it. Never a card's number, which this pattern cannot be.
Method = Annotated[str, Meta(max_length=128, pattern=r"^(pm|card|src|ba)_[A-Za-z0-9_]+\Z")]
RoleName = Literal["member", "contact"]
When = Literal["period_end", "now"]


class OpenedAccount(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who opened an account."""

    id: Id
    email: Email
    """Where Stripe sends receipts."""
    role: RoleName
    """A Contact begins a trial of 30 days; a Member never pays."""


class AccountRole(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whose role changed, and to what."""

    id: Id
    role: RoleName


class AccountId(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whose account it is."""

    id: Id


class AccountOpenedData(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Somebody opened an account."""

    account: OpenedAccount
    decided_by: Label | None = None
    """Who decided that it is a Member; kept for ever."""
    reason: Label | None = None
    """And why."""


class RoleChangedData(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Somebody became a Member or a Contact. Whoever was a Member stays free ever after."""

    account: AccountRole
    decided_by: Label | None = None
    """Who decided; kept for ever."""
    reason: Label | None = None
    """And why."""


class CancelledData(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Somebody ends their subscription."""

    account: AccountId
    when: When
    """``now`` gives back what is not used."""


class ResumedData(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Somebody goes on, or begins again."""

    account: AccountId
    when: When = "now"
    """Both mean the same: from now on it does not end."""


class MethodData(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A way to pay."""

    account: AccountId
    payment_method: Method
    """Stripe's id of it, which the app got from Stripe itself."""


class AccountOpened(Envelope, frozen=True, kw_only=True, tag=facts.OPENED):
    """Becomes a customer and a trial at Stripe; for a Member nothing."""

    data: AccountOpenedData


class SubscriptionCancelled(Envelope, frozen=True, kw_only=True, tag=facts.CANCELLED):
    """Ends the subscription, now or with what is paid for."""

    data: CancelledData


class SubscriptionResumed(Envelope, frozen=True, kw_only=True, tag=facts.RESUMED):
    """Lets it go on; after its end it begins anew, without a trial, if there is a card."""

    data: ResumedData


class RoleChanged(Envelope, frozen=True, kw_only=True, tag=facts.ROLE_CHANGED):
    """To a Member: ends payment at once, and for ever."""

    data: RoleChangedData


class MethodAdded(Envelope, frozen=True, kw_only=True, tag=facts.METHOD_ADDED):
    """Attached and made default; what is unpaid is tried again."""

    data: MethodData


class MethodRemoved(Envelope, frozen=True, kw_only=True, tag=facts.METHOD_REMOVED):
    """Detached."""

    data: MethodData


BillingEvent = (
    AccountOpened
    | SubscriptionCancelled
    | SubscriptionResumed
    | RoleChanged
    | MethodAdded
    | MethodRemoved
)
