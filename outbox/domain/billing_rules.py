"""What must always hold of our own rows about billing, and what to do where it does not.

``billing_rules.sql`` of the store asks for each by its name; a finding names who is concerned.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

PRICE_CENTS = 299
"""A month."""

MOST_CENTS = 389
"""A month with the highest tax, where Stripe did not tell how much of it is tax."""


class Rule(Struct, frozen=True):
    """One rule."""

    why: str
    """What is wrong, said of what breaks it."""
    step: str
    """What to do."""


_AGAIN = "pruuf reconcile stripe --repair"

RULES: Mapping[str, Rule] = {
    "free_subscribed": Rule("free for ever, and has a subscription that is not over", _AGAIN),
    "free_charged": Rule(
        "free for ever, and was charged after that, and it was not paid back",
        "pay it back at Stripe's dashboard, then look why it was charged",
    ),
    "second_subscription": Rule("two subscriptions that are not over", _AGAIN),
    "charged_twice": Rule(
        "two invoices paid for the same time, and none was paid back",
        "pay the later one back at Stripe's dashboard",
    ),
    "beyond_price": Rule(
        "charged more than the price, in another currency, or for another price",
        "compare the invoice with the price at Stripe's dashboard",
    ),
    "no_reason": Rule(
        "has a role or a subscription, and no recorded fact says why",
        "pruuf trace the account; a row was written by hand, or facts are missing",
    ),
    "end_undone": Rule(
        "had ended for good, and is not over any more",
        _AGAIN,
    ),
    "payment_undone": Rule("was paid, and is not any more", _AGAIN),
    "end_not_carried_out": Rule("ended by the person's wish, and the subscription goes on", _AGAIN),
    "paid_and_lost": Rule(
        "ended before the time that was paid for, and nothing went back",
        "pay the rest back at Stripe's dashboard",
    ),
    "never_begun": Rule("opened, and has no subscription since more than a day", _AGAIN),
}
"""By name."""


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that is wrong."""

    cause: str
    object: str
    """Stripe's name of what is wrong, or the account's id."""
    account: str | None
    """Null: of no account of ours."""
    amount: int
    """Cents at stake."""
    detail: str


class Stored(Struct, frozen=True, kw_only=True):
    """A finding as it is stored."""

    source: str
    finding: Finding
    found_at: datetime


def price_faults(price: Mapping[str, Any]) -> list[str]:
    """What is wrong with a price of Stripe, in words; empty: it is what Contacts are told."""
    recurring = price.get("recurring") or {}
    every = f"{recurring.get('interval_count')} {recurring.get('interval')}"
    found = [
        (price.get("active") is not True, "it is archived, so that nobody can subscribe to it"),
        (price.get("currency") != "usd", f"its currency is {price.get('currency')}, not usd"),
        (
            price.get("unit_amount") != PRICE_CENTS,
            f"its amount is {price.get('unit_amount')} cents, not {PRICE_CENTS}",
        ),
        (price.get("billing_scheme") != "per_unit", "it is tiered: the amount may be any"),
        (price.get("transform_quantity") is not None, "it is for a package, not for one"),
        (not recurring, "it is paid once, not each month"),
        (bool(recurring) and every != "1 month", f"it is paid every {every}, not every month"),
        (
            recurring.get("usage_type", "licensed") != "licensed",
            "it is metered: what is paid depends on what is used",
        ),
        (
            recurring.get("trial_period_days") is not None,
            "it has a trial of its own, beside the one that is promised",
        ),
    ]
    return [words for wrong, words in found if wrong]
