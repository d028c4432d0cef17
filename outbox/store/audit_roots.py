"""Roots are made behind the intake: over minutes into which nothing can be stored any more.

A fact's time is the beginning of its transaction, by the database's clock. A minute is over for
good when every transaction that began in it has ended. One lasts for `TRANSACTION_TIMEOUT_S`; then
it has its number, if it writes at all, and that is below every one that is still under way. Only
the second rule knows of a commit that waits for its standby for hours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from outbox.domain.facts import Head, Root, Seals
from outbox.store.connect import TRANSACTION_TIMEOUT_S, Connection
from outbox.store.sql import statement

LAG_S = TRANSACTION_TIMEOUT_S + 15.0
"""From the end of a minute until nobody can be about to store something in it."""

_LOCK = 7738203
_MINUTE = timedelta(minutes=1)
_LONGEST = timedelta(hours=6)
_FEW, _MANY = 20_000, 50_000
"""Facts of one step: the next one takes more time at once where there were few; before a step is
taken it is halved while there are many."""

# What a row is as text must not depend on how a server, or a login, is set up.
SETTINGS = (
    "SELECT set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO, MDY', true),"
    " set_config('bytea_output', 'hex', true), set_config('extra_float_digits', '1', true)"
)
_HEADS = (
    "SELECT shard, until, newest, link, key_id, mac, seen_at, seen_xid::text::bigint"
    " FROM audit_head ORDER BY shard"
)
_MOMENT = (
    "SELECT now(), pg_snapshot_xmin(pg_current_snapshot())::text::bigint,"
    " pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
)
FIRST_DAY = (
    "SELECT min(to_date(right(relname, 8), 'YYYYMMDD'))::timestamp AT TIME ZONE 'UTC'"
    " FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = 'event'::regclass"
)
# Looks at no more than it needs in order to know that they are many.
_BUSY = (
    "SELECT greatest((SELECT count(*) FROM (SELECT FROM notification WHERE created_at >= %(begin)s"
    " AND created_at < %(end)s LIMIT %(many)s) n), (SELECT count(*) FROM (SELECT FROM attempt"
    " WHERE stored_at >= %(begin)s AND stored_at < %(end)s LIMIT %(many)s) a))"
)
_COUNT = (
    "INSERT INTO audit_count AS c (shard, day, kind, accepted)"
    " SELECT shard, (created_at AT TIME ZONE 'UTC')::date, kind, count(*) FROM notification"
    " WHERE shard = ANY(%(shards)s) AND created_at >= %(begin)s AND created_at < %(end)s"
    " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    " ON CONFLICT (shard, day, kind) DO UPDATE SET accepted = c.accepted + excluded.accepted"
)
_INSERT = (
    "INSERT INTO audit_root (shard, minute, facts, leaves, root, key_id, link)"
    " VALUES (%s, %s, %s, %b, %b, %b, %b)"
)
_MOVE = (
    "UPDATE audit_head SET until = %s, newest = %s, link = %b, key_id = %b, mac = %b"
    " WHERE shard = %s"
)


class Extended(Struct, frozen=True, kw_only=True):
    """What one step came to."""

    facts: int = 0
    until: datetime | None = None
    """What was stored before is in a root."""
    more: bool = False
    """There is another step to be done at once, up to ``closed``."""
    closed: datetime | None = None
    """Nothing can be stored any more before this; null: not known."""
    forged: tuple[int, ...] = ()
    """Shards whose head is not ours: nothing is built on it."""


class Packed(Struct, frozen=True):
    """Facts as the database packs them."""

    shard: int
    minute: datetime
    fact: int
    raw: bytes


async def read_facts(
    connection: Connection, shards: Sequence[int], begin: datetime | None, end: datetime
) -> list[Packed]:
    """Facts that were stored in this time; ``begin`` null: from the beginning."""
    given = {"shards": list(shards), "begin": begin or "-infinity", "end": end}
    cursor = await connection.execute(statement("audit_facts"), given, prepare=False, binary=True)
    return [Packed(*row[:4]) for row in await cursor.fetchall()]


async def heads(connection: Connection) -> list[Head]:
    """How far the roots of each shard go."""
    cursor = await connection.execute(_HEADS, binary=True)
    return [
        Head(**dict(zip(Head.__struct_fields__, row, strict=False)))
        for row in await cursor.fetchall()
    ]


async def head(connection: Connection, shard: int) -> Head | None:
    """How far the roots of one shard go; null: somebody took that away."""
    return next((each for each in await heads(connection) if each.shard == shard), None)


async def beyond(connection: Connection) -> list[int]:
    """Shards with roots that their head does not know of."""
    cursor = await connection.execute(
        "SELECT shard FROM audit_head h WHERE EXISTS (SELECT FROM audit_root r"
        " WHERE r.shard = h.shard AND r.minute >= coalesce(h.until, '-infinity'))",
    )
    return [row[0] for row in await cursor.fetchall()]


async def extend(
    connection: Connection,
    seals: Seals,
    *,
    lag_s: float = LAG_S,
    step: timedelta = _MINUTE,
    closed: datetime | None = None,
) -> tuple[Extended, timedelta]:
    """Make the roots of ``step`` at most, in one transaction; also how long the next step is.

    ``closed`` is what a step before found: what is over stays so.
    """
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await connection.execute(SETTINGS)
        locked = await connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (_LOCK,))
        if await locked.fetchone() != (True,):
            return Extended(), step
        cursor = await connection.execute(_HEADS, binary=True)
        rows = await cursor.fetchall()
        known = [Head(**dict(zip(Head.__struct_fields__, row[:6], strict=True))) for row in rows]
        forged = tuple(each.shard for each in known if not seals.is_ours(each))
        sound = [each for each in known if each.shard not in forged]
        cut = closed or await _cut(connection, rows, lag_s)
        begin = min((each.until for each in sound if each.until), default=None)
        behind = [each for each in sound if each.until == begin]
        first = begin or await _first_day(connection)
        if cut is None or first is None or not behind or first >= cut:
            return Extended(until=begin, forged=forged), step
        step = await _bearable(connection, begin, first, min(step, cut - first))
        end = first + step
        facts = await read_facts(connection, [each.shard for each in behind], begin, end)
        number = await _write(connection, seals, behind, facts, end)
        bound = {"shards": [e.shard for e in behind], "begin": begin or "-infinity", "end": end}
        await connection.execute(_COUNT, bound)
    longer = min(step * 2, _LONGEST) if number < _FEW else step
    extended = Extended(facts=number, until=end, more=end < cut, closed=cut, forged=forged)
    return extended, longer


async def _cut(
    connection: Connection, rows: Sequence[tuple[object, ...]], lag_s: float
) -> datetime | None:
    """The end of what can have roots now; null: what was under way may not have ended yet."""
    moment = await (await connection.execute(_MOMENT)).fetchone()
    if moment is None:
        return None
    now, oldest, following = moment
    seen_at, seen_xid = rows[0][6:] if rows else (None, None)
    # A number from the future is that of another cluster, from which this one was restored.
    known = isinstance(seen_at, datetime) and isinstance(seen_xid, int) and seen_xid <= following
    if known and oldest <= seen_xid:
        return None
    # Its own number: whatever has one already has a lower one. The newest that has ended would be
    # below what began before and is still under way.
    await connection.execute(
        "UPDATE audit_head SET seen_at = %s, seen_xid = pg_current_xact_id()", (now,)
    )
    if not known or not isinstance(seen_at, datetime):
        return None
    return (seen_at - timedelta(seconds=lag_s)).replace(second=0, microsecond=0)


async def _bearable(
    connection: Connection, begin: datetime | None, first: datetime, step: timedelta
) -> timedelta:
    """How long a step may be, in whole minutes, so that it fits into memory and a transaction."""
    most = _MANY // 6  # a notification brings about so many facts
    while step > _MINUTE:
        given = {"begin": begin or "-infinity", "end": first + step, "many": most}
        row = await (await connection.execute(_BUSY, given, prepare=False)).fetchone()
        if row is None or row[0] < most:
            break
        step = max(_MINUTE, step // 2 // _MINUTE * _MINUTE)
    return step


async def _first_day(connection: Connection) -> datetime | None:
    row = await (await connection.execute(FIRST_DAY)).fetchone()
    found: datetime | None = row[0] if row else None
    return found


async def _write(
    connection: Connection,
    seals: Seals,
    known: Iterable[Head],
    facts: Iterable[Packed],
    end: datetime,
) -> int:
    """Store the roots of these facts, and the heads that name the newest of each shard."""
    leaves: defaultdict[tuple[int, datetime], list[bytes]] = defaultdict(list)
    for each in facts:
        made = seals.leaves(each.fact, bytes(each.raw), seals.key_id)
        leaves[each.shard, each.minute.astimezone(UTC)] += made
    minutes: defaultdict[int, list[datetime]] = defaultdict(list)
    for shard, minute in sorted(leaves):
        minutes[shard].append(minute)
    roots: list[tuple[int, Root]] = []
    moved: list[Head] = []
    for head in known:
        newest, link = head.newest, head.link
        for minute in minutes[head.shard]:
            root = seals.root(head.shard, minute, leaves[head.shard, minute], link)
            roots.append((head.shard, root))
            newest, link = minute, root.link
        moved.append(seals.head(head.shard, end, newest, link))
    async with connection.cursor() as cursor:
        await cursor.executemany(
            _INSERT,
            [(s, r.minute, r.facts, r.leaves, r.root, r.key_id, r.link) for s, r in roots],
        )
        await cursor.executemany(
            _MOVE, [(h.until, h.newest, h.link, h.key_id, h.mac, h.shard) for h in moved]
        )
    return sum(root.facts for _, root in roots)
