"""Group commit: what comes together is committed together, and each waits for its own commit."""

from __future__ import annotations

import asyncio

import pytest

from outbox.store import group_commit
from outbox.store.group_commit import DataRefusedError, NotDurableError
from tests.unit.fake_database import (
    FAULTS,
    UNSYNCED,
    Database,
    Diagnostic,
    Fate,
    TakenError,
    came_to,
    held,
    running,
    submitted,
    until,
)


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "_RECONNECT_S", 0.001)


async def test_what_comes_together_is_one_transaction_and_each_gets_its_own_answer(
    database: Database,
) -> None:
    async with running(database) as commits:
        async with held(database, commits) as first:
            tasks = await submitted(commits, "1", "2", "3")
        assert await came_to(first, *tasks) == ["wrote held", "wrote 1", "wrote 2", "wrote 3"]
    assert database.batches == [["held"], ["1", "2", "3"]]
    assert database.committed == ["held", "1", "2", "3"]


async def test_nothing_is_answered_before_its_commit(database: Database) -> None:
    async with running(database) as commits, held(database, commits) as task:
        for _ in range(20):
            await asyncio.sleep(0)
        assert not task.done()
        assert database.committed == []


async def test_a_batch_ends_where_its_weight_would_be_too_much(database: Database) -> None:
    async with running(database, max_batch=10) as commits:
        async with held(database, commits):
            tasks = [
                asyncio.create_task(commits.submit(name, weight=weight))
                for name, weight in (("a", 4), ("b", 6), ("c", 1), ("heavy", 50), ("d", 10))
            ]
            await asyncio.sleep(0)
            assert commits.waiting == 71
        await came_to(*tasks)
        assert commits.waiting == 0
    # What is heavier than a batch may be goes alone.
    assert database.batches == [["held"], ["a", "b"], ["c"], ["heavy"], ["d"]]


async def test_what_is_too_much_to_wait_is_refused_at_once(database: Database) -> None:
    async with running(database, max_waiting=10) as commits:
        async with held(database, commits):
            [task] = await submitted(commits, "1")
            with pytest.raises(NotDurableError, match="too much") as caught:
                await commits.submit("2", weight=7)
            assert caught.value.retry_after_s > 0
        await task
        # Room is there again.
        assert await commits.submit("3", weight=7) == "wrote 3"


async def test_no_flood_takes_the_room_of_what_goes_first(database: Database) -> None:
    async with running(database, max_waiting=8) as commits, held(database, commits):
        flood = await submitted(commits, *"123456")
        with pytest.raises(NotDurableError, match="too much"):
            await commits.submit("7")
        alerts = await submitted(commits, "alert 1", "alert 2", first=True)
        with pytest.raises(NotDurableError, match="too much"):
            await commits.submit("alert 3", first=True)
        assert commits.waiting == 8
    assert await came_to(*alerts, *flood) == [
        "wrote alert 1",
        "wrote alert 2",
        *(f"wrote {item}" for item in "123456"),
    ]


async def test_a_reserved_worker_writes_what_goes_first_while_all_others_hang(
    database: Database,
) -> None:
    async with running(database, workers=1, reserved=1) as commits:
        await until(lambda: commits.connected == 2)
        async with held(database, commits):
            flood = await submitted(commits, "1", "2")
            [alert] = await submitted(commits, "alert", first=True)
            await until(lambda: database.busy == 2)
            assert database.batches == [["held"], ["alert"]]
            assert not alert.done()
        assert await came_to(alert, *flood) == ["wrote alert", "wrote 1", "wrote 2"]
    # What does not go first is never written by it.
    assert database.batches == [["held"], ["alert"], ["1", "2"]]


async def test_what_is_first_goes_before_the_rest_and_firsts_keep_their_order(
    database: Database,
) -> None:
    async with running(database, max_batch=3) as commits:
        async with held(database, commits):
            tasks = await submitted(commits, "1", "2")
            tasks += await submitted(commits, "alert 1", "alert 2", first=True)
            tasks += await submitted(commits, "3")
            tasks += await submitted(commits, "alert 3", "alert 4", first=True)
        await came_to(*tasks)
    assert database.batches[1:] == [
        ["alert 1", "alert 2", "alert 3"],
        ["alert 4", "1", "2"],
        ["3"],
    ]


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("data", "DataRefusedError"),
        ("limit", "DataRefusedError"),
        ("refused", "TakenError"),
        ("bug", "ZeroDivisionError"),
        # Ours to mend, such as a partition that is missing: the sender must try again.
        ("integrity", "NotDurableError"),
    ],
)
async def test_one_item_that_cannot_be_stored_fails_alone(
    database: Database, fault: str, error: str, place: int
) -> None:
    items = [str(number) for number in range(5)]
    items[place] = f"{fault} {place}"
    async with running(database) as commits:
        async with held(database, commits):
            tasks = await submitted(commits, *items)
        ends = await came_to(*tasks)
        assert ends[place] == error
        assert [end for end in ends if end != error] == [
            f"wrote {item}" for item in items if item != items[place]
        ]
        # The same connection goes on.
        assert await commits.submit("after") == "wrote after"
    assert sorted(database.committed) == sorted({*items, "held", "after"} - {items[place]})
    assert len(database.opened) == 1


