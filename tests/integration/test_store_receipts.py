"""Receipts: each counts for its own call, a success always, and all in one order."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from outbox.domain.decide import Final
from outbox.domain.states import State
from outbox.store.claims import claim
from outbox.store.settle import Settlement, settle
from tests.integration.settled import (
    AWAIT,
    GIVEN_UP,
    NEXT,
    applied,
    claimed,
    row,
    said,
    state_of,
    two,
)
from tests.integration.stored import relay, rows, safety_queue


async def test_a_failure_of_an_older_call_moves_nothing(database_url: str) -> None:
    async with relay(database_url) as connection:
        [taken] = await claimed(database_url, connection)
        await settle(connection, [Settlement(claim=taken, move=NEXT)])
        [newer] = await claim(connection, [(safety_queue("m_1"), 1)], lease_s=60)
        await settle(connection, [Settlement(claim=newer, move=replace(AWAIT, step=1))])
        before = rows(database_url, "SELECT * FROM due")
        for changed in ({}, {"step": 1}, {"fence": newer.fence}):
            await applied(connection, said(taken, "undelivered", **changed))
            assert rows(database_url, "SELECT * FROM due") == before
        # But it is kept; the same words once.
        assert rows(database_url, "SELECT count(*) FROM receipt") == [(1,)]


async def test_a_success_of_an_older_call_counts(database_url: str) -> None:
    async with relay(database_url) as connection:
        [taken] = await claimed(database_url, connection)
        await settle(connection, [Settlement(claim=taken, move=NEXT)])
        await claim(connection, [(safety_queue("m_1"), 1)], lease_s=60)
        await applied(connection, said(taken, "delivered"))
    assert state_of(database_url) == ("delivered", None, "carrier")
    assert row(database_url) is None


@pytest.mark.parametrize("state", ["undeliverable", "suppressed", "expired"])
async def test_a_late_success_lifts_what_was_given_up_but_nothing_that_was_withdrawn(
    database_url: str, state: str
) -> None:
    async with relay(database_url) as connection:
        [taken] = await claimed(database_url, connection)
        await settle(
            connection, [Settlement(claim=taken, move=Final(state=State(state), reason="x"))]
        )
        await applied(connection, said(taken, "delivered"))
        assert state_of(database_url) == ("delivered", None, "carrier")
        rows(
            database_url,
            "UPDATE notification SET state = 'cancelled', proof = NULL, reason = 'x' RETURNING 1",
        )
        await applied(connection, said(taken, "read"))
    assert state_of(database_url) == ("cancelled", "x", None)


@pytest.mark.parametrize("word", ["delivered", "read"])
async def test_late_successes_of_the_same_notifications_in_opposite_orders_do_not_deadlock(
    database_url: str, word: str
) -> None:
    again = (
        "UPDATE notification SET state = 'undeliverable', reason = 'x', proof = NULL,"
        " final_at = now() RETURNING 1"
    )
    async with two(database_url) as (one, other):
        claims = await claimed(database_url, one, 100)
        await settle(one, [Settlement(claim=taken, move=GIVEN_UP) for taken in claims])
        for number in range(10):
            told = [said(taken, "delivered", provider_id=f"{number}") for taken in claims]
            back = [said(taken, word, provider_id=f"{number}") for taken in reversed(claims)]
            await asyncio.gather(applied(one, *told), applied(other, *back))
            assert rows(database_url, "SELECT DISTINCT state FROM notification") == [("delivered",)]
            rows(database_url, again)
