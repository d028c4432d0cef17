"""What is true about billing and not told yet, and what of it is no longer true when it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from outbox.domain.billing_notices import Due
from outbox.store.connect import Connection

# Of a list that is read page by page, or was just read and is not applied yet, a later page may
# end what an earlier one began: nobody is told in between. Neither lasts, whatever Stripe does, and
# what came after it was read, as some always does, is not waited for.
_CATCHING_UP = (
    "SELECT FROM billing_cursor c WHERE c.shard = 0 AND c.name = 'events'"
    " AND ((c.page IS NOT NULL AND c.lease_until > now() - interval '10 minutes')"
    " OR (c.read_at > now() - interval '10 minutes' AND EXISTS ("
    " SELECT FROM inbox i WHERE i.provider = 'stripe' AND i.done_at IS NULL"
    " AND i.received_at <= c.read_at)))"
)


async def due(connection: Connection, *, limit: int) -> list[Due]:
    """What nobody was told yet; nothing while Stripe's list of events is caught up with."""
    fields = Due.__struct_fields__
    cursor = await connection.execute(
        f"SELECT {', '.join(fields)} FROM billing_told t WHERE NOT EXISTS ("  # noqa: S608 - fixed names
        " SELECT FROM billing_notice n WHERE n.shard = t.shard AND n.account = t.account"
        " AND n.what = t.what AND n.period = t.period)"
        f" AND NOT EXISTS ({_CATCHING_UP}) ORDER BY shard, account, what LIMIT %s",
        (limit,),
    )
    return [Due(**dict(zip(fields, row, strict=True))) for row in await cursor.fetchall()]


async def take(connection: Connection, told: Due, notification: UUID) -> bool:
    """Note, in the open transaction, that it is told by this; false: somebody else tells it."""
    cursor = await connection.execute(
        "INSERT INTO billing_notice (shard, account, what, period, notification)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (told.shard, told.account, told.what, told.period, notification),
    )
    return cursor.rowcount == 1


async def whom(
    connection: Connection, shard: int, account: str
) -> tuple[bytes | None, str, str] | None:
    """An account's person as a recipient: sealed number, language, zone; null: not stored."""
    cursor = await connection.execute(
        "SELECT phone, locale, timezone FROM recipient WHERE shard = %s AND id = %s",
        (shard, account),
    )
    row = await cursor.fetchone()
    return None if row is None else (row[0], row[1], row[2])


async def untrue(
    connection: Connection, notifications: Sequence[tuple[int, UUID]]
) -> frozenset[UUID]:
    """Those that say what is not so any more."""
    cursor = await connection.execute(
        "SELECT n.notification FROM unnest(%s::smallint[], %s::uuid[]) AS r (shard, id)"
        " JOIN billing_notice n ON n.shard = r.shard AND n.notification = r.id"
        " WHERE NOT EXISTS (SELECT FROM billing_told t WHERE t.shard = n.shard"
        " AND t.account = n.account AND t.what = n.what AND t.period = n.period)",
        ([shard for shard, _ in notifications], [each for _, each in notifications]),
    )
    return frozenset(row[0] for row in await cursor.fetchall())
