"""The states of a notification and of its due row, and the lanes: the one place that draws them.

    accepted ──▶ pending ──claim──▶ sending ──settle──▶ awaiting_receipt ──receipt──▶ delivered
                    ▲                  │ retry, next step      │ failure or deadline: next step
                    └──────────────────┴──────────────────────┘
                 no step left ──▶ undeliverable │ suppressed     too late ──▶ expired
                 withdrawn    ──▶ cancelled                      needs a person ──▶ parked

What is stored is ``State``; ``pending``, ``sending`` and ``awaiting_receipt`` follow from the
due row, which a notification has if and only if it is not final. CHECK constraints of the
first migration guard the same rules in the database.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class State(StrEnum):
    """Stored state of a notification."""

    OPEN = "open"
    """Has a due row; the live state is told by `live_state`."""
    PARKED = "parked"
    """Waits for a person; its due row stays, at infinity."""
    DELIVERED = "delivered"
    UNDELIVERABLE = "undeliverable"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


FINAL = frozenset(State) - {State.OPEN, State.PARKED}
"""States that only a late success may still change (``undeliverable`` → ``delivered``)."""


class Lane(IntEnum):
    """A class of work with its own capacity; the number is its order of precedence."""

    SAFETY = 0
    CODES = 1
    TRANSACTIONAL = 2
    BULK = 3


class Work(IntEnum):
    """What a due row wants when its time has come."""

    SEND = 0
    """Call the provider for the current step."""
    AWAIT = 1
    """A receipt is to come. Its claim takes the next step where the receipt told of a failure or
    its deadline has passed; before that, it becomes ASK."""
    RESOLVE = 2
    """The outcome of a call is unknown: ask before anything else."""
    ASK = 3
    """The receipt is late: ask the provider what became of the message, and go on waiting."""
    HOLD = 4
    """An all-clear: whether it is sent depends on an alert whose outcome is not known yet."""


def live_state(state: str, *, work: int | None, claimed: bool) -> str:
    """State as the API names it; ``work`` is null when there is no due row."""
    if state != State.OPEN or work is None:
        return state
    if work in {Work.AWAIT, Work.ASK}:
        return "awaiting_receipt"
    return "sending" if claimed or work == Work.RESOLVE else "pending"
