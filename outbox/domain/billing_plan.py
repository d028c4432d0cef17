"""What a command does next at Stripe: whatever is missing between what is wanted and what is there.

A command does not carry what it does. It looks at all that is known when it is carried out, makes
one change, and looks again, until Stripe agrees. So commands may be repeated, redriven or lose
their answers, and nothing is done twice. Pure.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from outbox.domain import billing_facts as facts
from outbox.domain.billing_facts import Known, Wish
from outbox.domain.billing_objects import Customer, Invoice, Kept, PaymentMethod, Subscription
from outbox.domain.billing_status import TERMINAL, Status


class Do(StrEnum):
    """One change at Stripe; the word is part of the idempotency key."""

    CREATE_CUSTOMER = "create_customer"
    START_TRIAL = "start_trial"
    SUBSCRIBE = "subscribe"
    """Without a trial: it was used before."""
    END_NOW = "end_now"
    """What was paid and not used becomes credit."""
    END_UNPAID = "end_unpaid"
    """At once, without credit: nothing was paid for."""
    END_WITH_PERIOD = "end_with_period"
    GO_ON = "go_on"
    """Takes back that it ends with its period."""
    RESUME = "resume"
    """Of one that paused at the end of its trial."""
    ATTACH = "attach"
    MAKE_DEFAULT = "make_default"
    PAY = "pay"
    """Tries an open invoice again."""
    VOID = "void"
    """Of an open invoice: nobody pays it any more."""
    DETACH = "detach"
    REFUND = "refund"
    """Pays the credit back."""
    CLEAR_CREDIT = "clear_credit"
    """What was paid back is no credit any more."""


class Step(Struct, frozen=True):
    """The next change."""

    do: Do
    object: str | None = None
    """Stripe's name of what it is about; null for what is to be made."""
    amount: int = 0
    """Cents, where some move."""


class Enough(Struct, frozen=True):
    """Nothing is left to do."""

    why: str
    failed: bool = False
    """What was wanted cannot be had."""


class Situation(Struct, frozen=True, kw_only=True):
    """All that is known when a command is carried out."""

    kind: str
    method: str | None = None
    """What a command about a payment method names."""
    known: Known
    customer: str | None = None
    """Null: there is none, or it was deleted."""
    default_method: str | None = None
    credit: int = 0
    """Cents that Stripe holds for the customer."""
    subscriptions: tuple[Subscription, ...] = ()
    """Newest first."""
    invoice: Invoice | None = None
    """The newest one of the newest subscription."""
    charged: str | None = None
    """The payment that credit goes back to; null: nothing was charged, or nobody looked."""
    refundable: int = 0
    """Cents of it that did not go back yet."""
    attached: frozenset[str] = frozenset()
    done: frozenset[str] = frozenset()
    """What this command did already."""

    @property
    def live(self) -> list[Subscription]:
        """Those that are not over, newest first."""
        return [each for each in self.subscriptions if each.status not in TERMINAL]

    @property
    def adds_method(self) -> bool:
        """Whether it is about a new way to pay."""
        return self.kind in {facts.METHOD_ADDED, facts.CARD_SAVED}

    def after(self, do: Do, answer: Kept | None) -> Situation:
        """As it is after a change, by what Stripe answered."""
        done = replace(self, done=self.done | {do})
        match answer:
            case Customer():
                customer = None if answer.deleted else answer.id
                return replace(
                    done,
                    customer=customer,
                    default_method=answer.default_method,
                    credit=answer.credit,
                )
            case Subscription():
                others = [each for each in self.subscriptions if each.id != answer.id]
                made = sorted([answer, *others], key=lambda each: each.created_at, reverse=True)
                return replace(done, subscriptions=tuple(made))
            case Invoice():
                return replace(done, invoice=answer)
            case PaymentMethod():
                change = {answer.id}
                attached = self.attached | change if answer.attached else self.attached - change
                return replace(done, attached=attached)
            case _:
                return done


