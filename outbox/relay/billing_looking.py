"""Asks Stripe how one object is, where what it told contradicts itself, or named nobody of ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from outbox.domain.billing_facts import STRIPE
from outbox.domain.billing_objects import Kept, account_of, customer_of, name_of
from outbox.domain.billing_plan import Enough
from outbox.domain.billing_reading import payment_of, read
from outbox.domain.billing_requests import BillingProvider
from outbox.domain.content import Content
from outbox.domain.ids import shard_of
from outbox.domain.outcomes import SENT
from outbox.relay.billing_carrying import Made, UnansweredError, nothing
from outbox.store.billing_learn import Learned, OfNobody
from outbox.store.settle import Attempt

Owner = Callable[[str], Awaitable[tuple[int, str] | None]]
"""The account of a customer."""


class Looking:
    """One look."""

    def __init__(
        self,
        stripe: BillingProvider,
        owner: Owner,
        as_of: Mapping[str, datetime],
    ) -> None:
        """``owner`` knows whose a customer is; ``as_of``: when each known object changed last."""
        self._stripe = stripe
        self._owner = owner
        self._as_of = as_of
        self._kept: list[Kept] = []
        self._declines: dict[str, str] = {}
        self._intents: dict[str, str] = {}

    async def run(self, content: Content) -> Made:
        """Ask, and find whose it is."""
        at, about = datetime.now(UTC), content.about or ""
        try:
            value = await self._fetch(about)
            owner = await self._whose(value)
        except UnansweredError as error:
            attempt = Attempt(channel=STRIPE, at=at, outcome=error.outcome, what="ask")
            return Made(attempt, None, None)
        why = "seen" if owner else "of no account of ours"
        attempt = Attempt(channel=STRIPE, at=at, outcome=nothing(why), what="ask")
        if owner is None:
            return Made(attempt, Enough(why), OfNobody(about))
        learned = Learned(
            shard=owner[0],
            account=owner[1],
            as_of=self._as_of,
            seen=tuple(self._kept),
            declines=self._declines,
            intents=self._intents,
            about=about,
        )
        return Made(attempt, Enough(why), learned)

    async def _fetch(self, name: str) -> dict[str, Any]:
        answered = await self._stripe.fetch(name)
        if answered.outcome.result not in SENT or answered.object is None:
            raise UnansweredError(answered.outcome)
        kept = read(answered.object)
        if kept is not None:
            self._kept.append(kept)
        settled, failure = payment_of(answered.object)
        if settled is not None:
            self._intents[name] = settled
        if failure is not None:
            self._declines[name] = failure
        return answered.object

    async def _whose(self, value: dict[str, Any]) -> tuple[int, str] | None:
        """By its metadata, its customer's, or those of its payment."""
        account = account_of(value)
        if account is not None:
            return shard_of(account), account
        customer = customer_of(value)
        if customer is None:
            intent = name_of(value.get("payment_intent"))
            if intent is None:
                return None
            customer = customer_of(await self._fetch(intent))
        if customer is None:
            return None
        known = await self._owner(customer)
        if known is not None or value.get("object") == "customer":
            return known
        account = account_of(await self._fetch(customer))
        return None if account is None else (shard_of(account), account)
