"""What goes to Stripe and what came back, as the relay and the gateway see it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct

from outbox.domain.billing_plan import Do
from outbox.domain.outcomes import Outcome

REPLAYED = "replayed"
"""Our code for a fault of Stripe's that it repeats for a key: with another one it may work."""


class Request(Struct, frozen=True, kw_only=True):
    """One change at Stripe."""

    do: Do
    key: str
    """Idempotency key: the notification's id and the step."""
    account: str
    notification: str
    customer: str | None = None
    object: str | None = None
    email: str | None = None
    amount: int = 0
    """Cents, where some move."""


class Answered(Struct, frozen=True, kw_only=True):
    """What one call came to, with the object that Stripe answered."""

    outcome: Outcome
    object: dict[str, Any] | None = None
    """Null unless it was a success."""


class Link(Struct, frozen=True, kw_only=True):
    """A page of Stripe where a card can be added."""

    url: str
    expires_at: datetime


class BillingProvider(Protocol):
    """What carries out commands; its adapter fits without knowing the relay."""

    def together(self) -> AbstractContextManager[object]:
        """All calls in here share one deadline."""
        ...

    async def carry_out(self, request: Request) -> Answered:
        """Make one change; never raises for what Stripe or the network does."""
        ...

    async def fetch(self, name: str) -> Answered:
        """An object by its id. Raises like `carry_out`, and `LookupError` for a strange id."""
        ...

    async def customer_for(self, account: str) -> Answered:
        """The customer that carries this account's id; no object where there is none."""
        ...

    async def subscriptions_of(self, customer: str) -> Answered:
        """All of a customer's subscriptions, as a list object."""
        ...

    async def paid_invoices_of(self, subscription: str) -> Answered:
        """The newest paid invoices of a subscription, as a list object, newest first."""
        ...

    async def charge_of(self, invoice: str) -> Answered:
        """The payment of an invoice: its intent, amount and refunds; no object without one."""
        ...

    async def page_of(self, kind: str, after: str | None, since: datetime | None) -> Answered:
        """A page of all ``customers`` or ``subscriptions``, newest first; ended ones too."""
        ...

    async def events_after(self, newest: str | None, page: str | None) -> Answered:
        """A page of events after ``newest``, or, without one, back in time from ``page``."""
        ...