def next_step(now: Situation) -> Step | Enough:
    """The next change, or why there is none."""
    if not now.known.pays or now.known.wish is Wish.ENDED:
        return _end_all(now)
    live = now.live
    if len(live) > 1:
        # Two for one account: the newest stays.
        return _end(now, live[-1])
    # The trial is promised, also to whoever has asked already that it ends with it.
    begins = now.known.wish is Wish.SUBSCRIBED or not now.subscriptions
    if now.customer is None and begins:
        return Step(Do.CREATE_CUSTOMER)
    step = _about_the_method(now)
    if step is not None:
        return step
    return _to_its_end(now) if now.known.wish is Wish.ENDING else _to_go_on(now)


def _end_all(now: Situation) -> Step | Enough:
    if now.live:
        return _end(now, now.live[0])
    invoice = now.invoice
    if invoice is not None and invoice.status == "open" and Do.VOID not in now.done:
        return Step(Do.VOID, invoice.id)
    step = _give_back(now) or _about_the_method(now)
    if step is not None:
        return step
    if now.known.role is None or now.known.opened_at is None:
        return Enough("the account is not opened yet")
    return Enough("it has ended" if now.known.pays else "nothing is ever charged")


def _end(now: Situation, one: Subscription) -> Step:
    # Credit for a period that was not paid would be somebody else's money.
    paid = one.status == Status.ACTIVE and now.kind != facts.DISPUTE_LOST
    return Step(Do.END_NOW if paid else Do.END_UNPAID, one.id)


def _give_back(now: Situation) -> Step | None:
    """What was paid and not used, after this very command ended it."""
    if Do.END_NOW not in now.done or now.credit <= 0 or Do.CLEAR_CREDIT in now.done:
        return None
    amount = min(now.credit, now.refundable)
    if Do.REFUND in now.done:
        return Step(Do.CLEAR_CREDIT, now.customer, amount)
    if now.charged is None or amount <= 0:
        return None
    return Step(Do.REFUND, now.charged, amount)


def _about_the_method(now: Situation) -> Step | None:
    method = now.method
    if method is None or now.customer is None:
        return None
    if now.kind == facts.METHOD_REMOVED:
        there = method in now.attached and Do.DETACH not in now.done
        return Step(Do.DETACH, method) if there else None
    if not now.adds_method:
        return None
    if method not in now.attached and Do.ATTACH not in now.done:
        return Step(Do.ATTACH, method)
    if now.default_method != method and Do.MAKE_DEFAULT not in now.done:
        return Step(Do.MAKE_DEFAULT, method)
    return None


def _to_its_end(now: Situation) -> Step | Enough:
    for each in now.live:
        if each.status in {Status.PAUSED, Status.INCOMPLETE}:
            # Nothing is paid for: there is no end to wait for.
            return Step(Do.END_UNPAID, each.id)
        if not each.cancel_at_period_end:
            return Step(Do.END_WITH_PERIOD, each.id)
    if not now.subscriptions:
        return Step(Do.START_TRIAL)
    return Enough("it ends with its period" if now.live else "it has ended")


def _to_go_on(now: Situation) -> Step | Enough:
    if not now.live:
        return _to_begin(now)
    one = now.live[0]
    if one.cancel_at_period_end:
        return Step(Do.GO_ON, one.id)
    has_card = now.default_method is not None or one.default_method is not None
    if one.status == Status.PAUSED:
        if has_card and Do.RESUME not in now.done:
            return Step(Do.RESUME, one.id)
        return Enough("no_card", failed=now.kind == facts.RESUMED)
    invoice = now.invoice
    unpaid = invoice is not None and invoice.status == "open"
    if invoice is not None and unpaid and now.adds_method and has_card and Do.PAY not in now.done:
        return Step(Do.PAY, invoice.id)
    return Enough("it is as it is wanted")


def _to_begin(now: Situation) -> Step | Enough:
    if not now.subscriptions:
        return Step(Do.START_TRIAL)
    if Do.SUBSCRIBE in now.done or not _is_wanted_again(now, now.subscriptions[0].ended_at):
        # It ended by itself, and nobody has asked for it since.
        return Enough("it has ended")
    return Enough("no_card", failed=True) if now.default_method is None else Step(Do.SUBSCRIBE)


def _is_wanted_again(now: Situation, ended_at: datetime | None) -> bool:
    if now.kind == facts.RESUMED:
        return True
    wished = now.known.wish_at
    return wished is not None and ended_at is not None and wished > ended_at
