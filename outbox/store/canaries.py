"""Canaries as they are stored: whether another one is due, and the handset that they go to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec import Struct

from outbox.domain.canaries import EVERY_S, SUBJECT
from outbox.domain.ids import day_floor, shard_of
from outbox.store.connect import Connection

_LOCK = 7738205
"""Of the advisory lock that one relay holds while it sends."""


class Handset(Struct, frozen=True):
    """Where canaries go; its number is sealed."""

    phone: bytes | None
    has_device: bool


async def take(connection: Connection) -> bool:
    """Whether canaries are due; keeps other relays away until the open transaction ends."""
    cursor = await connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (_LOCK,))
    held = await cursor.fetchone()
    if not held or not held[0]:
        return False
    # In a later statement, so that it sees what the holder before committed.
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT FROM notification WHERE shard = %(shard)s AND subject = %(subject)s"
        " AND id >= %(low)s AND created_at > now() - %(every)s)",
        {
            "shard": shard_of(SUBJECT),
            "subject": SUBJECT,
            "low": day_floor(datetime.now(UTC) - timedelta(days=1)),
            "every": timedelta(seconds=EVERY_S),
        },
    )
    sent = await cursor.fetchone()
    return not (sent and sent[0])


async def handset(connection: Connection, recipient: str) -> Handset | None:
    """The recipient of canaries; null: nobody of this id is stored."""
    cursor = await connection.execute(
        "SELECT r.phone, EXISTS (SELECT FROM device d WHERE d.shard = r.shard"
        " AND d.recipient = r.id AND d.dead_at IS NULL)"
        " FROM recipient r WHERE r.shard = %s AND r.id = %s",
        (shard_of(recipient), recipient),
    )
    row = await cursor.fetchone()
    return None if row is None else Handset(row[0], row[1])
