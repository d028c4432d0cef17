"""Texts, names and numbers of somebody who is erased, in whatever notifications hold them.

Each is emptied as soon as it is finished, with the callbacks that told of it and the bodies of
events that name the person. Each step finds what is still there, and may be run again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

import msgspec

from outbox.domain import content as contents
from outbox.domain.erasure import says_who
from outbox.domain.ids import shard_of
from outbox.sealing import Sealer, UnsealError
from outbox.store import erasures
from outbox.store.connect import Connection, Row
from outbox.store.erasing_bodies import empty_naming
from outbox.store.erasures import Erasure
from outbox.store.reads import SKEW, id_at
from outbox.store.sql import id_range, statement

AT_ONCE = 500

_COLUMNS = "SELECT shard, id, event, recipient, phone_hash, content FROM notification"
_THERE = "final_at IS NOT NULL AND created_at <= %(asked_at)s AND content_dropped_at IS NULL"
_THEIRS = (
    f"{_COLUMNS} WHERE recipient = %(recipient)s AND final_at IS NOT NULL"
    " AND (created_at <= %(asked_at)s OR id = ANY(%(stale)s))"
    # What was dropped before, because it was old, still has the hash of their number.
    " AND (content_dropped_at IS NULL OR phone_hash IS NOT NULL) ORDER BY id LIMIT %(limit)s"
)
_ABOUT = (
    f"{_COLUMNS} WHERE shard = %(shard)s AND subject = %(recipient)s AND {_THERE}"
    " ORDER BY id LIMIT %(limit)s"
)
# Codes and invitations for a number of nobody that we know.
_TO_NUMBERS = (
    f"{_COLUMNS} WHERE phone_hash = ANY(%(numbers)s) AND recipient LIKE 'phone:%%'"
    " AND final_at IS NOT NULL AND created_at <= %(asked_at)s ORDER BY id LIMIT %(limit)s"
)
# Other Contacts were told by name that one cannot be reached; of whom it was told is sealed.
_OF_CIRCLE = (
    f"{_COLUMNS} WHERE shard = ANY(%(shards)s) AND subject = ANY(%(members)s)"
    f" AND kind = 'contact.unreachable' AND {_THERE} ORDER BY id LIMIT %(limit)s"
)
QUERIES = (_THEIRS, _ABOUT, _TO_NUMBERS, _OF_CIRCLE)
"""Where there is something of theirs, in the order in which it is looked for."""


def given(erasure: Erasure, stale: Sequence[UUID], members: Sequence[str]) -> dict[str, object]:
    """What the queries ask for."""
    return {
        "recipient": erasure.recipient,
        "shard": erasure.shard,
        "asked_at": erasure.asked_at,
        "numbers": list(erasure.numbers),
        "stale": list(stale),
        "members": list(members),
        "shards": sorted({shard_of(each) for each in members}),
        "limit": AT_ONCE,
    }


async def circle(connection: Connection, erasure: Erasure) -> list[str]:
    """The Members about whom they were told."""
    cursor = await connection.execute(
        "SELECT DISTINCT subject FROM notification WHERE recipient = %s AND subject <> recipient"
        " AND (kind LIKE 'checkin.%%' OR kind = 'contact.unreachable') ORDER BY subject",
        (erasure.recipient,),
    )
    return [row[0] for row in await cursor.fetchall()]


async def stale(connection: Connection, sealer: Sealer, erasure: Erasure) -> list[UUID]:
    """Notifications that came after the request, with what was stored of them before it.

    Their event names them by their id alone, and they have not been stored anew. What an event, or
    whoever stored them since, says itself is new, and lives.
    """
    cursor = await connection.execute(
        "SELECT n.id, n.content, e.id, e.data FROM notification n JOIN event e ON e.shard = n.shard"
        " AND e.id = n.event WHERE n.recipient = %(recipient)s AND n.id >= %(low)s"
        " AND n.created_at > %(asked_at)s AND n.created_at <= %(until)s"
        " AND n.content_dropped_at IS NULL"
        " AND NOT EXISTS (SELECT FROM recipient r WHERE r.shard = %(shard)s"
        " AND r.id = %(recipient)s AND coalesce(r.phone, r.name) IS NOT NULL"
        " AND r.updated_at > %(asked_at)s)",
        {
            **given(erasure, (), ()),
            "until": erasure.until,
            "low": id_at(erasure.asked_at, slack=SKEW),
        },
        binary=True,
    )
    found = []
    for identity, content, event, data in await cursor.fetchall():
        row = str(identity)
        try:
            # A body that is empty already was found to say nothing by a round before.
            said = data and sealer.unseal(data, table="event", row=str(event), field="data")
            sealed = sealer.unseal(content, table="notification", row=row, field="content")
            told = contents.decode(sealed)
        except (UnsealError, msgspec.MsgspecError):
            continue
        is_known = told.phone is not None or told.recipient_name is not None
        if is_known and not says_who(said, erasure.recipient):
            found.append(identity)
    return found


async def empty_some(
    connection: Connection,
    sealer: Sealer,
    erasure: Erasure,
    query: str,
    bound: dict[str, object],
) -> int:
    """Empty some of what a query finds, with the bodies that it came from; how many it were."""
    async with connection.transaction():
        found = await (await connection.execute(query.encode(), bound, binary=True)).fetchall()
        by_shard: defaultdict[int, list[Row]] = defaultdict(list)
        for row in found:
            by_shard[row[0]].append(row)
        numbers: set[bytes] = set()
        for shard, rows in sorted(by_shard.items()):
            ids = [row[1] for row in rows]
            # The number of whoever was told about them is not theirs.
            theirs = query in {_THEIRS, _TO_NUMBERS}
            of = {"shard": shard, "ids": ids, "theirs": theirs, **id_range(ids)}
            await connection.execute(statement("erase_texts"), of)
            await connection.execute(statement("erase_callbacks"), of)
            await empty_naming(connection, sealer, erasure, shard, [row[2] for row in rows])
            for row in rows:
                if row[3] == erasure.recipient:
                    numbers |= _numbers(sealer, row)
        await erasures.learn(connection, erasure, numbers)
        await erasures.emptied(connection, erasure, len(found))
    return len(found)


def _numbers(sealer: Sealer, row: Row) -> set[bytes]:
    """Hashes of the number that a notification went to, under every key where it opens."""
    _, identity, _, _, phone_hash, content = row
    if phone_hash is None:
        return set()
    try:
        plain = sealer.unseal(content, table="notification", row=str(identity), field="content")
        phone = contents.decode(plain).phone
    except (UnsealError, msgspec.MsgspecError):
        phone = None
    return {bytes(phone_hash)} | (set() if phone is None else set(sealer.lookups(phone)))
