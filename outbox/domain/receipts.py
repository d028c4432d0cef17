"""Receipts: one total order in which delivered and read beat every failure.

State is the maximum over all receipts of a notification, so it is the same whatever the order,
repetition or delay in which they arrive.
"""

from __future__ import annotations

from enum import IntEnum


class Rank(IntEnum):
    """Order of all that a provider or the app may say about one call."""

    NONE = 0
    ACCEPTED = 1
    QUEUED = 2
    SENDING = 3
    SENT = 4
    FAILED = 8
    DELIVERED = 9
    READ = 10


_TWILIO = {
    "accepted": Rank.ACCEPTED,
    "scheduled": Rank.ACCEPTED,
    "queued": Rank.QUEUED,
    "sending": Rank.SENDING,
    "sent": Rank.SENT,
    "failed": Rank.FAILED,
    "undelivered": Rank.FAILED,
    "canceled": Rank.FAILED,
    "delivered": Rank.DELIVERED,
    "read": Rank.READ,
}

_APP = {"received": Rank.DELIVERED, "opened": Rank.READ}

RANKS = {
    **{("twilio", status): rank for status, rank in _TWILIO.items()},
    **{("app", status): rank for status, rank in _APP.items()},
}
"""By source and status: what `rank_of` knows, for the audit."""


def rank_of(source: str, status: str) -> Rank:
    """Rank of a receipt; a status we do not know ranks lowest: kept, and moves nothing."""
    table = _APP if source == "app" else _TWILIO
    return table.get(status, Rank.NONE)


def is_success(rank: int) -> bool:
    """Whether the message is known to have reached the handset."""
    return rank >= Rank.DELIVERED


def is_failure(rank: int) -> bool:
    """Whether the call is known to have failed for good."""
    return rank == Rank.FAILED
