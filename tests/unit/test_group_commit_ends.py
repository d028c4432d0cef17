"""Group commit: however a caller, a connection or the process ends, nobody waits for ever."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from outbox.store import group_commit
from outbox.store.group_commit import NotDurableError
from tests.unit.fake_database import (
    Database,
    Fate,
    came_to,
    held,
    running,
    submitted,
    until,
)

_AWAY = psycopg.OperationalError("away")


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "_RECONNECT_S", 0.001)


async def test_a_caller_that_goes_away_cancels_nobodys_batch(database: Database) -> None:
    async with running(database) as commits:
        async with held(database, commits) as first:
            tasks = await submitted(commits, "1", "2", "3")
            tasks[1].cancel()
            first.cancel()
            await asyncio.sleep(0)
        assert await came_to(first, *tasks) == [
            "CancelledError",
            "wrote 1",
            "CancelledError",
            "wrote 3",
        ]
    # What it had handed over is stored all the same.
    assert sorted(database.committed) == ["1", "2", "3", "held"]


async def test_a_caller_that_goes_away_before_its_item_is_refused_leaves_no_trace(
    database: Database,
) -> None:
    # An error that nobody retrieves is reported to the loop, which fails this test.
    async with running(database) as commits:
        async with held(database, commits):
            tasks = await submitted(commits, "1", "bug 2")
            tasks[1].cancel()
            await asyncio.sleep(0)
        assert await came_to(*tasks) == ["wrote 1", "CancelledError"]


async def test_the_end_writes_what_waits_and_takes_nothing_more(database: Database) -> None:
    async with running(database, max_batch=2) as commits:
        database.go_on.clear()
        tasks = await submitted(commits, *"12345")
        ending = asyncio.create_task(commits.__aexit__(None, None, None))
        await asyncio.sleep(0)
        with pytest.raises(NotDurableError, match="shutting down"):
            await commits.submit("late")
        database.go_on.set()
        await ending
        assert await came_to(*tasks) == [f"wrote {item}" for item in "12345"]
    assert all(connection.closed for connection in database.opened)
    assert commits.connected == 0


async def test_the_end_is_bounded_and_frees_who_waits(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "_STOP_S", 0.05)
    async with running(database, max_batch=1) as commits:
        database.go_on.clear()
        tasks = await submitted(commits, "in its commit", "waiting")
        await database.at_commit.wait()
    assert await came_to(*tasks) == ["NotDurableError", "NotDurableError"]
    assert database.committed == []


async def test_the_end_does_not_wait_for_a_database_that_is_away(database: Database) -> None:
    database.away = _AWAY
    async with running(database) as commits:
        await until(lambda: database.tries > 2)
    assert commits.connected == 0


async def test_without_a_connection_it_is_refused_at_once(database: Database) -> None:
    database.away = _AWAY
    async with running(database) as commits:
        with pytest.raises(NotDurableError, match="cannot be reached"):
            await commits.submit("1")
        assert commits.waiting == 0
        database.away = None
        await until(lambda: commits.connected)
        assert await commits.submit("2") == "wrote 2"
    assert database.committed == ["2"]


async def test_what_waits_is_refused_when_the_last_connection_is_lost(database: Database) -> None:
    async with running(database, max_batch=1) as commits:
        async with held(database, commits) as first:
            tasks = await submitted(commits, "1", "2")
            database.fates.append(Fate.BROKEN)
            database.away = _AWAY
        assert await came_to(first, *tasks) == ["NotDurableError"] * 3
        assert (commits.connected, commits.waiting) == (0, 0)
        database.away = None
        await until(lambda: commits.connected)
        assert await commits.submit("3") == "wrote 3"


@pytest.mark.parametrize(
    "fault",
    [
        psycopg.OperationalError("away"),
        psycopg.InterfaceError("no"),
        ConnectionRefusedError("no"),
        TimeoutError("no"),
        ValueError("a name that no resolver takes"),
    ],
    ids=lambda fault: type(fault).__name__,
)
async def test_however_opening_a_connection_fails_it_is_tried_again(
    database: Database, fault: Exception
) -> None:
    async with running(database) as commits:
        database.fates.append(Fate.BROKEN)
        database.away = fault
        with pytest.raises(NotDurableError):
            await commits.submit("1")
        tries = database.tries
        await until(lambda: database.tries > tries + 3)
        with pytest.raises(NotDurableError):
            await commits.submit("2")
        database.away = None
        await until(lambda: commits.connected)
        assert await commits.submit("3") == "wrote 3"


@pytest.mark.parametrize("item", ["1", "data 1", "bug 1", "refused 1"])
async def test_a_connection_that_closed_by_itself_is_counted_no_longer(
    database: Database, item: str
) -> None:
    async with running(database) as commits:
        database.go_on.clear()
        task = (await submitted(commits, item))[0]
        await until(lambda: database.batches)
        database.opened[0].closed = True
        database.go_on.set()
        await came_to(task)
        await until(lambda: len(database.opened) > 1 and commits.connected == 1)
        assert await commits.submit("2") == "wrote 2"
        assert commits.connected == 1
        database.away = _AWAY
        database.fates.append(Fate.BROKEN)
        with pytest.raises(NotDurableError):
            await commits.submit("3")
        await until(lambda: commits.connected == 0)
        # Nothing waits in vain: it is refused at once.
        with pytest.raises(NotDurableError, match="cannot be reached"):
            await commits.submit("4")


async def test_an_idle_worker_finds_out_that_its_connection_is_gone(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "_LOOK_S", 0.01)
    async with running(database) as commits:
        await asyncio.sleep(0.05)
        assert len(database.opened) == 1
        database.opened[0].closed = True
        await until(lambda: len(database.opened) > 1 and commits.connected == 1)
        assert await commits.submit("1") == "wrote 1"


async def test_workers_commit_at_the_same_time_on_connections_of_their_own(
    database: Database,
) -> None:
    async with running(database, workers=3, max_batch=1) as commits:
        await until(lambda: commits.connected == 3)
        database.go_on.clear()
        tasks = await submitted(commits, *"12345")
        await until(lambda: database.busy == 3)
        database.go_on.set()
        assert await came_to(*tasks) == [f"wrote {item}" for item in "12345"]
        assert database.busiest == 3


async def test_a_worker_without_a_connection_does_not_refuse_what_others_can_write(
    database: Database,
) -> None:
    async with running(database, workers=2, max_batch=1) as commits:
        await until(lambda: commits.connected == 2)
        async with held(database, commits) as first:
            database.fates.append(Fate.BROKEN)
            tasks = await submitted(commits, "1", "2", "3")
            database.away = _AWAY
        ends = await came_to(first, *tasks)
        assert commits.connected == 1
        assert ends.count("NotDurableError") == 1
        assert await commits.submit("4") == "wrote 4"


async def test_nobody_waits_for_ever_behind_a_commit_that_hangs(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "_PATIENCE_S", 0.02)
    async with running(database) as commits:
        async with held(database, commits) as first:
            tasks = await submitted(commits, "1", "2")
            assert await came_to(*tasks) == ["NotDurableError", "NotDurableError"]
            assert commits.waiting == 0
        # It was on its way: only the database can say what became of it.
        assert await came_to(first) == ["wrote held"]
    assert database.committed == ["held"]


async def test_a_commit_that_took_too_long_to_fail_is_not_run_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "_PATIENCE_S", 0.02)
    async with running(database) as commits:
        async with held(database, commits) as first:
            await asyncio.sleep(0.03)
            database.fates.append(Fate.BROKEN)
        assert await came_to(first) == ["NotDurableError"]
    assert database.batches == [["held"]]


def test_not_durable_says_when_to_come_again() -> None:
    assert NotDurableError("why").detail == "why"
    assert NotDurableError("why").retry_after_s == 2
    assert NotDurableError("why", retry_after_s=7).retry_after_s == 7
