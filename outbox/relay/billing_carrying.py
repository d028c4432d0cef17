"""One command in one claim's hands: what is there, the next change, and what it came to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from outbox.domain.billing_facts import STRIPE
from outbox.domain.billing_objects import (
    NOTIFICATION,
    Customer,
    Invoice,
    Kept,
    Subscription,
    name_of,
)
from outbox.domain.billing_plan import Do, Enough, Situation, Step, next_step
from outbox.domain.billing_reading import MalformedObjectError, read
from outbox.domain.billing_requests import Answered, BillingProvider, Request
from outbox.domain.content import Content
from outbox.domain.outcomes import SENT, Outcome, Result
from outbox.sealing import Sealer
from outbox.store.billing_accounts import Account, Command
from outbox.store.billing_learn import Learned, OfNobody
from outbox.store.claims import Claim
from outbox.store.settle import Attempt

_KEYS_KEPT_S = 23 * 3600
"""Stripe keeps idempotency keys for a day; later a lost answer is found by metadata."""

Shape = TypeVar("Shape", Customer, Subscription, Invoice)


class Made(Struct, frozen=True):
    """What a claim came to."""

    attempt: Attempt
    enough: Enough | None
    """Null: there may be more to do."""
    learned: Learned | OfNobody | None


class UnansweredError(Exception):
    """Stripe could not be asked."""

    def __init__(self, outcome: Outcome) -> None:
        """``outcome`` of the question."""
        super().__init__(outcome.code)
        self.outcome = outcome


class Carrying:
    """One command; used once."""

    def __init__(
        self,
        stripe: BillingProvider,
        sealer: Sealer,
        claim: Claim,
        content: Content,
        command: Command,
    ) -> None:
        """``command`` is what is known of it."""
        self._stripe = stripe
        self._sealer = sealer
        self._claim = claim
        self._content = content
        self._past = command.past
        self._account = command.account
        self._seen: list[Kept] = []
        self._ended: list[Subscription] = []
        """What this very command has ended, by Stripe's word."""

    async def run(self) -> Made:
        """Look, make the next change, and tell what came of it."""
        at = datetime.now(UTC)
        account = self._account
        if account is None:
            return self._made(at, nothing("no such account"), Enough("no such account"))
        try:
            now = await self._look(account)
        except UnansweredError as error:
            return self._made(at, error.outcome, None, what="ask")
        step = next_step(now)
        if isinstance(step, Enough):
            return self._made(at, nothing(step.why), step, what="ask")
        answered = await self._stripe.carry_out(self._request(account, now, step))
        if answered.outcome.result not in SENT or answered.object is None:
            return self._made(at, answered.outcome, None)
        kept = _read(answered)
        following = next_step(now.after(step.do, kept))
        # What becomes credit is seen at the customer only.
        ended = isinstance(following, Enough) and step.do is not Do.END_NOW
        enough = following if isinstance(following, Enough) and ended else None
        return self._made(at, answered.outcome, enough, changed=kept)

    def _made(
        self,
        at: datetime,
        outcome: Outcome,
        enough: Enough | None,
        *,
        what: str = "send",
        changed: Kept | None = None,
    ) -> Made:
        learned = None
        if self._account is not None and (self._seen or changed is not None):
            learned = Learned(
                shard=self._account.shard,
                account=self._account.id,
                as_of=self._account.changed,
                seen=tuple(self._seen),
                changed=() if changed is None else (changed,),
            )
        return Made(Attempt(channel=STRIPE, at=at, outcome=outcome, what=what), enough, learned)

    def _request(self, account: Account, now: Situation, step: Step) -> Request:
        notification = str(self._claim.notification)
        spent = self._past.spent.get(step.do, 0)
        key = f"{notification}:{step.do}" + (f":{spent}" if spent else "")
        sealed = account.known.email if step.do is Do.CREATE_CUSTOMER else None
        email = None
        if sealed is not None:
            row = account.id
            email = self._sealer.unseal(sealed, table="account", row=row, field="email").decode()
        return Request(
            do=step.do,
            key=key,
            account=account.id,
            notification=notification,
            customer=now.customer,
            object=step.object,
            email=email,
            amount=step.amount,
        )

    async def _look(self, account: Account) -> Situation:
        """Everything that decides, as Stripe has it now; raises `UnansweredError`."""
        customer = await self._customer(account)
        name = None if customer is None or customer.deleted else customer.id
        subscriptions = await self._subscriptions(account, name)
        invoice = await self._invoice(account, subscriptions)
        now = Situation(
            kind=self._claim.kind,
            method=self._content.about,
            known=account.known,
            customer=name,
            default_method=None if customer is None else customer.default_method,
            credit=0 if customer is None else customer.credit,
            subscriptions=tuple(subscriptions),
            invoice=invoice,
            attached=frozenset(each.id for each in account.methods if each.attached),
            done=self._past.done | ({Do.END_NOW} if self._ended else set()),
        )
        return await self._charged(now)

    async def _customer(self, account: Account) -> Customer | None:
        if account.customer is not None:
            return _one(Customer, await self._ask(self._stripe.fetch(account.customer)), self._seen)
        if self._past.age_s < _KEYS_KEPT_S:
            # A lost answer comes back with the same key.
            return None
        found = await self._ask(self._stripe.customer_for(account.id))
        return None if found is None else _one(Customer, found, self._seen)

    async def _subscriptions(self, account: Account, customer: str | None) -> list[Subscription]:
        known = {each.id: each for each in account.subscriptions}
        if customer is not None:
            page = await self._ask(self._stripe.subscriptions_of(customer))
            for value in (page or {}).get("data") or []:
                one = _one(Subscription, value, self._seen)
                known[one.id] = one
                comment = (value.get("cancellation_details") or {}).get("comment")
                if comment == str(self._claim.notification):
                    self._ended.append(one)
        return sorted(known.values(), key=lambda each: each.created_at, reverse=True)

    async def _invoice(
        self,
        account: Account,
        subscriptions: Sequence[Subscription],
    ) -> Invoice | None:
        """The newest subscription's newest invoice, where it may decide something."""
        name = subscriptions[0].latest_invoice if subscriptions else None
        if name is None:
            return None
        known = next((each for each in account.invoices if each.id == name), None)
        if known is not None and known.status in {"paid", "void"}:
            return known
        return _one(Invoice, await self._ask(self._stripe.fetch(name)), self._seen)

    async def _charged(self, now: Situation) -> Situation:
        """Where credit goes back to, once this command has ended a subscription."""
        if Do.END_NOW not in now.done or now.credit <= 0 or Do.CLEAR_CREDIT in now.done:
            return now
        paid = await self._paid((self._ended or now.subscriptions)[0])
        if paid is None:
            return now
        charge = await self._ask(self._stripe.charge_of(paid.id))
        if charge is None:
            return now
        refunds = charge.get("refunds") or []
        mine = [
            each
            for each in refunds
            if (each.get("metadata") or {}).get(NOTIFICATION) == str(self._claim.notification)
        ]
        back = sum(int(each["amount"]) for each in refunds if each.get("status") != "failed")
        own = sum(int(each["amount"]) for each in mine)
        return replace(
            now,
            charged=name_of(charge.get("payment_intent")),
            # What this very command has paid back is still the amount that it is about.
            refundable=int(charge["amount"]) - back + own,
            done=now.done | ({Do.REFUND} if mine else set()),
        )

    async def _paid(self, ended: Subscription) -> Invoice | None:
        """The newest invoice of a subscription that money was paid for, as Stripe has it.

        Ours may not know of it yet: its webhook can be days late, and money must not wait for it.
        """
        page = await self._ask(self._stripe.paid_invoices_of(ended.id))
        for value in (page or {}).get("data") or []:
            if int(value.get("amount_paid") or 0) > 0:
                return _one(Invoice, value, self._seen)
        return None

    async def _ask(self, asking: Any) -> dict[str, Any] | None:  # noqa: ANN401 - an awaitable
        answered: Answered = await asking
        if answered.outcome.result not in SENT:
            raise UnansweredError(answered.outcome)
        return answered.object


def _read(answered: Answered) -> Kept | None:
    try:
        return None if answered.object is None else read(answered.object)
    except MalformedObjectError:
        # It was done; the next look tells how it is.
        return None


def _one(shape: type[Shape], value: dict[str, Any] | None, seen: list[Kept]) -> Shape:
    try:
        kept = None if value is None else read(value)
    except MalformedObjectError:
        kept = None
    if not isinstance(kept, shape):
        raise UnansweredError(
            Outcome(result=Result.OUTCOME_UNKNOWN, provider=STRIPE, code="malformed_answer"),
        )
    seen.append(kept)
    return kept


def nothing(why: str) -> Outcome:
    """Stripe was asked, and nothing is to be changed."""
    return Outcome(result=Result.ACCEPTED, provider=STRIPE, detail=f"nothing to do: {why}")
