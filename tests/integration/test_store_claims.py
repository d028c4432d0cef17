"""Claims: each due row to one relay at a time, and what a claim makes of the row it takes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from outbox.domain.decide import Move
from outbox.domain.ids import shard_of
from outbox.domain.states import Lane, Work
from outbox.store.claims import Claim, Queue, claim, peek
from outbox.store.connect import Connection
from outbox.store.settle import Settlement, settle
from outbox.store.sql import statement
from tests.integration.stored import (
    confirmed,
    gateway,
    missed,
    relay,
    rows,
    safety_queue,
    write,
)

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_LANES = [int(lane) for lane in Lane]
_SHARD = shard_of("m_1")
_SAFETY = safety_queue("m_1")


async def _accept(database_url: str, number: int = 1) -> None:
    """Alerts of one Member, all in one queue."""
    async with gateway(database_url) as connection:
        await write(connection, [missed(*(f"c_{n}" for n in range(number)))])


def _set(database_url: str, change: str) -> None:
    rows(database_url, f"UPDATE due SET {change} RETURNING 1")


def _due(database_url: str, columns: str) -> tuple[Any, ...]:
    [row] = rows(database_url, f"SELECT {columns} FROM due")
    return row


async def _claim(connection: Connection, limit: int = 100, lease_s: float = 60) -> list[Claim]:
    return await claim(connection, [(_SAFETY, limit)], lease_s=lease_s)


async def test_a_claim_takes_a_due_row_for_its_lease_with_all_that_it_is_about(
    database_url: str,
) -> None:
    told = missed("c_1")
    async with gateway(database_url) as connection:
        await write(connection, [told])
    async with relay(database_url) as connection:
        [taken] = await _claim(connection)
    [made] = told.notifications
    assert (taken.notification, taken.event, taken.subject) == (made.id, told.id, "m_1")
    assert (taken.kind, taken.recipient, taken.content) == (made.kind, "c_1", made.content)
    assert (taken.work, taken.step, taken.attempt, taken.fence) == (Work.SEND, 0, 1, 1)
    assert (taken.call_fence, taken.abandoned, taken.suspect, taken.expired) == (1, False, 0, False)
    assert 0 <= taken.step_age_s < 60
    assert taken.receipt_left_s is None
    stored = _due(database_url, "owner, fence, attempt, due_at BETWEEN now() + interval '30 s'"
                  " AND now() + interval '60 s'")  # fmt: skip
    assert stored == (taken.token, 1, 1, True)


async def test_what_is_not_due_or_parked_or_of_another_queue_is_left(database_url: str) -> None:
    await _accept(database_url)
    async with relay(database_url) as connection:
        for due_at in ("now() + interval '1 hour'", "'infinity'"):
            _set(database_url, f"due_at = {due_at}")
            assert await _claim(connection) == []
            assert await peek(connection, _LANES) == []
        _set(database_url, "due_at = now()")
        for queue in (Queue((_SHARD + 1) % 16, 0, _LONG_AGO), Queue(_SHARD, 2, _LONG_AGO)):
            assert await claim(connection, [(queue, 9)], lease_s=60) == []


async def test_the_oldest_come_first_and_no_more_than_wanted(database_url: str) -> None:
    await _accept(database_url, 6)
    _set(database_url, "due_at = now() - (seq % 6) * interval '1 minute'")
    oldest = rows(database_url, "SELECT seq FROM due ORDER BY due_at LIMIT 4")
    async with relay(database_url) as connection:
        taken = await _claim(connection, limit=4)
    assert {each.seq for each in taken} == {seq for (seq,) in oldest}


async def test_relays_at_once_take_every_row_exactly_once_and_wait_for_nobody(
    database_url: str,
) -> None:
    await _accept(database_url, 90)
    async with (
        relay(database_url) as one,
        relay(database_url) as two,
        relay(database_url) as three,
        asyncio.timeout(60),
    ):

        async def take_all(connection: Connection) -> list[Claim]:
            taken: list[Claim] = []
            while more := await _claim(connection, limit=7):
                taken += more
            return taken

        parts = await asyncio.gather(*map(take_all, (one, two, three)))
    taken = [each.seq for part in parts for each in part]
    assert len(taken) == len(set(taken)) == 90


async def test_a_row_that_another_relay_is_taking_is_passed_over(database_url: str) -> None:
    await _accept(database_url, 2)
    async with relay(database_url) as one, relay(database_url) as other:
        async with one.transaction(), asyncio.timeout(60):
            await one.execute("SELECT 1 FROM due ORDER BY seq LIMIT 1 FOR NO KEY UPDATE")
            [taken] = await _claim(other)
        [rest] = await _claim(other)
    assert taken.seq > rest.seq


async def test_a_lost_owner_makes_a_send_a_question_about_the_call_that_may_have_gone_out(
    database_url: str,
) -> None:
    await _accept(database_url)
    async with relay(database_url) as connection:
        [first] = await _claim(connection)
        assert await _claim(connection) == []
        _set(database_url, "due_at = now()")
        [second] = await _claim(connection)
    assert (second.work, second.abandoned, second.suspect) == (Work.RESOLVE, True, 1)
    assert (second.fence, second.call_fence) == (2, first.call_fence)
    # No new call: the try does not count.
    assert (second.attempt, second.step) == (first.attempt, 0)
    assert second.token != first.token


@pytest.mark.parametrize("work", [Work.RESOLVE, Work.ASK, Work.HOLD])
async def test_a_lost_owner_of_anything_else_is_done_again_as_it_is(
    database_url: str, work: Work
) -> None:
    await _accept(database_url)
    _set(
        database_url,
        f"work = {int(work)}, owner = '{uuid4()}', fence = 4, call_fence = 3, attempt = 2,"
        " receipt_until = now() + interval '1 minute', best_rank = 4",
    )
    async with relay(database_url) as connection:
        [taken] = await _claim(connection)
    assert (taken.work, taken.abandoned, taken.suspect) == (work, True, 1)
    assert (taken.fence, taken.call_fence, taken.attempt) == (5, 3, 2)
    assert taken.best_rank == 4


@pytest.mark.parametrize(
    ("change", "work", "step"),
    [
        ("receipt_until = now() - interval '1 s'", Work.SEND, 1),
        ("receipt_until = now() + interval '1 min', best_rank = 8", Work.SEND, 1),
        ("receipt_until = now() + interval '1 min', best_rank = 4", Work.ASK, 0),
    ],
    ids=["out of time", "failed", "looked at before"],
)
async def test_an_awaited_receipt_that_failed_or_is_late_leads_on_and_else_is_asked_for(
    database_url: str, change: str, work: Work, step: int
) -> None:
    await _accept(database_url)
    _set(
        database_url,
        "work = 1, fence = 1, call_fence = 1, attempt = 3, asked = 2,"
        f" step_at = now() - interval '1 hour', {change}",
    )
    async with relay(database_url) as connection:
        [taken] = await _claim(connection)
    assert (taken.work, taken.step, taken.abandoned) == (work, step, False)
    if work == Work.SEND:
        # A step and a call of their own: what was heard before says nothing of them.
        assert (taken.attempt, taken.asked, taken.call_fence, taken.best_rank) == (1, 0, 2, 0)
        assert taken.step_age_s == 0
        assert taken.receipt_left_s is None
    else:
        assert (taken.attempt, taken.asked, taken.call_fence, taken.best_rank) == (3, 2, 1, 4)
        assert taken.step_age_s >= 3600
        assert taken.receipt_left_s is not None
        assert 0 < taken.receipt_left_s <= 60


async def test_what_expired_says_so(database_url: str) -> None:
    await _accept(database_url)
    rows(database_url, "UPDATE notification SET expires_at = now() RETURNING 1")
    async with relay(database_url) as connection:
        [taken] = await _claim(connection)
    assert taken.expired


async def test_a_peek_names_queues_by_lane_and_age_and_locks_nothing(database_url: str) -> None:
    async with gateway(database_url) as connection:
        events = [confirmed("c_1", member=f"m_{n}") for n in range(12)]
        await write(connection, [*events, missed("c_1", member="m_99")])
    expected = rows(
        database_url,
        "SELECT shard, lane FROM due GROUP BY 1, 2 ORDER BY lane, min(due_at), shard",
    )
    async with relay(database_url) as one, relay(database_url) as other, one.transaction():
        await one.execute("SELECT 1 FROM due FOR UPDATE")
        seen = await peek(other, _LANES)
        assert sorted((q.shard, q.lane) for q in seen) == sorted(expected)
        assert [q.lane for q in seen] == sorted(q.lane for q in seen)
        assert {q.lane for q in await peek(other, [int(Lane.SAFETY)])} == {0}
        assert await peek(other, [int(Lane.CODES)]) == []


async def test_what_lies_below_the_mark_is_found_by_the_scan_that_ignores_it(
    database_url: str,
) -> None:
    await _accept(database_url)
    _set(database_url, "due_at = now() - interval '1 hour'")
    async with relay(database_url) as connection:
        await connection.execute("UPDATE lane SET low = now()")
        assert await peek(connection, _LANES) == []
        await connection.execute(statement("low_water"), {"behind_s": 20})
        [queue] = await peek(connection, _LANES)
        assert [each.shard for each in await claim(connection, [(queue, 1)], lease_s=60)]


async def test_a_mark_never_passes_what_is_waiting_nor_what_may_yet_be_written(
    database_url: str,
) -> None:
    await _accept(database_url)
    low = "SELECT low FROM lane WHERE shard = %s AND lane = 0"
    async with relay(database_url) as connection:
        for due_at, passed in (("now() - interval '1 hour'", 3600), ("now() + interval '1 h'", 20)):
            _set(database_url, f"due_at = {due_at}")
            await connection.execute(statement("low_water"), {"behind_s": 20})
            [(mark,)] = rows(database_url, low, _SHARD)
            [(now,)] = rows(database_url, "SELECT now()")
            assert now - mark >= timedelta(seconds=passed)
            assert now - mark < timedelta(seconds=passed + 60)


async def test_a_mark_that_another_relay_is_setting_is_waited_for_by_nobody(
    database_url: str,
) -> None:
    async with (
        relay(database_url) as one,
        relay(database_url) as other,
        asyncio.timeout(60),
        one.transaction(),
    ):
        await one.execute(statement("low_water"), {"behind_s": 20})
        cursor = await other.execute(statement("low_water"), {"behind_s": 20})
        assert cursor.rowcount == 0


@pytest.mark.parametrize("delay_s", [0.0, 5.0])
async def test_nothing_is_written_as_due_in_the_past(database_url: str, delay_s: float) -> None:
    # Below a mark it would be seen by nobody until the next scan that ignores the marks.
    await _accept(database_url)
    _set(
        database_url,
        "work = 3, fence = 1, call_fence = 1, receipt_until = now() - interval '5 minutes'",
    )
    async with relay(database_url) as connection:
        [taken] = await _claim(connection)
        move = Move(work=Work.AWAIT, step=0, attempt=1, asked=1, delay_s=delay_s)
        before = rows(database_url, "SELECT now()")[0][0]
        await settle(connection, [Settlement(claim=taken, move=move)])
    due_at, work = _due(database_url, "due_at, work")
    assert work == Work.AWAIT
    assert due_at >= before
