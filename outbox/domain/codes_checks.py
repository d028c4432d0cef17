"""One-time codes: how they look, how long they hold, and what becomes of a guess."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from outbox.domain.ids import time_of_id
from outbox.domain.policy import CODE_HOLDS_S

DIGITS = 6

CHECKS = 5
"""Guesses that are looked at; afterwards the right one is refused as well."""

_OURS = 7
"""Version of our ids, which tells their time."""


class Status(StrEnum):
    """What a caller is told of a guess."""

    APPROVED = "approved"
    """It was right; nothing will be right again."""
    PENDING = "pending"
    """It was not."""
    EXPIRED = "expired"
    """It came too late, or the code was used before."""
    BLOCKED = "blocked"
    """There were too many."""


class Standing(Struct, frozen=True, kw_only=True):
    """A verification before a guess."""

    over: bool
    """Its time is over."""
    used: bool
    checks_left: int


class Checked(Struct, frozen=True):
    """The answer to a guess."""

    status: Status
    checks_left: int
    """0 where no further guess is looked at."""


def new_code(below: Callable[[int], int]) -> str:
    """A code; ``below`` gives unguessable numbers from 0 up to its argument, which is excluded."""
    return f"{below(10**DIGITS):0{DIGITS}d}"


def judge(standing: Standing, *, right: bool) -> tuple[Checked, Standing]:
    """What becomes of a guess, and how the verification stands after it."""
    if standing.over or standing.used:
        return Checked(Status.EXPIRED, 0), standing
    if standing.checks_left == 0:
        return Checked(Status.BLOCKED, 0), standing
    left = standing.checks_left - 1
    after = Standing(over=False, used=right, checks_left=left)
    if right:
        return Checked(Status.APPROVED, 0), after
    return Checked(Status.PENDING if left else Status.BLOCKED, left), after


def decoy_left_s(verification: UUID, now: datetime) -> float:
    """How long an id that nobody was given seems to hold: as one that was given at its time.

    An id of ours tells when it was made, so one made an hour ago must not seem to be alive.
    """
    if verification.version != _OURS:
        return float(CODE_HOLDS_S)
    try:
        age_s = (now - time_of_id(verification)).total_seconds()
    except (OverflowError, ValueError, OSError):
        age_s = 0.0  # a year that no clock shows
    return CODE_HOLDS_S - min(max(age_s, 0.0), float(CODE_HOLDS_S))
