"""What is stored of some notifications so far, for the few claims that need to know."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from outbox.domain.decide import Standing
from outbox.domain.history import Called, Heard, History
from outbox.store.connect import Connection
from outbox.store.sql import id_range

_CALLS = (
    "SELECT notification, step, fence, what, channel, provider, sender, result, code, provider_id"
    " FROM attempt WHERE shard = %(shard)s AND notification = ANY(%(ids)s)"
    " AND notification BETWEEN %(low_id)s AND %(high_id)s ORDER BY notification, fence, ordinal"
)
_RECEIPTS = (
    "SELECT notification, step, fence, source, status, code, rank, provider_id, result"
    " FROM receipt WHERE shard = %(shard)s AND notification = ANY(%(ids)s)"
    " AND notification BETWEEN %(low_id)s AND %(high_id)s ORDER BY notification, rank"
)
_STANDINGS = (
    "SELECT n.id, n.state, d.work, d.owner IS NOT NULL FROM notification n"
    " LEFT JOIN due d ON d.shard = n.shard AND d.notification = n.id"
    " WHERE n.shard = %(shard)s AND n.id = ANY(%(ids)s) AND n.id BETWEEN %(low_id)s AND %(high_id)s"
)


async def standings(
    connection: Connection,
    by_shard: Mapping[int, Sequence[UUID]],
) -> dict[UUID, Standing]:
    """How these notifications stand, with their histories; those that are gone are left out."""
    # One moment for all of it: a history that is older than the state would miss a call.
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        known = await histories(connection, by_shard)
        found: dict[UUID, Standing] = {}
        for shard, ids in by_shard.items():
            bound = {"shard": shard, "ids": list(ids), **id_range(ids)}
            cursor = await connection.execute(_STANDINGS, bound, binary=True)
            for notification, state, work, claimed in await cursor.fetchall():
                found[notification] = Standing(state, work, claimed, known[notification])
    return found


async def histories(
    connection: Connection,
    by_shard: Mapping[int, Sequence[UUID]],
) -> dict[UUID, History]:
    """Attempts (stale ones too) and receipts, in one round trip."""
    answers = []
    async with connection.pipeline():
        for shard, ids in by_shard.items():
            bound = {"shard": shard, "ids": list(ids), **id_range(ids)}
            answers.append(
                (
                    await connection.execute(_CALLS, bound, binary=True),
                    await connection.execute(_RECEIPTS, bound, binary=True),
                ),
            )
    calls: defaultdict[UUID, list[Called]] = defaultdict(list)
    receipts: defaultdict[UUID, list[Heard]] = defaultdict(list)
    names_c, names_r = Called.__struct_fields__, Heard.__struct_fields__
    for called, heard in answers:
        for row in await called.fetchall():
            calls[row[0]].append(Called(**dict(zip(names_c, row[1:], strict=True))))
        for row in await heard.fetchall():
            receipts[row[0]].append(Heard(**dict(zip(names_r, row[1:], strict=True))))
    return {
        notification: History(tuple(calls[notification]), tuple(receipts[notification]))
        for ids in by_shard.values()
        for notification in ids
    }
