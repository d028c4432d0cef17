"""Wake-ups: the first is said at once, what follows on its heels is gathered, alerts never wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import psycopg
import pytest

from outbox.store import wake
from outbox.store.connect import Role, connect
from outbox.store.wake import CHANNEL, Waker

WITHIN_S = 30.0


@pytest.fixture
async def listening(database_url: str) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(f"LISTEN {CHANNEL}")
        yield connection


async def heard(connection: psycopg.AsyncConnection, count: int) -> set[str]:
    """The next so many words."""
    return {n.payload async for n in connection.notifies(timeout=WITHIN_S, stop_after=count)}


async def test_only_what_follows_on_the_heels_of_another_wake_up_waits(
    database_url: str,
    listening: psycopg.AsyncConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # So long that nothing said in this test comes out of a pause by itself.
    monkeypatch.setattr(wake, "_DEBOUNCE_S", WITHIN_S * 10)
    async with Waker(partial(connect, database_url, Role.GATEWAY, application="test")) as waker:
        waker.wake(2)
        assert await heard(listening, 1) == {"lane:2"}

        waker.wake(2)
        waker.wake(3)
        assert [n async for n in listening.notifies(timeout=0.3)] == []

        # An alert ends the pause, and takes the others along.
        waker.wake(0)
        assert await heard(listening, 3) == {"lane:0", "lane:2", "lane:3"}


async def test_what_was_gathered_is_said_after_the_pause(
    database_url: str,
    listening: psycopg.AsyncConnection,
) -> None:
    async with Waker(partial(connect, database_url, Role.GATEWAY, application="test")) as waker:
        waker.wake(2)
        await heard(listening, 1)
        waker.wake(3)

        assert await heard(listening, 1) == {"lane:3"}
