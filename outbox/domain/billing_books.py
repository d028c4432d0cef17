"""Stripe's books beside ours: what differs, why, how much is at stake, and what mends it; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from outbox.domain.billing_facts import Known, Role, Wish
from outbox.domain.billing_objects import (
    Customer,
    Invoice,
    Json,
    Subscription,
    account_of,
    customer_of,
)
from outbox.domain.billing_reading import MalformedObjectError, read
from outbox.domain.billing_rules import PRICE_CENTS, Finding
from outbox.domain.billing_status import TERMINAL


class Repair(StrEnum):
    """What mends a difference."""

    ASK = "ask"
    """Stripe is asked how the object is, and its answer is taken."""
    END = "end"
    """A command ends at Stripe what nobody should pay for."""
    PERSON = "person"
    """Nothing that may be done without somebody who knows why."""


class Cause(Struct, frozen=True):
    """One kind of difference."""

    why: str
    repair: Repair


CAUSES: Mapping[str, Cause] = {
    "free_subscribed": Cause(
        "free for ever, and Stripe has a subscription that is not over", Repair.END
    ),
    "second_subscription": Cause("another subscription of the account is not over", Repair.END),
    "end_not_carried_out": Cause("ended by the person's wish, and goes on at Stripe", Repair.END),
    "not_ours": Cause("at Stripe, and we have never heard of it", Repair.ASK),
    "not_theirs": Cause("we have it, and Stripe does not", Repair.PERSON),
    "no_account": Cause("carries the id of an account that we do not have", Repair.PERSON),
    "second_customer": Cause("another customer of the account", Repair.PERSON),
    "status": Cause("its status differs", Repair.ASK),
    "period": Cause("trial or period differ", Repair.ASK),
    "ending": Cause("whether it ends differs", Repair.ASK),
    "price": Cause("it is for another price", Repair.PERSON),
    "invoice": Cause("its newest invoice differs", Repair.ASK),
    "details": Cause("what is charged, or credit, differs", Repair.ASK),
    "unread": Cause("of a shape that this version cannot read", Repair.PERSON),
}
"""By name, the worst first."""


class Ours(Struct, frozen=True, kw_only=True):
    """What we have of the objects of a page and their accounts."""

    subscriptions: Mapping[str, Subscription] = {}
    invoices: Mapping[str, Invoice] = {}
    customers: Mapping[str, Customer] = {}
    """By Stripe's name; of accounts that have one."""
    accounts: Mapping[str, Known] = {}
    owners: Mapping[str, str] = {}
    """Accounts by the name of a customer, subscription or invoice."""
    live: Mapping[str, frozenset[str]] = {}
    """By account: its subscriptions that are not over."""
    busy: frozenset[str] = frozenset()
    """Accounts with a command under way: what differs may be about to end."""
    price: str | None = None
    """The only one there may be; null: not known."""


def names(value: Json) -> tuple[set[str], set[str]]:
    """Names of objects and accounts that a comparison of one object needs to know."""
    objects = {str(value.get("id"))}
    invoice = value.get("latest_invoice")
    if isinstance(invoice, Mapping):
        objects.add(str(invoice.get("id")))
    elif isinstance(invoice, str):
        objects.add(invoice)
    customer = customer_of(value)
    if customer is not None:
        objects.add(customer)
    account = account_of(value)
    return objects, set() if account is None else {account}


def is_ours(value: Json, ours: Ours) -> bool:
    """Whether an object at Stripe is of an account of ours, by its word or by what we know."""
    return _account(value, ours) is not None


def _account(value: Json, ours: Ours) -> str | None:
    customer = customer_of(value)
    known = ours.owners.get(str(value.get("id")))
    return account_of(value) or known or (ours.owners.get(customer) if customer else None)


def compare(value: Json, ours: Ours) -> list[Finding]:
    """What differs about one customer or subscription as Stripe has it."""
    account = _account(value, ours)
    if account is None or account in ours.busy:
        return []
    name = str(value.get("id"))
    try:
        theirs = read(value)
    except MalformedObjectError:
        return [_found("unread", name, account, 0, "cannot be read")]
    if isinstance(theirs, Subscription):
        return list(_subscription(theirs, value, account, ours))
    if isinstance(theirs, Customer):
        return list(_customer(theirs, account, ours))
    return []


def missing(name: str, ours: Ours) -> list[Finding]:
    """What differs where Stripe does not have what we have."""
    account = ours.owners.get(name)
    one = ours.subscriptions.get(name)
    if account is None or account in ours.busy:
        return []
    amount = PRICE_CENTS if one is not None and one.status not in TERMINAL else 0
    what = "a customer" if one is None else f"a subscription, {one.status}"
    return [_found("not_theirs", name, account, amount, f"we have {what}")]


