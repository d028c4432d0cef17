"""Group commit on a real server: its errors, its lost connections, and days without a partition."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import psycopg
import pytest
from msgspec.structs import replace

from outbox.domain.ids import new_id
from outbox.store.connect import Connection, Role, connect
from outbox.store.group_commit import DataRefusedError, GroupCommit, NotDurableError
from outbox.store.intake import Request
from tests.integration.stored import (
    again,
    committing,
    confirmed,
    counts,
    event,
    missed,
    rows,
)

_PATIENCE_S = 60
Notes = GroupCommit[str, int]


@asynccontextmanager
async def _notes(database_url: str, gate: asyncio.Event | None = None) -> AsyncIterator[Notes]:
    """A group commit of operator notices; while the gate is closed, transactions stay open."""

    async def write(connection: Connection, items: Sequence[str]) -> list[int]:
        cursors = [
            await connection.execute(
                "INSERT INTO notice (shard, key) VALUES (0, %s::json ->> 'key')"
                " ON CONFLICT (shard, key) DO UPDATE SET times = notice.times + 1"
                " RETURNING times",
                (item,),
            )
            for item in items
        ]
        answers = [(await cursor.fetchall())[0][0] for cursor in cursors]
        if gate is not None:
            await gate.wait()
        return answers

    opener = partial(connect, database_url, Role.GATEWAY, application="test")
    async with asyncio.timeout(_PATIENCE_S), Notes(write=write, connect=opener, workers=1) as notes:
        while not notes.connected:  # noqa: ASYNC110 - it has no signal of its own
            await asyncio.sleep(0.01)
        yield notes


def _key(name: str) -> str:
    return f'{{"key": "{name}"}}'


def _stored(database_url: str) -> list[tuple[str, int]]:
    return rows(database_url, "SELECT key, times FROM notice ORDER BY key")


@pytest.mark.parametrize("place", [0, 3, 6])
@pytest.mark.parametrize(
    "bad",
    [
        '{"key": "a\\u0000b"}',
        '{"key": "\\ud800"}',
        "no json",
        _key("x" * 1_000_000),
    ],
    ids=["nul", "lone surrogate", "malformed", "too long for its index"],
)
async def test_what_the_server_refuses_fails_alone_and_the_connection_goes_on(
    database_url: str, bad: str, place: int
) -> None:
    items = [_key(f"n{number}") for number in range(7)]
    items[place] = bad
    async with _notes(database_url) as notes:
        ends = await asyncio.gather(*map(notes.submit, items), return_exceptions=True)
        assert [type(end) for end in ends].count(DataRefusedError) == 1
        assert isinstance(ends[place], DataRefusedError)
        assert ends.count(1) == 6
        backends = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test'"
        assert rows(database_url, backends) == [(1,)]
    assert len(_stored(database_url)) == 6


async def test_a_connection_killed_before_its_commit_loses_nothing(database_url: str) -> None:
    gate = asyncio.Event()
    async with _notes(database_url, gate) as notes:
        tasks = [asyncio.create_task(notes.submit(_key(f"n{n}"))) for n in range(3)]
        # In a pipeline the server calls itself active until the last word is said.
        await _kill_when("active", database_url)
        gate.set()
        assert await asyncio.gather(*tasks) == [1, 1, 1]
        # And the next batch finds a sound connection.
        assert await notes.submit(_key("after")) == 1
    assert _stored(database_url) == [("after", 1), ("n0", 1), ("n1", 1), ("n2", 1)]


async def test_a_connection_killed_while_idle_costs_nobody_an_answer(database_url: str) -> None:
    async with _notes(database_url) as notes:
        assert await notes.submit(_key("before")) == 1
        await _kill_when("idle", database_url)
        assert await notes.submit(_key("after")) == 1


async def _kill_when(state: str, database_url: str) -> None:
    """Kill the one backend of these tests as soon as it is in this state."""
    kill = (
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
        " WHERE application_name = 'test' AND state = %s AND wait_event = 'ClientRead'"
        " AND datname = current_database()"
    )
    watcher = await psycopg.AsyncConnection.connect(database_url, autocommit=True)
    async with asyncio.timeout(_PATIENCE_S), watcher:
        while True:
            cursor = await watcher.execute(kill, (state,))
            if await cursor.fetchall() == [(True,)]:
                return
            await asyncio.sleep(0.01)


async def test_a_day_without_its_partition_is_our_fault_and_asks_to_come_again(
    database_url: str,
) -> None:
    far = replace(missed("c_1"), id=new_id(missed().shard, at_ms=4_000_000_000_000))
    fine = confirmed("c_1", member="m_2")
    async with committing(database_url, workers=1) as commits:
        ends = await asyncio.gather(
            *(commits.submit(Request((each,))) for each in (fine, far)), return_exceptions=True
        )
        assert isinstance(ends[0], list)
        # Not a refusal: who is told that the content is at fault does not send it again.
        assert isinstance(ends[1], NotDurableError)
    assert counts(database_url) == {"event_key": 1, "event": 1, "notification": 1, "due": 1}


async def test_nul_in_an_event_is_refused_as_its_senders_fault(database_url: str) -> None:
    async with committing(database_url) as commits:
        with pytest.raises(DataRefusedError):
            await commits.submit(Request((event("member.invited", source_id="a\0b"),)))
    assert counts(database_url)["event_key"] == 0


async def test_a_request_is_stored_whole_or_not_at_all(database_url: str) -> None:
    bad = event("member.invited", subject="\0")
    async with committing(database_url) as commits:
        with pytest.raises(DataRefusedError):
            await commits.submit(Request((missed("c_1"), bad, confirmed("c_1"))), weight=3)
        assert counts(database_url) == {"event_key": 0, "event": 0, "notification": 0, "due": 0}
        told = missed("c_1")
        [first] = await commits.submit(Request((told,)))
        [repeated] = await commits.submit(Request((again(told),)))
    assert (first.duplicate, repeated.duplicate) == (False, True)
