"""Counts outcomes by the minute, behind the facts, each once; one relay at a time for an objective.

A minute is counted when it can be: after what the objective waits, and after the longest
transaction, so that nothing can still be stored with an earlier time. A word that comes later is
counted as ``late``, in its own minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from observability.slos import definitions
from outbox.domain.ids import SHARDS, day_floor, moment_floor
from outbox.store.connect import TRANSACTION_TIMEOUT_S, Connection
from outbox.store.sql import rows, statement

KEPT_DAYS = 400

_MINUTE = timedelta(minutes=1)
_MARGIN = timedelta(seconds=TRANSACTION_TIMEOUT_S + 5)
_LONGEST_PLAN = timedelta(days=8)
_CLOCKS = timedelta(minutes=10)
"""How far the clocks of gateways may be off."""

REACH = "reach"
"""What became of notifications: no objective, counted for the pages. The code holds ``sent`` or
nothing, the first channel, the one that reached, within how many seconds or why not, and the
country, which stands behind an @ in the codes of steps. Older minutes have none."""

_REACH_AFTER_S = 600

_STATEMENTS: dict[str, tuple[str, dict[str, object]]] = {
    "alerts": ("rollup_alerts", {}),
    "sms": ("rollup_sends", {"channel": "sms", "source": "twilio"}),
    "push": ("rollup_sends", {"channel": "push", "source": "app"}),
    "webhooks": ("rollup_webhooks", {"shards": list(range(SHARDS))}),
    "billing": ("rollup_billing", {}),
    "first_call": ("rollup_first_call", {}),
    REACH: ("rollup_reach", {"shards": list(range(SHARDS))}),
}
"""What counts each objective; ``events`` is counted by the gateways alone."""

ALIVE = "alive"
"""Outcome of the objective ``events`` by which a gateway tells that it lives."""


class Counted(Struct, frozen=True, kw_only=True):
    """So many things of one minute."""

    minute: datetime | None = None
    """Its beginning; null: the one that is now, by the database's clock."""
    slo: str
    outcome: str
    kind: str = ""
    code: str = ""
    n: int = 1


class Step(Struct, frozen=True):
    """What one round over an objective did."""

    counted: Sequence[Counted] = ()
    behind: bool = False
    """There are more minutes that can be counted."""


async def add(connection: Connection, counted: Iterable[Counted]) -> None:
    """Add what no fact tells, such as an answer 503 or a difference that a reconciler found."""
    values = list(counted)
    if values:
        await connection.execute(statement("rollup_add"), {"rows": rows(values)})


def waits() -> Mapping[str, int]:
    """How long each waits after a minute until it is counted, in seconds."""
    return {
        **{key: slo.counted_after_s for key, slo in definitions().slo.items()},
        REACH: _REACH_AFTER_S,
    }


def until_now(key: str, since: datetime, until: datetime) -> tuple[bytes, Mapping[str, object]]:
    """The statement that counts minutes, and its values, for what is not counted yet.

    Rows are minute, outcome, kind, code, number.
    """
    name, more = _STATEMENTS[key]
    return statement(name), {
        "from": since,
        "until": until,
        "after": timedelta(seconds=waits()[key]),
        "low_id": day_floor(since - _LONGEST_PLAN),
        "near_id": moment_floor(since - _CLOCKS),
        "beyond_id": moment_floor(until + _CLOCKS),
        **more,
    }


async def count(connection: Connection, key: str, *, most: timedelta) -> Step:
    """Count the next minutes of an objective, ``most`` of them; nothing while another relay does.

    One transaction: it bears being run again, and ends before its time is up or changes nothing.
    """
    async with connection.transaction():
        cursor = await connection.execute(
            "SELECT until, date_trunc('minute', now() - %s, 'UTC') FROM rollup_head"
            " WHERE shard = 0 AND slo = %s FOR UPDATE SKIP LOCKED",
            (timedelta(seconds=waits()[key]) + _MARGIN, key),
        )
        head = await cursor.fetchone()
        if head is None:
            await _begin(connection, key)
            return Step()
        since, closed = head
        until = min(closed, since + most)
        if until <= since:
            return Step()
        counted = await _counted(connection, key, since, until)
        await add(connection, counted)
        await connection.execute(
            "UPDATE rollup_head SET until = %s WHERE shard = 0 AND slo = %s", (until, key)
        )
    return Step(counted, behind=until < closed)


async def _begin(connection: Connection, key: str) -> None:
    # What was before the first relay that counts is not counted; a row that is held stays.
    await connection.execute(
        "INSERT INTO rollup_head (shard, slo, until) VALUES (0, %s, date_trunc('minute', now(),"
        " 'UTC')) ON CONFLICT DO NOTHING",
        (key,),
    )


async def _counted(
    connection: Connection, key: str, since: datetime, until: datetime
) -> list[Counted]:
    if key not in _STATEMENTS:
        return []
    cursor = await connection.execute(*until_now(key, since, until))
    return [
        Counted(minute=minute, slo=key, outcome=outcome, kind=kind, code=code, n=n)
        for minute, outcome, kind, code, n in await cursor.fetchall()
    ]


async def forget(connection: Connection) -> int:
    """Delete some minutes that are too old; how many rows."""
    cursor = await connection.execute(
        "DELETE FROM rollup_minute WHERE shard = 0 AND minute IN"
        " (SELECT minute FROM rollup_minute WHERE shard = 0 AND minute < now() - %s"
        " ORDER BY minute LIMIT 2000)",
        (timedelta(days=KEPT_DAYS),),
    )
    return cursor.rowcount
