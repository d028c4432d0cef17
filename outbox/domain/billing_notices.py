"""What people are told about billing: each thing once, by push, never to a Member.

What is true at this moment stands in the database's view ``billing_told``; a text is made once for
each account, thing and period, and its truth is asked for again when it is about to be sent.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from outbox.domain.policy import NOTICE as PREFIX

NO_LONGER_TRUE = "no_longer_true"

_KINDS = {
    "trial_7": "trial_ending",
    "trial_3": "trial_ending",
    "trial_1": "trial_ending",
    "access_ending": "access_ending",
    "disputed": "disputed",
    "refunded": "refunded",
    "resumed": "resumed",
}
_ADVICE = {"later": "later", "bank": "bank", "confirm": "confirm"}


class Due(Struct, frozen=True, kw_only=True):
    """Something true that nobody was told yet."""

    shard: int
    account: str
    what: str
    period: str
    """Which trial, invoice, refund, … it is about."""
    at: datetime
    """The time in the text."""
    decline: str | None
    """Why a bank refused; null: it did not, or nobody knows."""


def kind_of(what: str, advice: str) -> str:
    """The kind of a text; ``advice``: what the customer can do about a decline."""
    if what == "payment_failed":
        return f"{PREFIX}payment_failed_{_ADVICE.get(advice, 'card')}"
    return PREFIX + _KINDS[what]


KINDS = tuple(
    sorted(
        {PREFIX + each for each in _KINDS.values()}
        | {kind_of("payment_failed", each) for each in ("", *_ADVICE)}
    )
)
"""All kinds there are."""
