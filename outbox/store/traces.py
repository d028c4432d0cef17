"""Trace contexts of stored events, for those who trace what follows from them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from msgspec import Struct

from observability.tracing import SpanContext, parse
from outbox.store.connect import Connection
from outbox.store.sql import id_range

_EVENTS = (
    "SELECT id, traceparent, tracestate FROM event WHERE shard = %(shard)s"
    " AND id = ANY(%(ids)s) AND id BETWEEN %(low_id)s AND %(high_id)s AND traceparent IS NOT NULL"
)
_NOTIFICATIONS = (
    "SELECT n.id, n.event, extract(epoch FROM now() - n.created_at)::float8,"
    " e.traceparent, e.tracestate"
    " FROM notification n JOIN event e ON e.shard = n.shard AND e.id = n.event"
    " WHERE n.shard = %(shard)s AND n.id = ANY(%(ids)s)"
    " AND n.id BETWEEN %(low_id)s AND %(high_id)s"
)


class Origin(Struct, frozen=True):
    """Where a notification comes from."""

    event: UUID
    age_s: float
    """Since it was accepted, by the database's clock."""
    context: SpanContext | None
    """Null where neither we nor the caller traced it."""


async def of_events(
    connection: Connection, events: Iterable[tuple[int, UUID]]
) -> Mapping[UUID, SpanContext]:
    """Contexts of events, given as shard and id, in one round trip; those without are left out."""
    by_shard: defaultdict[int, set[UUID]] = defaultdict(set)
    for shard, event in events:
        by_shard[shard].add(event)
    cursors = []
    async with connection.pipeline():
        for shard, ids in by_shard.items():
            bound = {"shard": shard, "ids": list(ids), **id_range(ids)}
            cursors.append(await connection.execute(_EVENTS, bound, binary=True))
    found: dict[UUID, SpanContext] = {}
    for cursor in cursors:
        for event, traceparent, tracestate in await cursor.fetchall():
            if (context := parse(traceparent, tracestate)) is not None:
                found[event] = context
    return found


async def of_notifications(
    connection: Connection, shard: int, notifications: Sequence[UUID]
) -> Mapping[UUID, Origin]:
    """Origins of notifications of one shard; those that are gone are left out."""
    if not notifications:
        return {}
    bound = {"shard": shard, "ids": list(notifications), **id_range(notifications)}
    cursor = await connection.execute(_NOTIFICATIONS, bound, binary=True)
    return {
        notification: Origin(event, age_s, parse(traceparent, tracestate))
        for notification, event, age_s, traceparent, tracestate in await cursor.fetchall()
    }
