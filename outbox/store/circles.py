"""Who is told about whom: read from what was sent lately, newest first.

A Contact belongs to a Member as long as check-ins of that Member are told to them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from msgspec import Struct

from outbox.domain.ids import day_floor, shard_of
from outbox.store.connect import Connection

_LATELY = timedelta(days=30)
_CHECKINS = ["checkin.confirmed", "checkin.missed", "checkin.all_clear"]


class Bond(Struct, frozen=True, kw_only=True):
    """One Contact of one Member, by the newest notification that was for them."""

    member: str
    recipient: str
    notification: UUID
    locale: str
    content: bytes
    """Sealed; with their number and names."""


async def bonds_of(connection: Connection, phone_hash: bytes) -> list[Bond]:
    """The Members about whom the person of this number is told."""
    cursor = await connection.execute(
        "SELECT DISTINCT ON (subject, recipient) subject, recipient, id, locale, content"
        " FROM notification WHERE phone_hash = %s AND id >= %s AND kind = ANY(%s)"
        " AND content_dropped_at IS NULL"
        " ORDER BY subject, recipient, id DESC",
        (phone_hash, day_floor(datetime.now(UTC) - _LATELY), _CHECKINS),
        binary=True,
    )
    return [_bond(row) for row in await cursor.fetchall()]


async def others(connection: Connection, bond: Bond) -> list[Bond]:
    """The other Contacts of the same Member."""
    cursor = await connection.execute(
        "SELECT DISTINCT ON (recipient) subject, recipient, id, locale, content FROM notification"
        " WHERE shard = %s AND subject = %s AND id >= %s AND kind = ANY(%s) AND recipient <> %s"
        " AND content_dropped_at IS NULL"
        " ORDER BY recipient, id DESC",
        (
            shard_of(bond.member),
            bond.member,
            day_floor(datetime.now(UTC) - _LATELY),
            _CHECKINS,
            bond.recipient,
        ),
        binary=True,
    )
    return [_bond(row) for row in await cursor.fetchall()]


async def has_device(connection: Connection, recipient: str) -> bool:
    """Whether a push could reach them."""
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT FROM device WHERE shard = %s AND recipient = %s"
        " AND dead_at IS NULL)",
        (shard_of(recipient), recipient),
    )
    row = await cursor.fetchone()
    return bool(row and row[0])


def _bond(row: tuple[object, ...]) -> Bond:
    names = ("member", "recipient", "notification", "locale", "content")
    return Bond(**dict(zip(names, row, strict=True)))  # type: ignore[arg-type]