def _found(cause: str, name: str, account: str | None, amount: int, detail: str) -> Finding:
    return Finding(cause=cause, object=name, account=account, amount=amount, detail=detail)


def _subscription(theirs: Subscription, value: Json, account: str, ours: Ours) -> Iterator[Finding]:
    live = theirs.status not in TERMINAL
    amount = _monthly(value) if live else 0
    known = ours.accounts.get(account)
    if known is None:
        yield _found("no_account", theirs.id, account, amount, theirs.status)
        return
    others = ours.live.get(account, frozenset()) - {theirs.id}
    if live and (known.role is Role.MEMBER or known.member_at is not None):
        yield _found("free_subscribed", theirs.id, account, amount, theirs.status)
    elif live and others:
        yield _found("second_subscription", theirs.id, account, amount, f"and {min(others)}")
    elif live and _should_end(theirs, known):
        detail = f"{known.wish}, and {theirs.status} at Stripe"
        yield _found("end_not_carried_out", theirs.id, account, amount, detail)
    if live and ours.price is not None and theirs.price != ours.price:
        yield _found("price", theirs.id, account, amount, f"{theirs.price}")
    one = ours.subscriptions.get(theirs.id)
    if one is None:
        yield _found("not_ours", theirs.id, account, amount, theirs.status)
    else:
        yield from _fields(one, theirs, account, amount)
    yield from _invoice(value.get("latest_invoice"), account, ours)


def _should_end(theirs: Subscription, known: Known) -> bool:
    ending = known.wish is Wish.ENDING and not theirs.cancel_at_period_end
    return known.wish is Wish.ENDED or ending


_FIELDS = {
    "status": ("status", "ended_at"),
    "period": ("trial_end", "period_start", "period_end"),
    "ending": ("cancel_at_period_end",),
    "details": ("price", "collection_paused", "default_method", "customer"),
}


def _fields(
    one: Subscription, theirs: Subscription, account: str, amount: int
) -> Iterator[Finding]:
    for cause, fields in _FIELDS.items():
        apart = [each for each in fields if getattr(one, each) != getattr(theirs, each)]
        if apart:
            words = [f"{each} {_word(one, each)}, Stripe {_word(theirs, each)}" for each in apart]
            yield _found(cause, theirs.id, account, amount, "; ".join(words))


def _word(one: Struct, field: str) -> str:
    value = getattr(one, field)
    return "none" if value is None else str(value)


def _invoice(value: Any, account: str, ours: Ours) -> Iterator[Finding]:  # noqa: ANN401 - JSON
    if not isinstance(value, Mapping):
        return
    try:
        theirs = read(value)
    except MalformedObjectError:
        return
    if not isinstance(theirs, Invoice):
        return
    one = ours.invoices.get(theirs.id)
    if one is None:
        detail = f"not known, Stripe {theirs.status}"
        yield _found("invoice", theirs.id, account, max(theirs.paid, theirs.remaining), detail)
    elif (one.status, one.paid) != (theirs.status, theirs.paid):
        detail = f"{one.status}, {one.paid} paid; Stripe {theirs.status}, {theirs.paid} paid"
        amount = abs(theirs.paid - one.paid) or theirs.remaining
        yield _found("invoice", theirs.id, account, amount, detail)


def _monthly(value: Json) -> int:
    amount = 0
    for item in (value.get("items") or {}).get("data") or []:
        price = item.get("price") or {}
        amount += int(price.get("unit_amount") or 0) * int(item.get("quantity") or 1)
    return amount or PRICE_CENTS


def _customer(theirs: Customer, account: str, ours: Ours) -> Iterator[Finding]:
    one = ours.customers.get(theirs.id)
    if account not in ours.accounts:
        yield _found("no_account", theirs.id, account, 0, "a customer")
    elif one is None:
        if theirs.deleted:
            return
        has = any(owner == account for name, owner in ours.owners.items() if name in ours.customers)
        cause = "second_customer" if has else "not_ours"
        yield _found(cause, theirs.id, account, abs(theirs.credit), "a customer")
    elif one != theirs:
        fields = ("default_method", "credit", "deleted")
        words = [
            f"{each} {_word(one, each)}, Stripe {_word(theirs, each)}"
            for each in fields
            if getattr(one, each) != getattr(theirs, each)
        ]
        amount = abs(one.credit - theirs.credit)
        yield _found("details", theirs.id, account, amount, "; ".join(words))
