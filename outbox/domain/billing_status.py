"""The states of a subscription, as Stripe names them: which may follow which, and which are final.

The one place that draws them; `moves_drawn` puts the drawing into the documentation. The database
guards the set of states, and no row leaves a final one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cache


class Status(StrEnum):
    """Status of a subscription at Stripe."""

    INCOMPLETE = "incomplete"
    """The first payment failed or waits for the customer; 23 hours are left for it."""
    INCOMPLETE_EXPIRED = "incomplete_expired"
    TRIALING = "trialing"
    ACTIVE = "active"
    """Also while it is set to end with its period."""
    PAST_DUE = "past_due"
    """A renewal was not paid; Stripe tries again."""
    UNPAID = "unpaid"
    """Stripe has stopped trying and keeps the subscription."""
    PAUSED = "paused"
    """The trial ended without a card: nothing is charged, nothing is deleted."""
    CANCELED = "canceled"


TERMINAL = frozenset({Status.INCOMPLETE_EXPIRED, Status.CANCELED})
"""Nothing follows these: a later start is another subscription."""

MOVES: Mapping[Status, tuple[Status, ...]] = {
    Status.INCOMPLETE: (Status.ACTIVE, Status.INCOMPLETE_EXPIRED, Status.CANCELED),
    Status.TRIALING: (Status.ACTIVE, Status.PAST_DUE, Status.PAUSED, Status.CANCELED),
    Status.ACTIVE: (Status.PAST_DUE, Status.UNPAID, Status.TRIALING, Status.CANCELED),
    Status.PAST_DUE: (Status.ACTIVE, Status.UNPAID, Status.CANCELED),
    Status.UNPAID: (Status.ACTIVE, Status.CANCELED),
    Status.PAUSED: (Status.ACTIVE, Status.PAST_DUE, Status.CANCELED),
    Status.INCOMPLETE_EXPIRED: (),
    Status.CANCELED: (),
}
"""What Stripe does in one move."""


class Change(StrEnum):
    """How one status follows another."""

    SAME = "same"
    STEP = "step"
    LEAP = "leap"
    """By several moves, of which we have not heard."""
    IMPOSSIBLE = "impossible"
    """Stripe must be asked: what we know, or what we heard, is not so."""


@cache
def _reachable(before: Status) -> frozenset[Status]:
    found: set[Status] = set()
    open_ = [before]
    while open_:
        new = set(MOVES[open_.pop()]) - found
        found |= new
        open_ += new
    return frozenset(found)


def change(before: Status | None, after: Status) -> Change:
    """How ``after`` follows ``before``; null: nothing was known."""
    if before is None or before is after:
        return Change.SAME
    if after in MOVES[before]:
        return Change.STEP
    return Change.LEAP if after in _reachable(before) else Change.IMPOSSIBLE


def moves_drawn() -> Iterator[str]:
    """The machine as a diagram that GitHub draws."""
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield "    [*] --> trialing: opened"
    yield "    [*] --> incomplete: resumed after its end"
    yield "    [*] --> active: resumed after its end"
    for before, following in MOVES.items():
        for after in following:
            yield f"    {before} --> {after}"
        if not following:
            yield f"    {before} --> [*]"
    yield "```"
