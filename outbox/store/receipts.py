"""Receipts: what the inbox holds becomes state, in any order, any number of times.

State is the maximum over all receipts of a notification; the SQL states how a success and a
failure apply, this module only sorts them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from outbox.domain.callbacks import Callback
from outbox.domain.ids import shard_of_id
from outbox.domain.outcomes import Result
from outbox.domain.receipts import is_failure, is_success, rank_of
from outbox.store import suppressions
from outbox.store.connect import Connection
from outbox.store.sql import id_range, rows, statement

Classify = Callable[[str, str | None], Result]
"""What a provider's status and code mean for further texts to the number."""


UNREADABLE = "unreadable"
"""The source of a callback that nobody could open."""


class Taken(Struct, frozen=True):
    """One inbox row, locked by the open transaction."""

    id: UUID
    provider: str
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
        " WHERE EXISTS (SELECT FROM inbox WHERE shard = s AND done_at IS NULL"
        " AND provider <> 'stripe') ORDER BY s",
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
    *,
    classify: Classify,
) -> Applied:
    """Append the receipts of one shard and move what they move, in the open transaction."""
    ours = [
        (taken, callback, callback.notification)
        for taken, callback in heard
        if callback.notification is not None and shard_of_id(callback.notification) == shard
    ]
    await _append(connection, shard, ours, classify)
    succeeded, failed = _successes(ours), _failures(ours)
    if succeeded and failed:
        # Two statements are to come, and rows are locked in one order by all.
        await connection.execute(
            "SELECT FROM due WHERE shard = %s AND notification = ANY(%s)"
            " ORDER BY seq FOR NO KEY UPDATE",
            (shard, [notification for _, _, notification in ours]),
        )
    delivered = await _succeed(connection, shard, succeeded)
    lanes = await _fail(connection, shard, failed)
    notes = {taken.id: _note(callback) for taken, callback in heard}
    gone = await _dropped(connection, shard, [notification for _, _, notification in ours])
    await done(
        connection, shard, notes, dropped={taken.id for taken, _, each in ours if each in gone}
    )
    return Applied(delivered, lanes)


def _note(callback: Callback) -> str | None:
    if callback.source == UNREADABLE:
        return "cannot be read"
    return None if callback.notification else "no reference of ours"


async def _dropped(connection: Connection, shard: int, ids: Sequence[UUID]) -> frozenset[UUID]:
    """Those of these notifications whose texts and numbers are gone."""
    if not ids:
        return frozenset()
    cursor = await connection.execute(
        "SELECT id FROM notification WHERE shard = %(shard)s AND id = ANY(%(ids)s)"
        " AND id BETWEEN %(low_id)s AND %(high_id)s AND content_dropped_at IS NOT NULL",
        {"shard": shard, "ids": list(ids), **id_range(ids)},
    )
    return frozenset(row[0] for row in await cursor.fetchall())


async def senders_of(
    connection: Connection,
    shard: int,
    heard: Sequence[Callback],
) -> frozenset[int]:
    """Places of the senders of the calls that these are about, where they are settled already."""
    calls = [(each.notification, each.fence) for each in heard if each.notification is not None]
    cursor = await connection.execute(
        "SELECT DISTINCT sender FROM attempt"
        " JOIN unnest(%(ids)s::uuid[], %(fences)s::int[]) AS told (notification, fence)"
        " USING (notification, fence) WHERE shard = %(shard)s AND sender IS NOT NULL"
        " AND notification BETWEEN %(low_id)s AND %(high_id)s",
        {
            "shard": shard,
            "ids": [notification for notification, _ in calls],
            "fences": [fence for _, fence in calls],
            **id_range(notification for notification, _ in calls),
        },
    )
    return frozenset(row[0] for row in await cursor.fetchall())


async def done(
    connection: Connection,
    shard: int,
    notes: Mapping[UUID, str | None],
    *,
    dropped: Collection[UUID] = (),
) -> None:
    """Mark inbox rows as applied, with a note where there is something to say.

    ``dropped``: those whose bodies are not kept.
    """
    if notes:
        values = [
            {"id": each, "note": note, "dropped": each in dropped} for each, note in notes.items()
        ]
        await connection.execute(statement("inbox_done"), {"shard": shard, "rows": rows(values)})


_Ours = Sequence[tuple[Taken, Callback, UUID]]


async def _append(
    connection: Connection,
    shard: int,
    ours: _Ours,
    classify: Classify,
) -> None:
    if not ours:
        return
    results = {taken.id: _result(callback, classify) for taken, callback, _ in ours}
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
            "result": results[taken.id],
        }
        # Sorted, as all that may collide.
        for taken, callback, notification in sorted(ours, key=lambda each: (each[2], each[1].said))
    ]
    await connection.execute(
        statement("receipts_append"),
        {"shard": shard, "rows": rows(receipts)},
    )
    opted_out = [
        (notification, callback.code or callback.status)
        for taken, callback, notification in ours
        if results[taken.id] is Result.RECIPIENT_SUPPRESSED
    ]
    await suppressions.learn(connection, shard, opted_out)


def _result(callback: Callback, classify: Classify) -> Result | None:
    """What a failure means for further texts; null for what is none, and for the app's words."""
    if callback.source == "app" or not is_failure(rank_of(callback.source, callback.status)):
        return None
    return classify(callback.status, callback.code)


def _successes(ours: _Ours) -> dict[UUID, dict[str, object]]:
    """What reached somebody, in the order in which notifications are locked."""
    found: dict[UUID, dict[str, object]] = {
        notification: {
            "notification": notification,
            "proof": "app" if callback.source == "app" else "carrier",
            "channel": "push" if callback.source == "app" else "sms",
            "step": callback.step,
        }
        # The first one said counts, here as between two batches.
        for _, callback, notification in reversed(ours)
        if is_success(rank_of(callback.source, callback.status))
    }
    return dict(sorted(found.items()))


async def _succeed(
    connection: Connection,
    shard: int,
    successes: Mapping[UUID, dict[str, object]],
) -> int:
    if not successes:
        return 0
    cursor = await connection.execute(
        statement("receipts_success"),
        {"shard": shard, "rows": rows(list(successes.values())), **id_range(successes)},
    )
    return len(await cursor.fetchall())


def _failures(ours: _Ours) -> list[dict[str, object]]:
    found = {
        (notification, callback.step, callback.fence)
        for _, callback, notification in ours
        if is_failure(rank_of(callback.source, callback.status))
    }
    return [{"notification": n, "step": step, "fence": fence} for n, step, fence in found]


async def _fail(
    connection: Connection,
    shard: int,
    failures: Sequence[dict[str, object]],
) -> frozenset[int]:
    if not failures:
        return frozenset()
    cursor = await connection.execute(
        statement("receipts_failure"),
        {"shard": shard, "rows": rows(failures)},
    )
    return frozenset(row[0] for row in await cursor.fetchall())
