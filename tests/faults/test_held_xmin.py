"""A transaction that stays open keeps dead rows alive: a claim reads no more than without them."""

from __future__ import annotations

import time
from statistics import quantiles
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from outbox.domain.states import Lane
from outbox.store.claims import claim, peek
from outbox.store.connect import TRANSACTION_TIMEOUT_S, Connection, Role, connect
from outbox.store.sql import statement
from tests.faults.conftest import Begin
from tests.faults.table import Scenario

_SHARD = 3
_LANE = int(Lane.SAFETY)
_ALERTS = 100
_LIMIT = 10
_CLAIMS = 60
_MARK = {"behind_s": TRANSACTION_TIMEOUT_S + 15}

_OLD_DUE = """
INSERT INTO due (shard, notification, lane, due_at)
SELECT g % 16, uuidv7(), {lane}, now() - interval '1 hour' - g * interval '1 millisecond'
FROM generate_series(1, {count}) g
"""
_OPEN = """
WITH made AS (
  INSERT INTO notification (shard, id, event, subject, recipient, kind, lane, plan, template,
                            locale, content, expires_at)
  SELECT {shard}, uuidv7(), uuidv7(), 'm_1', 'c_' || g, 'checkin.missed', {lane}, '', '', 'en-US',
         convert_to(repeat('sealed', 40), 'UTF8'), now() + interval '1 day'
  FROM generate_series(1, {count}) g RETURNING id)
INSERT INTO due (shard, notification, lane) SELECT {shard}, id, {lane} FROM made
"""
_OLD_NOTIFICATIONS = """
INSERT INTO notification (shard, id, event, subject, recipient, kind, lane, plan, template, locale,
                          content, state, proof, final_at, expires_at)
SELECT g % 16, uuidv7(), uuidv7(), 'm_' || g, 'c_' || g, 'checkin.missed', 0, '', '', 'en-US',
       convert_to(repeat('sealed', 40), 'UTF8'), 'delivered', 'carrier', now(), now()
FROM generate_series(1, {count}) g
"""


async def _read(connection: Connection, name: str, bound: dict[str, Any]) -> tuple[int, float]:
    """Pages that a statement touches, and its milliseconds; what it does is undone."""
    query = b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statement(name)
    async with connection.transaction(force_rollback=True):
        cursor = await connection.execute(query, bound)
        found = await cursor.fetchone()
    assert found is not None
    plan = found[0][0]
    pages = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
    return pages, plan["Execution Time"]


async def _low(connection: Connection) -> Any:  # noqa: ANN401 - a time
    await connection.execute(statement("low_water"), _MARK)
    mark = "SELECT low FROM lane WHERE shard = %s AND lane = %s"
    found = await (await connection.execute(mark, (_SHARD, _LANE))).fetchone()
    assert found is not None
    return found[0]


def _bound(low: Any) -> dict[str, Any]:  # noqa: ANN401 - a time
    return {
        "shard": _SHARD,
        "lane": _LANE,
        "low": low,
        "limit": _LIMIT,
        "lease_s": 20.0,
        "token": uuid4(),
    }


async def _pages(connection: Connection, low: Any) -> dict[str, int]:  # noqa: ANN401 - a time
    peeked, _ = await _read(connection, "peek", {"lanes": [_LANE]})
    claimed, _ = await _read(connection, "claim", _bound(low))
    return {"peek": peeked, "claim": claimed}


async def _p99_ms(connection: Connection) -> float:
    """Of peek and claim together, as a relay does them."""
    took = []
    for _ in range(_CLAIMS):
        began = time.perf_counter()
        async with connection.transaction(force_rollback=True):
            queues = await peek(connection, [_LANE])
            assert await claim(connection, [(queues[0], _LIMIT)], lease_s=20.0)
        took.append((time.perf_counter() - began) * 1000)
    return quantiles(took, n=100)[98]


async def _held(database_url: str, row: Scenario, *, dead: int, old: int) -> None:
    with psycopg.connect(database_url) as owner:
        owner.execute(_OPEN.format(shard=_SHARD, lane=_LANE, count=_ALERTS))
    async with await connect(database_url, Role.RELAY, application="test") as connection:
        low = await _low(connection)
        before, before_ms = await _pages(connection, low), await _p99_ms(connection)
        with (
            psycopg.connect(database_url, autocommit=True) as owner,
            psycopg.connect(database_url) as holder,
        ):
            owner.execute(_OLD_DUE.format(lane=_LANE, count=dead))
            if old:
                owner.execute(_OLD_NOTIFICATIONS.format(count=old))
                owner.execute("VACUUM ANALYZE notification")
            holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            holder.execute("SELECT FROM due LIMIT 1")
            owner.execute("DELETE FROM due WHERE due_at < now() - interval '30 minutes'")
            # As autovacuum does, again and again, without getting rid of a row.
            owner.execute("VACUUM (ANALYZE) due")
            low = await _low(connection)
            after, after_ms = await _pages(connection, low), await _p99_ms(connection)
            without, _ = await _read(connection, "claim", _bound("2000-01-01"))
    row.tries = dead + old
    row.why = (
        f"pages of a claim {before['claim']} → {after['claim']}, of a peek {before['peek']} →"
        f" {after['peek']}; without the low-water mark {without}; p99 of both {before_ms:.1f} →"
        f" {after_ms:.1f} ms"
    )
    print(f"\n{row.name}: {row.why}")
    # It would show: the dead rows are there, and stepping over them one by one is dear.
    assert without > dead / 16 / 100
    # Pages, not time: the machine may be busy with anything.
    assert after["peek"] < 2 * before["peek"] + 40
    assert after["claim"] < 2 * before["claim"] + 40


async def test_a_held_xmin_costs_a_claim_nothing(database_url: str, scenario: Begin) -> None:
    row = scenario(number=12, name="50,000 dead rows under a held xmin")
    await _held(database_url, row, dead=50_000, old=0)


@pytest.mark.soak
async def test_a_held_xmin_and_millions_of_old_rows_cost_a_claim_nothing(
    database_url: str, scenario: Begin
) -> None:
    row = scenario(number=12, name="a million dead rows, 5 million old notifications")
    await _held(database_url, row, dead=1_000_000, old=5_000_000)
