"""How far Stripe's list of events was read: one row, leased, so that one relay reads at a time.

Forward from the newest event that was taken; where there is none, or it is no longer listed, back
in time from the newest, page by page, until the list ends.
"""

from __future__ import annotations

from msgspec import Struct

from outbox.store.connect import Connection

LEASE_S = 60


class Cursor(Struct, frozen=True, kw_only=True):
    """The row; see its table."""

    newest: str | None
    page: str | None
    goal: str | None


async def take(connection: Connection, *, every_s: float) -> Cursor | None:
    """Lease it, if nobody has and it is time; null otherwise."""
    cursor = await connection.execute(
        "UPDATE billing_cursor SET lease_until = now() + %s * interval '1 second'"
        " WHERE shard = 0 AND name = 'events' AND lease_until < now() AND (page IS NOT NULL"
        " OR read_at IS NULL OR read_at < now() - %s * interval '1 second')"
        " RETURNING newest, page, goal",
        (LEASE_S, every_s),
    )
    row = await cursor.fetchone()
    return None if row is None else Cursor(newest=row[0], page=row[1], goal=row[2])


async def put(connection: Connection, cursor: Cursor, *, whole: bool) -> None:
    """Write how far it was read and end the lease; ``whole``: there is nothing more for now."""
    await connection.execute(
        "UPDATE billing_cursor SET newest = %s, page = %s, goal = %s,"
        " lease_until = now() - interval '1 second',"
        " read_at = CASE WHEN %s THEN now() ELSE read_at END WHERE shard = 0 AND name = 'events'",
        (cursor.newest, cursor.page, cursor.goal, whole),
    )
