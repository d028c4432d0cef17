"""What is known of an account by the backend's word: role, wish, and whether it was ever a Member.

Folding facts in any order, any number of times, gives the same: the newest word counts, the first
membership counts for ever, and of two words of one moment the one that charges less.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

TRIAL_DAYS = 30
GRACE_DAYS = 14

STRIPE = "stripe"
"""Recipient, channel and provider of the commands."""

OPENED = "billing.account_opened"
CANCELLED = "billing.subscription_cancelled"
RESUMED = "billing.subscription_resumed"
ROLE_CHANGED = "billing.role_changed"
METHOD_ADDED = "billing.payment_method_added"
METHOD_REMOVED = "billing.payment_method_removed"
LOOK = "billing.look"
"""Our own: what Stripe told contradicts itself, and is asked for."""
CARD_SAVED = "billing.card_saved"
"""Our own: a card was saved on Stripe's page."""
DISPUTE_LOST = "billing.dispute_lost"
"""Our own: a bank took a payment back for good."""
RECONCILED = "billing.reconciled"
"""Our own: the reconciler found what nobody should pay for."""

BACKEND_KINDS = (OPENED, CANCELLED, RESUMED, ROLE_CHANGED, METHOD_ADDED, METHOD_REMOVED)
OWN_KINDS = (LOOK, CARD_SAVED, DISPUTE_LOST, RECONCILED)


class Role(StrEnum):
    """What somebody is in the app."""

    MEMBER = "member"
    """Checks in, and never pays."""
    CONTACT = "contact"
    """Is told, and pays after a trial."""


class Wish(StrEnum):
    """What a Contact wants of the subscription; later ones charge less."""

    SUBSCRIBED = "subscribed"
    ENDING = "ending"
    """At the end of what is paid for."""
    ENDED = "ended"
    """At once; what is not used of the payment goes back."""


_RANK = {each: rank for rank, each in enumerate(Wish)}


class Fact(Struct, frozen=True, kw_only=True):
    """One word of the backend, or of our own."""

    account: str
    type: str
    at: datetime
    """When it was so, never later than when we heard it."""
    by: str
    """Who decided."""
    why: str
    role: Role | None = None
    wish: Wish | None = None
    opens: bool = False
    email: bytes | None = None
    """Sealed; null: not told."""


class Known(Struct, frozen=True, kw_only=True):
    """All words so far."""

    role: Role | None = None
    """Null: neither opened nor given a role."""
    role_at: datetime | None = None
    opened_at: datetime | None = None
    """Null: only other words came yet."""
    member_at: datetime | None = None
    """When it was a Member for the first time; null: it never was."""
    member_by: str | None = None
    member_why: str | None = None
    wish: Wish = Wish.SUBSCRIBED
    wish_at: datetime | None = None
    email: bytes | None = None
    email_at: datetime | None = None

    @property
    def pays(self) -> bool:
        """Whether anything may ever be charged."""
        return self.role is Role.CONTACT and self.member_at is None and self.opened_at is not None


def after(known: Known, fact: Fact) -> Known:
    """What is known with one more word; see the module for what "newest" means."""
    if fact.role is not None and _role_is_newer(known, fact):
        known = replace(known, role=fact.role, role_at=fact.at)
    if fact.role is Role.MEMBER and _is_first_membership(known, fact):
        known = replace(known, member_at=fact.at, member_by=fact.by, member_why=fact.why)
    if fact.opens and (known.opened_at is None or fact.at < known.opened_at):
        known = replace(known, opened_at=fact.at)
    if fact.email is not None and (known.email_at is None or fact.at > known.email_at):
        known = replace(known, email=fact.email, email_at=fact.at)
    if fact.wish is not None and _wish_is_newer(known, fact.wish, fact.at):
        known = replace(known, wish=fact.wish, wish_at=fact.at)
    return known


def _role_is_newer(known: Known, fact: Fact) -> bool:
    if known.role_at is None or fact.at != known.role_at:
        return known.role_at is None or fact.at > known.role_at
    return fact.role is Role.MEMBER


def _is_first_membership(known: Known, fact: Fact) -> bool:
    if known.member_at is None or fact.at != known.member_at:
        return known.member_at is None or fact.at < known.member_at
    return (fact.by, fact.why) < (known.member_by or "", known.member_why or "")


def _wish_is_newer(known: Known, wish: Wish, at: datetime) -> bool:
    if known.wish_at is None or at != known.wish_at:
        return known.wish_at is None or at > known.wish_at
    return _RANK[wish] > _RANK[known.wish]
