"""Receipts: what the inbox holds becomes state, in any order, any number of times.

State is the maximum over all receipts of a notification; the SQL states how a success and a
failure apply, this module only sorts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from outbox.domain.callbacks import Callback
from outbox.domain.ids import shard_of_id
from outbox.domain.receipts import is_failure, is_success, rank_of
from outbox.store.connect import Connection
from outbox.store.sql import id_range, rows, statement


class Taken(Struct, frozen=True):
    """One inbox row, locked by the open transaction."""

    id: UUID
    body: bytes
    received_at: datetime


class Applied(Struct, frozen=True):
    """What a batch of one shard changed."""

    delivered: int
    lanes: frozenset[int]
    """Lanes in which a row became due at once."""


async def shards_waiting(connection: Connection) -> list[int]:
    """Shards whose inbox holds something, in ascending order."""
    cursor = await connection.execute(
        "SELECT s FROM generate_series(0, 15) s"
        " WHERE EXISTS (SELECT FROM inbox WHERE shard = s AND done_at IS NULL) ORDER BY s",
    )
    return [row[0] for row in await cursor.fetchall()]


async def take(connection: Connection, shard: int, limit: int) -> list[Taken]:
    """Lock the most urgent rows of one shard's inbox that nobody else holds."""
    cursor = await connection.execute(
        statement("inbox_take"),
        {"shard": shard, "limit": limit},
        binary=True,
    )
    return [Taken(*row) for row in await cursor.fetchall()]


async def apply(
    connection: Connection,
    shard: int,
    heard: Sequence[tuple[Taken, Callback]],
) -> Applied:
    """Append the receipts of one shard and move what they move, in the open transaction."""
    ours = [
        (taken, callback, callback.notification)
        for taken, callback in heard
        if callback.notification is not None and shard_of_id(callback.notification) == shard
    ]
    await _append(connection, shard, ours)
    delivered = await _succeed(connection, shard, ours)
    lanes = await _fail(connection, shard, ours)
    done = [
        {"id": taken.id, "note": None if callback.notification else "no reference of ours"}
        for taken, callback in heard
    ]
    await connection.execute(statement("inbox_done"), {"shard": shard, "rows": rows(done)})
    return Applied(delivered, lanes)


_Ours = Sequence[tuple[Taken, Callback, UUID]]


async def _append(connection: Connection, shard: int, ours: _Ours) -> None:
    if not ours:
        return
    receipts = [
        {
            "notification": notification,
            "source": callback.source,
            "said": callback.said,
            "fence": callback.fence,
            "step": callback.step,
            "provider_id": callback.provider_id,
            "status": callback.status,
            "code": callback.code,
            "rank": rank_of(callback.source, callback.status),
            "at": taken.received_at,
        }
        for taken, callback, notification in ours
    ]
    await connection.execute(
        statement("receipts_append"),
        {"shard": shard, "rows": rows(receipts)},
    )


async def _succeed(connection: Connection, shard: int, ours: _Ours) -> int:
    successes = {
        notification: {
            "notification": notification,
            "proof": "app" if callback.source == "app" else "carrier",
            "channel": "push" if callback.source == "app" else "sms",
            "step": callback.step,
        }
        for _, callback, notification in ours
        if is_success(rank_of(callback.source, callback.status))
    }
    if not successes:
        return 0
    cursor = await connection.execute(
        statement("receipts_success"),
        {"shard": shard, "rows": rows(list(successes.values())), **id_range(successes)},
    )
    return len(await cursor.fetchall())


async def _fail(connection: Connection, shard: int, ours: _Ours) -> frozenset[int]:
    failures = {
        (notification, callback.step, callback.fence)
        for _, callback, notification in ours
        if is_failure(rank_of(callback.source, callback.status))
    }
    if not failures:
        return frozenset()
    values = [{"notification": n, "step": step, "fence": fence} for n, step, fence in failures]
    cursor = await connection.execute(
        statement("receipts_failure"),
        {"shard": shard, "rows": rows(values)},
    )
    return frozenset(row[0] for row in await cursor.fetchall())
