"""What is stored of some notifications so far, for the few claims that need to know."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from outbox.domain.decide import Called, Heard, History
from outbox.store.connect import Connection
from outbox.store.sql import id_range

_CALLS = (
    "SELECT notification, step, fence, what, channel, provider, result, code, provider_id"
    " FROM attempt WHERE shard = %(shard)s AND notification = ANY(%(ids)s)"
    " AND notification BETWEEN %(low_id)s AND %(high_id)s ORDER BY notification, fence, ordinal"
)
_RECEIPTS = (
    "SELECT notification, step, fence, source, status, code, rank, provider_id"
    " FROM receipt WHERE shard = %(shard)s AND notification = ANY(%(ids)s)"
    " AND notification BETWEEN %(low_id)s AND %(high_id)s ORDER BY notification, rank"
)


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
