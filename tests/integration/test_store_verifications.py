"""Two transactions that overlap: what one has counted or guessed, the other one sees."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from typing import TypeVar

import psycopg
import pytest
from psycopg import errors

from outbox.domain.codes_checks import Checked, Status
from outbox.settings import Settings
from outbox.store import usage, verifications
from outbox.store.connect import Connection, Role, connect
from outbox.store.usage import usage_key
from outbox.store.verifications import Guess, code_hashes, named

from .codes import PHONE, Api, Outbox, asked

Answer = TypeVar("Answer")


@pytest.fixture
def outbox(settings: Settings) -> Outbox:
    return Outbox(settings)


@pytest.fixture
async def pair(database_url: str) -> AsyncIterator[tuple[Connection, Connection]]:
    """Two gateways' connections."""
    async with AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(
                await connect(database_url, Role.GATEWAY, application=f"tests {name}")
            )
            for name in ("one", "other")
        ]
        yield one, other


async def waits(database_url: str, other: Connection, work: Awaitable[Answer]) -> Future[Answer]:
    """Start what has to wait for a lock, and see that it does."""
    task = asyncio.ensure_future(work)
    query = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
    watching = await psycopg.AsyncConnection.connect(database_url, autocommit=True)
    async with watching, asyncio.timeout(60):
        while True:
            cursor = await watching.execute(query, (other.info.backend_pid,))
            if await cursor.fetchone() == (True,):
                return task
            assert not task.done(), "it did not wait"
            await asyncio.sleep(0.01)


def guess(outbox: Outbox, verification: str, code: str, caller: str) -> Guess:
    identity, shard = named(outbox.sealer, verification)
    return Guess(
        id=identity,
        shard=shard,
        hashes=code_hashes(outbox.sealer, identity, code),
        caller=caller,
        key=usage_key(outbox.sealer, "checks", caller),
    )


async def check(connection: Connection, *guesses: Guess) -> list[object]:
    async with connection.transaction():
        return list(await verifications.check(connection, guesses, most_a_minute=1000))


async def test_guesses_that_overlap_are_judged_one_after_the_other(
    api: Api, outbox: Outbox, pair: tuple[Connection, Connection]
) -> None:
    one, other = pair
    opened = await asked(api)
    code = outbox.code(opened["id"])
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    mine = [guess(outbox, opened["id"], wrong, "one")] * 3
    async with one.transaction():
        first = await verifications.check(one, mine, most_a_minute=1000)
        theirs = [
            *[guess(outbox, opened["id"], wrong, "other")] * 2,
            guess(outbox, opened["id"], code, "other"),
        ]
        second = await waits(outbox.url, other, check(other, *theirs))
    assert [c.checks_left for c in first if isinstance(c, Checked)] == [4, 3, 2]
    assert await second == [
        Checked(Status.PENDING, 1),
        Checked(Status.BLOCKED, 0),
        Checked(Status.BLOCKED, 0),
    ]


async def test_two_who_were_right_at_once_are_one(
    api: Api, outbox: Outbox, pair: tuple[Connection, Connection]
) -> None:
    one, other = pair
    opened = await asked(api)
    code = outbox.code(opened["id"])
    async with one.transaction():
        first = await verifications.check(
            one, [guess(outbox, opened["id"], code, "one")], most_a_minute=1000
        )
        second = await waits(
            outbox.url, other, check(other, guess(outbox, opened["id"], code, "other"))
        )
    assert first == [Checked(Status.APPROVED, 0)]
    assert await second == [Checked(Status.EXPIRED, 0)]


async def test_a_code_that_is_looked_at_is_locked(
    api: Api, outbox: Outbox, pair: tuple[Connection, Connection]
) -> None:
    one, other = pair
    opened = await asked(api)
    mine = guess(outbox, opened["id"], "123456", "one")
    theirs = guess(outbox, opened["id"], outbox.code(opened["id"]), "other")
    async with one.transaction():
        assert await verifications._lock(one, [mine])
        second = await waits(outbox.url, other, check(other, theirs))
    assert await second == [Checked(Status.APPROVED, 0)]


async def test_what_overlaps_is_counted_by_both(
    outbox: Outbox, pair: tuple[Connection, Connection]
) -> None:
    one, other = pair
    key = usage_key(outbox.sealer, "number", PHONE)

    async def counted() -> int:
        async with other.transaction():
            return (await usage.lock(other, [key]))[key].ten_minutes

    async with one.transaction():
        used = await usage.lock(one, [key])
        used[key].add()
        await usage.add(one, used)
        second = await waits(outbox.url, other, counted())
    assert await second == 1


async def test_a_minute_that_ends_lets_nobody_past_the_lock(
    outbox: Outbox, pair: tuple[Connection, Connection]
) -> None:
    # Whoever comes a minute earlier or later locks one row of the same.
    one, other = pair
    key = usage_key(outbox.sealer, "number", PHONE)
    async with one.transaction():
        await usage.lock(one, [key])
    cursor = await one.execute("SELECT minute FROM usage_minute ORDER BY minute")
    before, now = [row[0] for row in await cursor.fetchall()]
    assert (now - before).total_seconds() == 60
    async with one.transaction():
        await usage.lock(one, [key])
        for minute in (before, now):
            with pytest.raises(errors.LockNotAvailable):
                await other.execute(
                    "SELECT FROM usage_minute WHERE key = %s AND minute = %s FOR UPDATE NOWAIT",
                    (key, minute),
                )
