"""What is finished loses its texts, names and numbers after a while; the ledger stays without them.

Each kind of data has a row that says how far it is dropped, held by whoever drops some of it. What
went before is not looked at again, so the cost is that of what becomes old, not of what is stored.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from outbox.domain.ids import SHARDS
from outbox.domain.policy import Keep
from outbox.store.audit_roots import FIRST_DAY
from outbox.store.connect import Connection
from outbox.store.reads import SKEW, id_at

AT_ONCE = 2000
"""Rows of one transaction."""

_LONGEST = timedelta(days=1)
_SHORTEST = timedelta(seconds=1)
_LATE = timedelta(days=14)
"""Longer than any plan takes: what ends later was parked, or redriven, and is looked for apart."""
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"
_HELD = "SELECT until, now() FROM retention WHERE shard = 0 AND what = %s FOR UPDATE SKIP LOCKED"
_NEVER = datetime(2000, 1, 1, tzinfo=UTC)

Given = Mapping[str, Any]


class Dropped(Struct, frozen=True):
    """What one transaction came to."""

    rows: int = 0
    step: timedelta = _LONGEST
    """How much of time the next one is to take at once."""
    more: bool = False
    """There is more to be done at once."""


class Standing(Struct, frozen=True):
    """How far one kind is dropped."""

    until: datetime | None
    """What is older is gone; null: nothing was looked at yet."""
    dropped: int
    """Rows, ever since."""
    looked_at: datetime | None


class Kind(Struct, frozen=True, kw_only=True):
    """One kind of data that grows old."""

    what: str
    days: Callable[[Keep], int]
    found: str
    """The rows that go, of the window ``begin`` to ``end``; ``late`` is a plan's longest time."""
    drop: Callable[[Connection, Given], Awaitable[int]]
    """Drops ``most`` of them; how many it were."""
    windowed: bool = True
    """Found by its time; what is not has little that stays, and is looked at from its beginning."""
    daily: bool = False
    """Looks at every partition, and therefore once a day."""


async def drop(
    connection: Connection, kind: Kind, keep: Keep, *, step: timedelta = _LONGEST
) -> Dropped:
    """Drop some of what is old of a kind, in one transaction, if nobody else does just now."""
    async with connection.transaction():
        await connection.execute(_LOCK_TIMEOUT)
        held = await (await connection.execute(_HELD, (kind.what,))).fetchone()
        if held is None:
            return Dropped()
        until, now = held
        window = await _window(connection, kind, keep, until, now, step)
        if window is None:
            return Dropped()
        begin, end, old = window
        rows = await kind.drop(connection, _given(begin, end, most=AT_ONCE))
        full = rows >= AT_ONCE or (rows > 0 and not kind.windowed)
        await connection.execute(
            "UPDATE retention SET until = coalesce(%s, until), dropped = dropped + %s,"
            " looked_at = now() WHERE shard = 0 AND what = %s",
            (None if full else end, rows, kind.what),
        )
    following = step / 2 if full else step * 2
    return Dropped(rows, max(_SHORTEST, min(_LONGEST, following)), more=full or end < old)


async def would_drop(connection: Connection, kind: Kind, keep: Keep, *, most: int) -> int:
    """How many rows are old just now, ``most`` at the highest; by whoever may read all of it."""
    held = await connection.execute(
        "SELECT until, now() FROM retention WHERE shard = 0 AND what = %s", (kind.what,)
    )
    row = await held.fetchone()
    if row is None:
        return 0
    window = await _window(connection, kind, keep, row[0], row[1], timedelta(days=36_500))
    if window is None:
        return 0
    counted = await connection.execute(
        f"SELECT count(*) FROM ({kind.found}) found".encode(),  # noqa: S608 - our own words
        _given(*window[:2], most=most),
    )
    number = await counted.fetchone()
    return int(number[0]) if number else 0


async def standing(connection: Connection) -> dict[str, Standing]:
    """How far each kind is dropped, by its name."""
    cursor = await connection.execute(
        "SELECT what, until, dropped, looked_at FROM retention WHERE shard = 0"
    )
    return {what: Standing(*rest) for what, *rest in await cursor.fetchall()}


async def _window(  # noqa: PLR0913, PLR0917 - what a window follows from
    connection: Connection,
    kind: Kind,
    keep: Keep,
    until: datetime | None,
    now: datetime,
    step: timedelta,
) -> tuple[datetime, datetime, datetime] | None:
    """Begin and end of what is looked at next, and of all that is old; null: nothing is."""
    old = now - timedelta(days=kind.days(keep))
    if kind.daily:
        old = old.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if not kind.windowed:
        return _NEVER, old, old
    if until is None:
        first = await (await connection.execute(FIRST_DAY)).fetchone()
        until = first[0] if first else None
    # Whoever sets a longer span than before waits until what is kept has reached it.
    if until is None or until >= old:
        return None
    return until, min(until + step, old), old


def _given(begin: datetime, end: datetime, *, most: int) -> dict[str, Any]:
    return {
        "begin": begin,
        "end": end,
        "low": id_at(begin, slack=SKEW),
        "low_late": id_at(begin, slack=_LATE),
        "high": id_at(end + SKEW),
        "late": _LATE,
        "shards": list(range(SHARDS)),
        "most": most,
    }
