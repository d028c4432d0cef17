"""Settles that meet receipts on one row: whoever comes second decides from what is there."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from outbox.domain.decide import Final, Move
from outbox.domain.states import Lane, Work
from outbox.store.claims import Claim
from outbox.store.settle import Settlement, settle
from tests.integration.settled import (
    ACCEPTED,
    AWAIT,
    GIVEN_UP,
    NEXT,
    PARK,
    applied,
    claimed,
    heard,
    row,
    said,
    state_of,
    two,
)
from tests.integration.stored import blocked, relay, rows


async def test_a_settle_appends_what_was_done_and_moves_its_row(database_url: str) -> None:
    async with relay(database_url) as connection:
        [taken] = await claimed(database_url, connection)
        await settle(connection, [Settlement(claim=taken, move=AWAIT, attempts=(ACCEPTED,))])
    assert row(database_url) == (Work.AWAIT, 0, False, False)
    assert rows(
        database_url,
        "SELECT fence, step, try, what, channel, provider, result, provider_id, stale, latency_ms"
        " FROM attempt",
    ) == [(1, 0, 1, "send", "sms", "twilio", "accepted", "SM1", False, 80)]
    [(in_time,)] = rows(
        database_url, "SELECT receipt_until - due_at = interval '45 seconds' FROM due"
    )
    assert in_time


@pytest.mark.parametrize("move", [AWAIT, NEXT, PARK, GIVEN_UP])
async def test_a_settle_that_is_written_again_changes_nothing(
    database_url: str, move: Move | Final
) -> None:
    query = (
        "SELECT d::text, n.state, n.reason, n.final_at FROM notification n"
        " LEFT JOIN due d ON d.notification = n.id"
    )
    async with relay(database_url) as connection:
        [taken] = await claimed(database_url, connection)
        done = Settlement(claim=taken, move=move, attempts=(ACCEPTED,))
        await settle(connection, [done])
        before = rows(database_url, query)
        await settle(connection, [done])
    assert rows(database_url, query) == before
    assert rows(database_url, "SELECT count(*) FROM attempt") == [(1,)]


@pytest.mark.parametrize("move", [AWAIT, NEXT, PARK, GIVEN_UP])
@pytest.mark.parametrize("lost", ["owner = gen_random_uuid()", "owner = NULL", "fence = fence + 1"])
async def test_a_settle_whose_claim_was_lost_is_kept_and_moves_nothing(
    database_url: str, move: Move | Final, lost: str
) -> None:
    async with relay(database_url) as connection:
        [taken] = await claimed(database_url, connection)
        rows(database_url, f"UPDATE due SET {lost} RETURNING 1")
        before = rows(database_url, "SELECT * FROM due")
        await settle(connection, [Settlement(claim=taken, move=move, attempts=(ACCEPTED,))])
    assert rows(database_url, "SELECT * FROM due") == before
    assert state_of(database_url) == ("open", None, None)
    # It may be a real message on a real handset.
    assert rows(database_url, "SELECT stale, provider_id FROM attempt") == [(True, "SM1")]


@pytest.mark.parametrize("status", ["undelivered", "failed", "canceled"])
async def test_a_failure_that_is_being_written_ends_the_waiting_that_begins_meanwhile(
    database_url: str, status: str
) -> None:
    async with two(database_url) as (one, other):
        [taken] = await claimed(database_url, one)
        async with one.transaction():
            await heard(one, said(taken, status))
            done = Settlement(claim=taken, move=AWAIT, attempts=(ACCEPTED,))
            settling = asyncio.create_task(settle(other, [done]))
            await blocked(database_url, other)
        await settling
    # Its claim will take the next step at once, not at the deadline.
    assert row(database_url) == (Work.AWAIT, 0, True, False)
    assert rows(database_url, "SELECT best_rank FROM due") == [(8,)]


async def test_a_failure_that_comes_while_a_waiting_begins_ends_it(database_url: str) -> None:
    async with two(database_url) as (one, other):
        [taken] = await claimed(database_url, one)
        async with one.transaction():
            await settle(one, [Settlement(claim=taken, move=AWAIT)])
            applying = asyncio.create_task(applied(other, said(taken, "undelivered")))
            await blocked(database_url, other)
        assert (await applying).lanes == {Lane.SAFETY}
    assert row(database_url) == (Work.AWAIT, 0, True, False)


@pytest.mark.parametrize("settle_first", [True, False])
@pytest.mark.parametrize("move", [AWAIT, NEXT, PARK, GIVEN_UP])
async def test_a_success_wins_whoever_comes_first(
    database_url: str, move: Move | Final, settle_first: bool
) -> None:
    async with two(database_url) as (one, other):
        [taken] = await claimed(database_url, one)
        done = Settlement(claim=taken, move=move, attempts=(ACCEPTED,))
        told = said(taken, "delivered")
        async with one.transaction():
            if settle_first:
                await settle(one, [done])
            else:
                await heard(one, told)
            second = asyncio.create_task(
                applied(other, told) if settle_first else settle(other, [done])
            )
            await blocked(database_url, other)
        await second
    assert state_of(database_url) == ("delivered", None, "carrier")
    assert row(database_url) is None


async def test_parking_locks_the_due_row_before_the_notification(database_url: str) -> None:
    async with two(database_url) as (one, other):
        [taken] = await claimed(database_url, one)
        async with one.transaction():
            await one.execute("SELECT 1 FROM due FOR UPDATE")
            parking = asyncio.create_task(settle(other, [Settlement(claim=taken, move=PARK)]))
            await blocked(database_url, other)
            # Whoever holds the due row may have the notification: nobody waits in a circle.
            await one.execute("SELECT 1 FROM notification FOR UPDATE NOWAIT")
        await parking
    assert state_of(database_url) == ("parked", "twilio_20003", None)


async def test_attempts_of_two_settles_wait_for_each_other_in_one_order(database_url: str) -> None:
    async with two(database_url) as (one, other):
        claims = await claimed(database_url, one, 2)
        low, high = sorted(claims, key=lambda taken: taken.notification)
        first, second = (
            Settlement(claim=taken, move=AWAIT, attempts=(ACCEPTED,)) for taken in (low, high)
        )
        async with one.transaction():
            await settle(one, [first])
            # As after a lost connection whose transaction the server still runs.
            again = asyncio.create_task(settle(other, [second, first]))
            await blocked(database_url, other)
            await settle(one, [second])
        await again
    assert rows(database_url, "SELECT count(*)::int FROM attempt") == [(2,)]


async def test_what_is_parked_has_its_due_row_at_infinity(database_url: str) -> None:
    async with relay(database_url) as connection:
        [taken] = await claimed(database_url, connection)
        await settle(connection, [Settlement(claim=taken, move=PARK)])
    query = "SELECT due_at = 'infinity', fence, owner FROM due"
    assert rows(database_url, query) == [(True, taken.fence, None)]


async def test_a_cancel_that_came_during_a_call_is_looked_at_at_once(database_url: str) -> None:
    async with relay(database_url) as connection:
        [taken] = await claimed(database_url, connection)
        rows(database_url, "UPDATE due SET cancel = true RETURNING 1")
        later = Move(work=Work.SEND, step=0, attempt=1, delay_s=100)
        await settle(connection, [Settlement(claim=taken, move=later)])
    assert row(database_url) == (Work.SEND, 0, True, False)


def _random_batch(claims: Sequence[Claim], rng: random.Random) -> list[Settlement]:
    moves: list[Move | Final] = [AWAIT, NEXT, PARK, GIVEN_UP]
    batch = [
        Settlement(
            claim=taken if rng.random() < 0.7 else replace(taken, token=uuid4()),
            move=rng.choice(moves),
            attempts=(ACCEPTED,),
        )
        for taken in claims
    ]
    rng.shuffle(batch)
    return batch


@pytest.mark.parametrize("seed", range(3))
async def test_settles_and_receipts_of_the_same_rows_never_deadlock_and_lose_nothing(
    database_url: str, seed: int
) -> None:
    rng = random.Random(seed)
    async with (
        relay(database_url) as one,
        relay(database_url) as two,
        relay(database_url) as three,
        relay(database_url) as four,
        asyncio.timeout(60),
    ):
        claims = await claimed(database_url, one, 40)
        for _ in range(8):
            told = [
                said(taken, rng.choice(["undelivered", "sent", "delivered"]), provider_id=f"{n}")
                for n, taken in enumerate(rng.choices(claims, k=40))
            ]
            # A deadlock would raise here: nothing is tried again.
            await asyncio.gather(
                settle(one, _random_batch(rng.sample(claims, 25), rng)),
                settle(two, _random_batch(rng.sample(claims, 25), rng)),
                applied(three, *told[:20]),
                applied(four, *told[20:]),
            )
    _no_notification_without_its_row(database_url)


def _no_notification_without_its_row(database_url: str) -> None:
    query = (
        "SELECT n.id FROM notification n FULL JOIN due d ON d.notification = n.id"
        " WHERE (n.state IN ('open', 'parked')) IS DISTINCT FROM (d.seq IS NOT NULL)"
    )
    strays: list[tuple[UUID]] = rows(database_url, query)
    assert strays == []
