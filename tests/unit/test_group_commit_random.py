"""Group commit under any mixture of faults: each submit ends once, an answer means a commit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outbox.store import group_commit
from tests.unit.fake_database import FAULTS, Commits, Database, Fate

_KINDS = ["fine", "fine", "fine", *FAULTS]
_MAX_BATCH = 5
_PATIENCE_S = 20

_submits = st.tuples(
    st.just("submit"),
    st.sampled_from(_KINDS),
    st.integers(1, _MAX_BATCH + 1),
    st.booleans(),
)
_bursts = st.lists(_submits, min_size=1, max_size=9)
_troubles = st.lists(
    st.one_of(
        st.tuples(st.just("turns"), st.integers(1, 12)),
        st.tuples(st.just("caller leaves"), st.integers(0, 20)),
        st.tuples(st.just("connection breaks"), st.integers(0, 5)),
        st.tuples(st.just("writes break"), st.integers(1, 3)),
        st.sampled_from([("away",), ("back",), ("commits wait",), ("commits go on",)]),
    ),
    max_size=4,
)
_happenings = st.lists(st.one_of(_bursts, _troubles), min_size=1, max_size=12).map(
    lambda rounds: [("turns", 9), *(what for each in rounds for what in each)]
)


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(group_commit, "_RECONNECT_S", 0)
        yield


class Run:
    """One run: what was submitted and how each of it ended."""

    def __init__(self, fates: list[Fate]) -> None:
        self.database = Database()
        self.database.fates.extend(fates)
        self.tasks: dict[str, asyncio.Task[str]] = {}
        self.left: set[str] = set()
        self.weights: dict[str, int] = {}

    async def happens(self, commits: Commits, what: tuple[Any, ...]) -> None:
        match what:
            case ("submit", kind, weight, first):
                item = f"{kind} {len(self.tasks)}"
                self.weights[item] = weight
                self.tasks[item] = asyncio.create_task(
                    commits.submit(item, weight=weight, first=first)
                )
            case ("turns", number):
                for _ in range(number):
                    await asyncio.sleep(0)
            case ("caller leaves", number):
                for item, task in list(self.tasks.items())[number : number + 1]:
                    if task.cancel():
                        self.left.add(item)
            case _:
                self.befalls(what)

    def befalls(self, what: tuple[Any, ...]) -> None:
        database = self.database
        match what:
            case ("connection breaks", number):
                for connection in database.opened[number : number + 1]:
                    connection.closed = True
            case ("writes break", number):
                database.breaking_writes = number
            case ("away",):
                database.away = psycopg.OperationalError("away")
            case ("back",):
                database.away = None
            case ("commits wait",):
                database.go_on.clear()
            case ("commits go on",):
                database.go_on.set()

    async def play(self, happenings: list[tuple[Any, ...]], workers: int) -> list[object]:
        unheard: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: unheard.append(told))
        commits = Commits(
            write=self.database.write,
            connect=self.database.connect,
            workers=workers,
            max_batch=_MAX_BATCH,
            max_waiting=40,
        )
        async with asyncio.timeout(_PATIENCE_S):
            async with commits:
                for what in happenings:
                    await self.happens(commits, what)
                await asyncio.sleep(0)
                self.database.go_on.set()
            await asyncio.wait(self.tasks.values()) if self.tasks else None
        assert (commits.waiting, commits.connected, self.database.busy) == (0, 0, 0)
        return unheard

    def ends(self) -> Iterator[tuple[str, str, object]]:
        """Kind, item, and answer or error, of each whose caller stayed."""
        for item, task in self.tasks.items():
            if not task.cancelled():
                yield item.partition(" ")[0], item, task.exception() or task.result()


@settings(max_examples=300)
@given(
    _happenings,
    st.lists(st.sampled_from(Fate), max_size=12),
    st.integers(1, 3),
)
def test_every_submit_ends_once_and_an_answer_means_a_commit(
    happenings: list[tuple[Any, ...]], fates: list[Fate], workers: int
) -> None:
    run = Run(fates)
    # Whatever is not retrieved by its caller is nobody's loss, and says nothing in the log.
    assert asyncio.run(run.play(happenings, workers)) == []
    assert {item for item, task in run.tasks.items() if task.cancelled()} <= run.left
    for kind, item, end in run.ends():
        if kind == "fine":
            assert end == f"wrote {item}" or type(end).__name__ == "NotDurableError"
        else:
            refused = {
                "data": "DataRefusedError",
                "limit": "DataRefusedError",
                "refused": "TakenError",
                "bug": "ZeroDivisionError",
            }
            # Of what is bad nothing is stored, and nobody hears that it was.
            assert type(end).__name__ in {refused.get(kind), "NotDurableError"}
        assert not isinstance(end, str) or item in run.database.committed
    assert {item.partition(" ")[0] for item in run.database.committed} <= {"fine"}
    for batch in run.database.batches:
        assert len(batch) == 1 or sum(run.weights[item] for item in batch) <= _MAX_BATCH
    assert all(connection.closed for connection in run.database.opened)


@given(st.lists(st.tuples(st.sampled_from(_KINDS), st.booleans()), min_size=1, max_size=30))
def test_with_a_sound_database_all_that_is_fine_is_stored_exactly_once(
    submits: list[tuple[str, bool]],
) -> None:
    run = Run([])
    happenings = [("turns", 9), *(("submit", kind, 1, first) for kind, first in submits)]
    assert asyncio.run(run.play(happenings, 2)) == []
    fine = [item for kind, item, _ in run.ends() if kind == "fine"]
    assert sorted(run.database.committed) == sorted(fine)
    assert all(end == f"wrote {item}" for kind, item, end in run.ends() if kind == "fine")
