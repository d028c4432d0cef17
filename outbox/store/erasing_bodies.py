"""Bodies of events that name somebody who is erased: emptied whole, although they name others too.

A part of a body would no longer fit its keyed hash, and nothing reads one once its event is
accepted: so it does not matter whether its notifications are finished.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from msgspec import Struct

from outbox.domain.erasure import names
from outbox.domain.ids import SHARDS, shard_of, shard_of_id, time_of_id
from outbox.sealing import Sealer, UnsealError
from outbox.store import erasures
from outbox.store.connect import Connection
from outbox.store.erasures import Erasure
from outbox.store.reads import SKEW, id_at
from outbox.store.retention_kinds import empty_events
from outbox.store.sql import id_range, statement

AT_ONCE = 500

Events = tuple[str, int, str]
"""A query, a shard, and whose they are."""

_UNFINISHED = """
SELECT event FROM notification WHERE final_at IS NULL AND recipient = %(recipient)s
  AND (created_at <= %(asked_at)s OR id = ANY(%(stale)s))
UNION SELECT event FROM notification WHERE final_at IS NULL AND created_at <= %(asked_at)s
  AND shard = %(shard)s AND subject = %(recipient)s
UNION SELECT event FROM notification WHERE final_at IS NULL AND created_at <= %(asked_at)s
  AND phone_hash = ANY(%(numbers)s) AND recipient LIKE 'phone:%%'
UNION SELECT event FROM notification WHERE final_at IS NULL AND created_at <= %(asked_at)s
  AND shard = ANY(%(shards)s) AND subject = ANY(%(members)s) AND kind = 'contact.unreachable'
"""


async def empty_bodies_of_unfinished(
    connection: Connection, sealer: Sealer, erasure: Erasure, bound: dict[str, object]
) -> int:
    """Empty the bodies of events whose notifications are still to be finished."""
    async with connection.transaction():
        cursor = await connection.execute(_UNFINISHED.encode(), bound, binary=True)
        by_shard: defaultdict[int, list[UUID]] = defaultdict(list)
        left = 0
        for (event,) in await cursor.fetchall():
            by_shard[shard_of_id(event)].append(event)
            left += 1
        rows = 0
        for shard, ids in sorted(by_shard.items()):
            rows += await empty_naming(connection, sealer, erasure, shard, ids)
        await erasures.emptied(connection, erasure, rows)
    return left


async def empty_naming(
    connection: Connection, sealer: Sealer, erasure: Erasure, shard: int, events: Sequence[UUID]
) -> int:
    """Of these events, empty those whose bodies name the person, or are about them."""
    ids = sorted(set(events))
    cursor = await connection.execute(
        "SELECT id, data, subject = %(recipient)s FROM event WHERE shard = %(shard)s"
        " AND id = ANY(%(ids)s) AND id BETWEEN %(low_id)s AND %(high_id)s AND length(data) > 0",
        {"recipient": erasure.recipient, "shard": shard, "ids": ids, **id_range(ids)},
        binary=True,
    )
    theirs = [
        identity
        for identity, data, is_subject in await cursor.fetchall()
        if is_subject or _is_named(sealer, erasure, identity, data)
    ]
    return await empty_events(connection, shard, theirs)


def is_theirs(sealer: Sealer, erasure: Erasure) -> Callable[[str], bool]:
    """Tells whether a number is one of theirs."""
    return lambda number: not erasure.numbers.isdisjoint(sealer.lookups(number))


def _is_named(sealer: Sealer, erasure: Erasure, event: UUID, data: bytes) -> bool:
    try:
        plain = sealer.unseal(data, table="event", row=str(event), field="data")
    except UnsealError:
        # What nobody can open names nobody; an audit tells of it.
        return False
    return names(plain, erasure.recipient, is_theirs(sealer, erasure))


# Bodies that name them although they got no notification of them.
_MISSED = (
    "SELECT id, data FROM event WHERE shard = %(of)s AND type = 'checkin.missed'"
    " AND subject = %(member)s AND id > %(after)s AND id < %(high)s AND length(data) > 0"
    " AND accepted_at <= %(asked_at)s ORDER BY id LIMIT %(limit)s"
)
_INVITED = (
    "SELECT id, data FROM event WHERE shard = %(of)s AND type = 'member.invited'"
    " AND id > %(after)s AND id < %(high)s AND length(data) > 0 AND accepted_at <= %(asked_at)s"
    " ORDER BY id LIMIT %(limit)s"
)
# A Member's own check-ins of which nobody was told. By the primary key, in pieces.
_OWN = (
    "SELECT id, CASE WHEN subject = %(member)s AND accepted_at <= %(asked_at)s THEN data END"
    " FROM event WHERE shard = %(of)s AND id > %(after)s AND id < %(high)s"
    " ORDER BY id LIMIT %(limit)s"
)


def walks(erasure: Erasure, members: Sequence[str], *, is_member: bool) -> list[Events]:
    """Which events are to be read."""
    own = [(_OWN, erasure.shard, erasure.recipient)] if is_member else []
    return [
        *own,
        *((_MISSED, shard_of(each), each) for each in members),
        *((_INVITED, shard, "") for shard in range(SHARDS)),
    ]


async def is_member(connection: Connection, erasure: Erasure) -> bool:
    """Whether check-ins of theirs were ever told."""
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT FROM alert WHERE shard = %s AND member = %s)",
        (erasure.shard, erasure.recipient),
    )
    row = await cursor.fetchone()
    return bool(row and row[0])


async def oldest_body(connection: Connection) -> UUID:
    """Below it no event has a body but those of which something is unfinished."""
    cursor = await connection.execute("SELECT until FROM retention WHERE what = 'events'")
    row = await cursor.fetchone()
    return id_at(row[0], slack=SKEW) if row and row[0] else UUID(int=0)


class Walked(Struct, frozen=True):
    """Some events were read."""

    after: UUID | None
    """After which to go on; null at the end."""
    unfinished: int = 0
    """Invitations by the person that are still to be finished; their texts name them."""


async def walk(
    connection: Connection,
    sealer: Sealer,
    erasure: Erasure,
    of: Events,
    after: UUID,
) -> Walked:
    """Read some events, and empty those that name the person."""
    query, shard, member = of
    limit = AT_ONCE * 10 if query == _OWN else AT_ONCE
    async with connection.transaction():
        cursor = await connection.execute(
            query.encode(),
            {
                "of": shard,
                "member": member,
                "after": after,
                "high": id_at(datetime.now(UTC) + timedelta(hours=2)),
                "asked_at": erasure.asked_at,
                "limit": limit,
            },
            binary=True,
        )
        found = await cursor.fetchall()
        named = [
            identity
            for identity, data in found
            if data and (query == _OWN or _is_named(sealer, erasure, identity, data))
        ]
        over = named
        if query == _INVITED and named:
            # What is of one millisecond has no order.
            low = id_at(time_of_id(min(named)), slack=SKEW)
            bound = {"shard": shard, "events": named, "low": low}
            cursor = await connection.execute(statement("erase_invitations"), bound, binary=True)
            over = [event for (event,) in await cursor.fetchall()]
        rows = await empty_events(connection, shard, over)
        await erasures.emptied(connection, erasure, rows)
    following = found[-1][0] if len(found) == limit else None
    return Walked(following, len(named) - len(over))
