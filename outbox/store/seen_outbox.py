"""How the outbox stands now, for its page: lanes, relays, breakers, limiters, what is parked."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
from msgspec import Struct

from outbox.domain.acknowledging import Acknowledgement
from outbox.domain.ids import SHARDS
from outbox.domain.states import Lane
from outbox.store import acknowledgements, holds
from outbox.store.holds import Hold
from outbox.store.seen_minutes import clock
from outbox.store.sql import statement
from outbox.store.stats import LaneStats, RelayStats

MOST = 50_000
"""Rows of a lane that are counted; a lane of more is said to have more."""


class Breaker(Struct, frozen=True, kw_only=True):
    """A sender of a provider, as the relays see it."""

    provider: str
    sender: str
    """A keyed hash; empty for the provider as a whole."""
    votes: int
    relays: int
    since: datetime | None
    probing: bool
    """One relay tries whether it works again."""
    hold_until: datetime | None
    """By the provider's own word."""
    on_hold: bool
    """By a person's; `OutboxSeen.holds` says whose."""

    @property
    def is_open(self) -> bool:
        """It is not called: a majority of the relays says so."""
        return self.votes * 2 > self.relays


class Limiter(Struct, frozen=True, kw_only=True):
    """What may still be sent at once from a sender, by a class of lanes."""

    provider: str
    sender: str
    lanes: str
    level: float
    """Calls that no relay has leased yet, at ``at``."""
    at: datetime


class Parked(Struct, frozen=True, kw_only=True):
    """Notifications that wait for a person alike."""

    kind: str
    reason: str
    n: int
    oldest: datetime


class OutboxSeen(Struct, frozen=True, kw_only=True):
    """Everything."""

    at: datetime
    lanes: list[LaneStats]
    relays: list[RelayStats]
    breakers: list[Breaker]
    limiters: list[Limiter]
    parked: list[Parked]
    holds: list[Hold]
    acknowledged: list[Acknowledgement]


def read(connection: psycopg.Connection[Any]) -> OutboxSeen:
    """Read it; the connection's transaction should see one moment."""
    bound = {"lanes": [int(lane) for lane in Lane], "shards": list(range(SHARDS)), "most": MOST}
    relays = connection.execute(
        "SELECT host, pid, started_at, in_flight FROM relay WHERE shard = 0"
        " AND seen_at > now() - interval '30 seconds' ORDER BY started_at LIMIT 100"
    )
    limiters = connection.execute(
        "SELECT provider, sender, class, level, at FROM limiter WHERE shard = 0"
        " ORDER BY level, provider, sender, class LIMIT 50"
    )
    return OutboxSeen(
        at=clock(connection),
        relays=[
            RelayStats(host=host, pid=pid, started_at=at, in_flight=n)
            for host, pid, at, n in relays
        ],
        limiters=[
            Limiter(provider=provider, sender=sender, lanes=lanes, level=level, at=at)
            for provider, sender, lanes, level, at in limiters
        ],
        lanes=[
            LaneStats(
                lane=Lane(lane).name.lower(),
                depth=depth,
                due=due,
                in_flight=in_flight,
                awaiting=awaiting,
                parked=parked,
                oldest_s=oldest,
            )
            for lane, depth, due, in_flight, awaiting, parked, oldest in connection.execute(
                statement("seen_lanes"), bound
            )
        ],
        breakers=[
            Breaker(
                provider=provider,
                sender=sender,
                votes=votes,
                relays=alive,
                since=since,
                probing=probing,
                hold_until=wish,
                on_hold=on_hold,
            )
            for provider, sender, votes, alive, since, probing, wish, on_hold in connection.execute(
                statement("seen_breakers")
            )
        ],
        parked=[
            Parked(kind=kind, reason=reason, n=n, oldest=oldest)
            for kind, reason, n, oldest in connection.execute(statement("seen_parked"), bound)
        ],
        holds=holds.in_force(connection),
        acknowledged=acknowledgements.in_force(connection),
    )
