"""What became of notifications and of their steps, added up from counted minutes. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct

from observability.burn import Outcomes
from outbox.store.rollup import REACH
from outbox.store.seen_minutes import Minutes

WITHIN_S = (10, 60, 300, 600)
PROVIDERS = {"sms": "twilio", "push": "fcm"}
"""Who carries a channel whose steps are an objective."""


class Reached(Struct, frozen=True, kw_only=True):
    """Notifications that are alike, of one bar."""

    bucket: datetime
    kind: str
    outcome: str
    """``delivered``, ``missed``, ``withdrawn`` or ``open``."""
    sent: bool
    """A provider was called for them."""
    first: str
    """Channel of the first step of the plan."""
    channel: str
    """The one that reached them; empty when none has."""
    why: str
    """Of the delivered, within how many seconds, or ``late``; else the reason, empty for none."""
    country: str
    """Of the number; empty where there is none, or none was kept."""
    n: int

    @property
    def series(self) -> str:
        """Which part of a bar they are."""
        if self.outcome == "delivered":
            return "topic" if self.channel == "topics" else self.channel or "unknown"
        return "not_reached" if self.outcome == "missed" else self.outcome


class Funnel(Struct, kw_only=True):
    """How many of the accepted got how far."""

    accepted: int = 0
    sent: int = 0
    delivered: int = 0
    fallback: int = 0
    """Of the delivered, by another channel than the first of their plan."""
    missed: int = 0
    withdrawn: int = 0
    open: int = 0
    parked: int = 0
    """Of the open, waiting for a person."""
    within: Counter[int]
    """Of the delivered, by the longest time that it can have taken, each counted once."""

    def within_s(self, seconds: int) -> int:
        """Delivered within this time."""
        return sum(n for limit, n in self.within.items() if limit <= seconds)


class Step(Struct, frozen=True, kw_only=True):
    """Steps of one channel that ended alike."""

    bucket: datetime
    channel: str
    kind: str
    outcome: str
    code: str
    country: str
    """Of the number; empty where there is none, or none was kept."""
    n: int


def reached(rows: Iterable[Minutes]) -> list[Reached]:
    """Of counted minutes, what became of notifications."""
    found = []
    for row in rows:
        if row.slo == REACH:
            sent, first, channel, why, country = (*row.code.split("/", 4), "")[:5]
            found.append(
                Reached(
                    bucket=row.bucket,
                    kind=row.kind,
                    outcome=row.outcome,
                    sent=bool(sent),
                    first=first,
                    channel=channel,
                    why=why,
                    country=country,
                    n=row.n,
                )
            )
    return found


def steps(rows: Iterable[Minutes]) -> list[Step]:
    """Of counted minutes, what became of steps; words that came late are none."""
    return [
        Step(
            bucket=row.bucket,
            channel=row.slo,
            kind=row.kind,
            outcome=row.outcome,
            code=row.code.partition("@")[0],
            country=row.code.partition("@")[2],
            n=row.n,
        )
        for row in rows
        if row.slo in PROVIDERS and row.outcome != "late"
    ]


def funnel(rows: Iterable[Reached]) -> Funnel:
    """Add up."""
    found = Funnel(within=Counter())
    for row in rows:
        found.accepted += row.n
        found.sent += row.n if row.sent else 0
        if row.outcome == "delivered":
            found.delivered += row.n
            found.fallback += row.n if row.channel and row.channel != row.first else 0
            if row.why.isdigit():
                found.within[int(row.why)] += row.n
        elif row.outcome == "missed":
            found.missed += row.n
        elif row.outcome == "withdrawn":
            found.withdrawn += row.n
        else:
            found.open += row.n
            found.parked += row.n if row.why else 0
    return found


def outcomes(found: Sequence[Step], channel: str) -> Outcomes:
    """Of one channel's steps, how often each outcome."""
    counted: Counter[str] = Counter()
    for step in found:
        if step.channel == channel:
            counted[step.outcome] += step.n
    return counted
