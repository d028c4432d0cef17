"""Devices grow old without contact; and whom to ask for a proof that their push still works.

Contact is a registration by the app, or its acknowledgement of a push; which of several devices
acknowledged is not kept, so it counts for all of one person.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec import Struct

from outbox.domain.ids import day_floor
from outbox.domain.readiness import DEAD_DAYS, PROOF, STALE_DAYS, UNPROVEN_DAYS
from outbox.store.connect import Connection
from outbox.store.sql import statement

_LOCK = 7738202
"""First half of the advisory lock that one relay holds while it ages a shard."""

_ACKNOWLEDGED = (
    "EXISTS (SELECT FROM notification n"
    " JOIN receipt r ON r.shard = n.shard AND r.notification = n.id"
    " WHERE n.recipient = d.recipient AND n.id >= %(low)s AND r.notification >= %(low)s"
    " AND r.source = 'app' AND r.rank >= 9)"
)


class Aged(Struct, frozen=True, kw_only=True):
    """What one look at a shard changed."""

    stale: int = 0
    dead: int = 0
    fresh: int = 0
    """Stale ones that were heard of again."""


async def take(connection: Connection, shard: int) -> bool:
    """Keep other relays from this shard until the open transaction ends; false: one is at it."""
    cursor = await connection.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", (_LOCK, shard))
    row = await cursor.fetchone()
    return bool(row and row[0])


async def age(connection: Connection, shard: int) -> Aged:
    """Age the devices of a shard in the open transaction."""
    dead = await _change(
        connection,
        shard,
        "dead_at = now()",
        f"d.dead_at IS NULL AND d.seen_at < now() - %(age)s AND NOT {_ACKNOWLEDGED}",
        days=DEAD_DAYS,
    )
    stale = await _change(
        connection,
        shard,
        "stale_at = now()",
        "d.dead_at IS NULL AND d.stale_at IS NULL AND d.seen_at < now() - %(age)s"
        f" AND NOT {_ACKNOWLEDGED}",
        days=STALE_DAYS,
    )
    fresh = await _change(
        connection,
        shard,
        "stale_at = NULL",
        f"d.dead_at IS NULL AND d.stale_at IS NOT NULL AND {_ACKNOWLEDGED}",
        days=STALE_DAYS,
    )
    return Aged(stale=stale, dead=dead, fresh=fresh)


async def _change(connection: Connection, shard: int, change: str, where: str, *, days: int) -> int:
    age = timedelta(days=days)
    cursor = await connection.execute(
        f"UPDATE device d SET {change} WHERE d.shard = %(shard)s AND {where}".encode(),  # noqa: S608 - our own words
        {"shard": shard, "age": age, "low": day_floor(datetime.now(UTC) - age)},
    )
    return cursor.rowcount


async def unproven(connection: Connection, shard: int, *, after: str, limit: int) -> list[str]:
    """Recipients of a shard, by id, whose push nobody has heard to work for days, nor asked for."""
    age = timedelta(days=UNPROVEN_DAYS)
    cursor = await connection.execute(
        statement("unproven"),
        {
            "shard": shard,
            "after": after,
            "age": age,
            "low": day_floor(datetime.now(UTC) - age),
            "proof": PROOF,
            "limit": limit,
        },
    )
    return [row[0] for row in await cursor.fetchall()]


async def counted(connection: Connection) -> tuple[int, int, int]:
    """How many devices there are: fresh, stale, dead."""
    cursor = await connection.execute(
        "SELECT count(*) FILTER (WHERE dead_at IS NULL AND stale_at IS NULL)::integer,"
        " count(*) FILTER (WHERE dead_at IS NULL AND stale_at IS NOT NULL)::integer,"
        " count(dead_at)::integer FROM device",
    )
    row = await cursor.fetchone()
    return (row[0], row[1], row[2]) if row else (0, 0, 0)
