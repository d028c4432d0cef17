"""What an account is entitled to, and why: one pure function of recorded facts.

``billing_cases.csv`` beside this file lists every case; the tests run it, and the documentation
shows it. Alerts never ask for it.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from importlib import resources

from msgspec import Struct

from outbox.domain.billing_facts import GRACE_DAYS, TRIAL_DAYS, Known, Role, Wish
from outbox.domain.billing_status import Status

_TRIAL, _GRACE = timedelta(days=TRIAL_DAYS), timedelta(days=GRACE_DAYS)
_NOT_PAID = "payment_failed"


class Entitlement(StrEnum):
    """What somebody has."""

    MEMBER_FREE = "member_free"
    GRANDFATHERED = "grandfathered"
    TRIALING = "trialing"
    ACTIVE = "active"
    GRACE = "grace"
    """A payment failed lately: nothing is taken away yet."""
    LAPSED = "lapsed"


class Granted(Struct, frozen=True):
    """An entitlement."""

    entitlement: Entitlement
    reason: str
    until: datetime | None = None
    """When it ends by itself; null: it does not, or Stripe decides."""


class Paying(Struct, frozen=True, kw_only=True):
    """What is known of the subscription that counts: the newest live one, else the newest."""

    status: Status
    trial_end: datetime | None = None
    period_end: datetime | None = None
    ends: bool = False
    """With its period."""
    failing_since: datetime | None = None
    """When paying failed for the first time of what is unpaid; null: nothing is."""
    ended_unpaid: bool = False
    """Stripe ended it because nothing was paid."""


def entitlement(  # noqa: C901, PLR0911 - one return for each status
    known: Known,
    paying: Paying | None,
    now: datetime,
) -> Granted:
    """What the facts entitle to at this moment."""
    if known.role is Role.MEMBER:
        return Granted(Entitlement.MEMBER_FREE, "is_member")
    if known.member_at is not None:
        return Granted(Entitlement.GRANDFATHERED, "was_member")
    if paying is None:
        return _before(known, now)
    match paying.status:
        case Status.TRIALING:
            reason = "trial_ends" if paying.ends else "trial"
            return Granted(Entitlement.TRIALING, reason, paying.trial_end)
        case Status.ACTIVE:
            return _active(paying, now)
        case Status.PAST_DUE | Status.UNPAID:
            return _grace(paying, now)
        case Status.PAUSED:
            return Granted(Entitlement.LAPSED, "no_card")
        case Status.INCOMPLETE:
            return Granted(Entitlement.LAPSED, "first_payment_open")
        case Status.INCOMPLETE_EXPIRED:
            return Granted(Entitlement.LAPSED, "first_payment_failed")
        case Status.CANCELED:
            return _ended(paying, now)


def _ended(paying: Paying, now: datetime) -> Granted:
    if not paying.ended_unpaid:
        return _over()
    if paying.failing_since is None:
        return Granted(Entitlement.LAPSED, _NOT_PAID)
    return _grace(paying, now)


def _over() -> Granted:
    return Granted(Entitlement.LAPSED, "cancelled")


def _before(known: Known, now: datetime) -> Granted:
    """Without a subscription: Stripe has not made it yet, or never will."""
    if known.wish is Wish.ENDED:
        return _over()
    if known.opened_at is None:
        return Granted(Entitlement.LAPSED, "not_opened")
    until = known.opened_at + _TRIAL
    if now < until:
        # The trial is promised from the opening, whatever keeps Stripe from beginning it.
        return Granted(Entitlement.TRIALING, "trial_begins", until)
    return Granted(Entitlement.LAPSED, "never_subscribed")


def _active(paying: Paying, now: datetime) -> Granted:
    until = paying.period_end if paying.ends else None
    if paying.period_end is not None and paying.period_end <= now:
        return Granted(Entitlement.ACTIVE, "renewal_awaited", until)
    return Granted(Entitlement.ACTIVE, "paid_ends" if paying.ends else "paid", until)


def _grace(paying: Paying, now: datetime) -> Granted:
    if paying.failing_since is None:
        # Stripe says that it is unpaid, but not since when: nothing is taken on a guess.
        return Granted(Entitlement.GRACE, _NOT_PAID)
    until = paying.failing_since + _GRACE
    if now < until:
        return Granted(Entitlement.GRACE, _NOT_PAID, until)
    return Granted(Entitlement.LAPSED, _NOT_PAID)


FACTORS: Mapping[str, Sequence[str]] = {
    "role": ("member", "contact"),
    "was_member": ("yes", "no"),
    "opened": ("no", "lately", "long_ago"),
    "wish": tuple(Wish),
    "status": ("none", *Status),
    "ends": ("yes", "no"),
    "period": ("open", "over"),
    "failing": ("no", "lately", "long_ago"),
    "ended_unpaid": ("yes", "no"),
}
"""What a case is made of. Lately and long ago: before and after trial or grace have passed."""

ANY = "*"


class Case(Struct, frozen=True):
    """One row of the table: values of the factors, or `ANY`, and what follows."""

    when: Mapping[str, str]
    entitlement: Entitlement
    reason: str


@cache
def cases() -> tuple[Case, ...]:
    """The table of all cases."""
    text = resources.files(__package__).joinpath("billing_cases.csv").read_text("utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return tuple(
        Case(
            {name: row[name] for name in FACTORS},
            Entitlement(row["entitlement"]),
            row["reason"],
        )
        for row in rows
    )
