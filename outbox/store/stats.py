"""How the outbox stands now: counts that touch no sealed column."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
from msgspec import Struct

from outbox.domain.acknowledging import Acknowledgement
from outbox.domain.states import Lane
from outbox.store import acknowledgements, holds
from outbox.store.holds import Hold

_LANES = """
SELECT l.lane, count(d.seq)::integer,
       (count(d.seq) FILTER (WHERE d.due_at <= now() AND d.owner IS NULL))::integer,
       (extract(epoch FROM now() - min(d.due_at) FILTER (WHERE d.due_at <= now())))::float8,
       (count(d.seq) FILTER (WHERE d.owner IS NOT NULL))::integer,
       (count(d.seq) FILTER (WHERE d.work IN (1, 3)))::integer,
       (count(d.seq) FILTER (WHERE d.due_at = 'infinity'))::integer
FROM generate_series(0, 3) l(lane) LEFT JOIN due d ON d.lane = l.lane
GROUP BY l.lane ORDER BY l.lane
"""


class LaneStats(Struct, frozen=True, kw_only=True):
    """One lane."""

    lane: str
    depth: int
    """Notifications that are not final."""
    due: int
    """Of these, due now and in nobody's hands."""
    oldest_s: float | None
    """Age of the oldest one due; null when none is."""
    in_flight: int
    awaiting: int
    """Waiting for a receipt."""
    parked: int


class RelayStats(Struct, frozen=True, kw_only=True):
    """One relay that was seen within 30 s."""

    host: str
    pid: int
    started_at: datetime
    in_flight: int


class Stats(Struct, frozen=True, kw_only=True):
    """Everything."""

    lanes: list[LaneStats]
    inbox_waiting: int
    relays: list[RelayStats]
    partition_days: int
    """Days with partitions, today included."""
    erasures: int
    """People who asked to be forgotten, and are not yet."""
    holds: list[Hold]
    """Providers that a person keeps the relays from calling."""
    acknowledged: list[Acknowledgement]
    """Alerts that somebody on call knows of."""


def read(connection: psycopg.Connection[Any]) -> Stats:
    """Count; scans the hot table once."""
    lanes = [
        LaneStats(
            lane=Lane(row[0]).name.lower(),
            depth=row[1],
            due=row[2],
            oldest_s=row[3],
            in_flight=row[4],
            awaiting=row[5],
            parked=row[6],
        )
        for row in connection.execute(_LANES)
    ]
    waiting = connection.execute("SELECT count(*) FROM inbox WHERE done_at IS NULL").fetchone()
    relays = connection.execute(
        "SELECT host, pid, started_at, in_flight FROM relay"
        " WHERE seen_at > now() - interval '30 seconds' ORDER BY started_at",
    ).fetchall()
    days = connection.execute("SELECT pruuf_partition_days()").fetchone()
    erasures = connection.execute("SELECT count(*) FROM erasure WHERE done_at IS NULL").fetchone()
    return Stats(
        lanes=lanes,
        inbox_waiting=waiting[0] if waiting else 0,
        relays=[
            RelayStats(host=host, pid=pid, started_at=started_at, in_flight=in_flight)
            for host, pid, started_at, in_flight in relays
        ],
        partition_days=days[0] if days else 0,
        erasures=erasures[0] if erasures else 0,
        holds=holds.in_force(connection),
        acknowledged=acknowledgements.in_force(connection),
    )