async def test_several_bad_items_fail_and_all_good_ones_are_stored(database: Database) -> None:
    items = ["data 0", "1", "refused 2", "3", "4", "bug 5", "data 6"]
    async with running(database) as commits:
        async with held(database, commits):
            tasks = await submitted(commits, *items)
        assert await came_to(*tasks) == [
            "DataRefusedError",
            "wrote 1",
            "TakenError",
            "wrote 3",
            "wrote 4",
            "ZeroDivisionError",
            "DataRefusedError",
        ]
    assert sorted(database.committed) == ["1", "3", "4", "held"]


async def test_a_refusal_names_the_class_of_the_fault_and_not_the_content(
    database: Database,
) -> None:
    async with running(database) as commits:
        with pytest.raises(DataRefusedError, match=f"^{FAULTS['data'].__name__}$"):
            await commits.submit("data secret")
        with pytest.raises(TakenError):
            await commits.submit("refused 1")


@pytest.mark.parametrize("fate", [Fate.ANSWER_LOST, Fate.BROKEN])
async def test_a_commit_without_an_answer_is_run_once_more(database: Database, fate: Fate) -> None:
    async with running(database) as commits:
        database.fates.extend([Fate.COMMITTED, fate])
        async with held(database, commits):
            tasks = await submitted(commits, "1", "2")
        assert await came_to(*tasks) == ["wrote 1", "wrote 2"]
        assert await commits.submit("after") == "wrote after"
    # The very same batch again, on another connection, which is kept.
    assert database.batches[1:3] == [["1", "2"], ["1", "2"]]
    assert len(database.opened) == 2


@pytest.mark.parametrize("fate", [Fate.ANSWER_LOST, Fate.BROKEN, Fate.UNSYNCED])
async def test_a_commit_without_an_answer_is_not_run_a_third_time(
    database: Database, fate: Fate
) -> None:
    async with running(database) as commits:
        database.fates.extend([Fate.COMMITTED, fate, fate])
        async with held(database, commits):
            tasks = await submitted(commits, "1", "2")
        assert await came_to(*tasks) == ["NotDurableError"] * 2
        assert database.batches[1:] == [["1", "2"]] * 2
        assert await commits.submit("after") == "wrote after"


@pytest.mark.parametrize("fault", ["data", "refused", "bug"])
async def test_a_bad_item_in_the_second_run_fails_alone_too(database: Database, fault: str) -> None:
    async with running(database) as commits:
        async with held(database, commits):
            tasks = await submitted(commits, "1", f"{fault} 2", "3")
            # The first run breaks before the fault is met.
            database.breaking_writes = 1
        ends = await came_to(*tasks)
        assert ends[0::2] == ["wrote 1", "wrote 3"]
        assert ends[1] in {"DataRefusedError", "TakenError", "ZeroDivisionError"}
        assert await commits.submit("after") == "wrote after"


async def test_a_commit_that_no_standby_has_is_no_success(database: Database) -> None:
    async with running(database) as commits:
        database.fates.append(Fate.UNSYNCED)
        assert await commits.submit("1") == "wrote 1"
    assert database.batches == [["1"], ["1"]]


@pytest.mark.parametrize(
    "notice",
    [
        UNSYNCED,
        Diagnostic("Warten auf synchrone Replikation wird storniert", function="SyncRepWaitForLSN"),
        Diagnostic(
            "canceling the wait for synchronous replication and terminating connection",
            sqlstate="57P01",
            function="SyncRepWaitForLSN",
        ),
    ],
    ids=["cancelled", "in another language", "terminated"],
)
async def test_the_server_may_say_so_in_any_language(
    database: Database, notice: Diagnostic
) -> None:
    database.notice = notice
    async with running(database) as commits:
        database.fates.extend([Fate.UNSYNCED, Fate.UNSYNCED])
        with pytest.raises(NotDurableError):
            await commits.submit("1")


async def test_any_other_notice_changes_nothing(database: Database) -> None:
    database.notice = Diagnostic("there is already a transaction in progress")
    async with running(database) as commits:
        database.fates.append(Fate.UNSYNCED)
        assert await commits.submit("1") == "wrote 1"
    assert database.batches == [["1"]]
