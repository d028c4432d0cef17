"""What becomes old, kind by kind: how it is found, and how it goes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable
from uuid import UUID

from outbox.domain.policy import Keep
from outbox.store.connect import Connection
from outbox.store.retention import Given, Kind
from outbox.store.sql import id_range, statement

_KEYS_DAYS = 30
"""As the intake stores it: see ``intake_keys``."""

_TEXTS = (
    "SELECT shard, id, event FROM notification WHERE final_at >= %(begin)s AND final_at < %(end)s"
    " AND content_dropped_at IS NULL AND id < %(high)s"
)
_EVENTS = (
    "SELECT e.shard, e.id FROM event e"
    " WHERE e.accepted_at >= %(begin)s AND e.accepted_at < %(end)s AND length(e.data) > 0"
    " AND e.id >= %(low)s AND e.id < %(high)s AND NOT EXISTS (SELECT FROM notification n"
    " WHERE n.shard = e.shard AND n.event = e.id AND n.final_at IS NULL) LIMIT %(most)s"
)
# What could not be applied is a person's to decide, and what waits for its account is not over.
_CALLBACKS = (
    "SELECT i.shard, i.id FROM inbox i WHERE i.shard = ANY(%(shards)s) AND i.id < %(high)s"
    " AND i.done_at < %(end)s AND coalesce(i.note, '') NOT LIKE 'cannot be %%'"
    " AND NOT (i.provider = 'stripe' AND EXISTS (SELECT FROM billing_unowned u"
    " WHERE u.shard = i.shard AND u.id = i.said)) LIMIT %(most)s"
)
_REVOCATIONS = (
    "SELECT shard, id FROM revocation WHERE decided_at < %(end)s AND length(body) > 0"
    " LIMIT %(most)s"
)
_KEYS = (
    "SELECT FROM event_key WHERE created_at >= %(begin)s AND created_at < %(end)s"
    " AND expires_at < now() LIMIT %(most)s"
)
_FIGURES = "SELECT FROM rollup_minute WHERE shard = 0 AND minute < %(end)s LIMIT %(most)s"


async def empty_events(connection: Connection, shard: int, ids: list[UUID]) -> int:
    """Empty the bodies of these events, which nothing reads once they are accepted."""
    if not ids:
        return 0
    cursor = await connection.execute(
        "SELECT pruuf_empty_events(%s::smallint, %s)", (shard, sorted(ids))
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


def _texts(found: str) -> Callable[[Connection, Given], Awaitable[int]]:
    async def drop_texts(connection: Connection, given: Given) -> int:
        cursor = await connection.execute(found.encode(), given, binary=True)
        by_shard: defaultdict[int, dict[UUID, UUID]] = defaultdict(dict)
        rows = await cursor.fetchall()
        for shard, identity, event in rows:
            by_shard[shard][identity] = event
        for shard, events in sorted(by_shard.items()):
            bound = {"shard": shard, "ids": sorted(events), **id_range(events)}
            # Finished still, under the row's lock: a person may put one back to work meanwhile.
            await connection.execute(statement("retain_texts"), {**bound, "end": given["end"]})
            of = sorted(set(events.values()))
            over = await connection.execute(
                statement("retain_events"), {"shard": shard, "ids": of, **id_range(of)}, binary=True
            )
            await empty_events(connection, shard, [each for (each,) in await over.fetchall()])
        return len(rows)

    return drop_texts


async def _drop_events(connection: Connection, given: Given) -> int:
    cursor = await connection.execute(_EVENTS, given, binary=True)
    by_shard: defaultdict[int, list[UUID]] = defaultdict(list)
    rows = await cursor.fetchall()
    for shard, identity in rows:
        by_shard[shard].append(identity)
    for shard, ids in sorted(by_shard.items()):
        await empty_events(connection, shard, ids)
    return len(rows)


def _of_rows(found: str, change: str) -> Callable[[Connection, Given], Awaitable[int]]:
    async def change_rows(connection: Connection, given: Given) -> int:
        cursor = await connection.execute(found.encode(), given, binary=True)
        by_shard: defaultdict[int, list[UUID]] = defaultdict(list)
        for shard, identity in await cursor.fetchall():
            by_shard[shard].append(identity)
        changed = 0
        for shard, ids in sorted(by_shard.items()):
            bound = {"shard": shard, "ids": sorted(ids), "end": given["end"]}
            changed += (await connection.execute(change.encode(), bound)).rowcount
        return changed

    return change_rows


async def _drop_keys(connection: Connection, given: Given) -> int:
    cursor = await connection.execute("SELECT pruuf_drop_keys(%(begin)s, %(end)s, %(most)s)", given)
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def _drop_figures(connection: Connection, given: Given) -> int:
    cursor = await connection.execute(statement("retain_figures"), given)
    return cursor.rowcount


def _texts_days(keep: Keep) -> int:
    return keep.texts_days


_OF_PLANS = f"{_TEXTS} AND id >= %(low_late)s LIMIT %(most)s"
_LONG_AFTER = f"{_TEXTS} AND created_at < final_at - %(late)s LIMIT %(most)s"

KINDS = (
    Kind(what="texts", days=_texts_days, found=_OF_PLANS, drop=_texts(_OF_PLANS)),
    Kind(
        what="late_texts",
        days=_texts_days,
        found=_LONG_AFTER,
        drop=_texts(_LONG_AFTER),
        daily=True,
    ),
    Kind(what="events", days=_texts_days, found=_EVENTS, drop=_drop_events),
    Kind(
        what="callbacks",
        days=lambda keep: keep.callbacks_days,
        found=_CALLBACKS,
        drop=_of_rows(
            _CALLBACKS,
            "DELETE FROM inbox WHERE shard = %(shard)s AND id = ANY(%(ids)s)"
            " AND done_at < %(end)s AND coalesce(note, '') NOT LIKE 'cannot be %%'",
        ),
        windowed=False,
    ),
    Kind(what="keys", days=lambda _: _KEYS_DAYS, found=_KEYS, drop=_drop_keys),
    Kind(
        what="revocations",
        days=_texts_days,
        found=_REVOCATIONS,
        drop=_of_rows(
            _REVOCATIONS,
            "UPDATE revocation SET body = '' WHERE shard = %(shard)s AND id = ANY(%(ids)s)",
        ),
        windowed=False,
    ),
    Kind(
        what="figures",
        days=lambda keep: keep.figures_days,
        found=_FIGURES,
        drop=_drop_figures,
        windowed=False,
    ),
)
"""In the order in which they are dropped."""
