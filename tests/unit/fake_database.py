"""A database as the group commit sees it, which breaks and loses answers; and how to use one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from enum import Enum
from types import TracebackType
from typing import Self, TypedDict, Unpack, cast

import psycopg
from psycopg import errors

from outbox.store.connect import Connection
from outbox.store.group_commit import GroupCommit, RefusedError

Commits = GroupCommit[str, str]
Notice = Callable[[errors.Diagnostic], None]


_PATIENCE_S = 30


class Fate(Enum):
    """What becomes of the next transaction that reaches its COMMIT."""

    COMMITTED = "committed"
    BROKEN = "the connection broke before the COMMIT"
    ANSWER_LOST = "committed, but the connection broke before the answer"
    UNSYNCED = "committed here, but no standby confirmed it"


class TakenError(RefusedError):
    """What a writer raises for one item that it refuses itself."""


FAULTS: dict[str, type[Exception]] = {
    "data": errors.UntranslatableCharacter,
    "limit": errors.ProgramLimitExceeded,
    "integrity": errors.CheckViolation,
    "refused": TakenError,
    "bug": ZeroDivisionError,
}


class Diagnostic:
    """A notice of the server."""

    def __init__(self, message: str, *, sqlstate: str = "01000", function: str = "") -> None:
        self.message_primary = message
        self.sqlstate = sqlstate
        self.source_function = function


UNSYNCED = Diagnostic(
    "canceling wait for synchronous replication due to user request",
    function="SyncRepWaitForLSN",
)


class Database:
    """Items are numbers, or a name of `FAULTS` and a number; an answer says what was written."""

    def __init__(self) -> None:
        self.committed: list[str] = []
        """What outlives this database too, if a standby takes over."""
        self.batches: list[list[str]] = []
        """Every call of the writer."""
        self.fates: deque[Fate] = deque()
        """Of the transactions to come; then all are committed."""
        self.breaking_writes = 0
        """As many calls of the writer to come find their connection broken."""
        self.notice = UNSYNCED
        self.away: Exception | None = None
        """Raised instead of opening a connection."""
        self.opened: list[FakeConnection] = []
        self.tries = 0
        self.go_on = asyncio.Event()
        """Clear it, and every COMMIT waits."""
        self.go_on.set()
        self.at_commit = asyncio.Event()
        """A COMMIT waits."""
        self.busy = 0
        self.busiest = 0

    async def connect(self) -> Connection:
        """Open a connection."""
        self.tries += 1
        await asyncio.sleep(0)
        if self.away is not None:
            raise self.away
        self.opened.append(FakeConnection(self))
        return cast("Connection", self.opened[-1])

    async def write(self, connection: Connection, items: Sequence[str]) -> list[str]:
        """Write a batch in the open transaction, or refuse one of it."""
        self.batches.append(list(items))
        fake = cast("FakeConnection", connection)
        assert fake.in_transaction
        await asyncio.sleep(0)
        if self.breaking_writes:
            self.breaking_writes -= 1
            fake.closed = True
        if fake.closed:
            msg = "the connection is closed"
            raise psycopg.OperationalError(msg)
        for item in items:
            fault = FAULTS.get(item.partition(" ")[0])
            if fault is not None:
                raise fault(item)
        fake.written += items
        return [f"wrote {item}" for item in items]


class FakeConnection:
    """One connection; a second transaction at the same time is a fault of the caller."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._handlers: list[Notice] = []
        self.closed = False
        self.in_transaction = False
        self.written: list[str] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def add_notice_handler(self, handler: Notice) -> None:
        """Tell of notices."""
        self._handlers.append(handler)

    async def execute(self, query: str) -> None:
        """Answer, as long as it lives."""
        if self.closed:
            msg = f"the connection is closed: {query}"
            raise psycopg.OperationalError(msg)

    async def close(self) -> None:
        """Close."""
        await asyncio.sleep(0)
        self.closed = True

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[None]:
        """A pipeline changes nothing here."""
        yield

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Commits at its end, as the database's next fate says."""
        assert not self.in_transaction
        database = self._database
        self.in_transaction, self.written = True, []
        database.busy += 1
        database.busiest = max(database.busiest, database.busy)
        try:
            yield
            database.at_commit.set()
            await database.go_on.wait()
            fate = database.fates.popleft() if database.fates else Fate.COMMITTED
            if fate in {Fate.COMMITTED, Fate.ANSWER_LOST}:
                database.committed += self.written
            if fate is Fate.UNSYNCED:
                for handler in self._handlers:
                    handler(cast("errors.Diagnostic", database.notice))
            elif fate is not Fate.COMMITTED:
                self.closed = True
                raise psycopg.OperationalError(fate.value)
        finally:
            database.busy -= 1
            self.in_transaction = False


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until it is so."""
    async with asyncio.timeout(_PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - every turn of the loop may make it true
            await asyncio.sleep(0)


class Options(TypedDict, total=False):
    """What a group commit may be told."""

    workers: int
    reserved: int
    max_batch: int
    max_waiting: int


@asynccontextmanager
async def running(database: Database, **options: Unpack[Options]) -> AsyncIterator[Commits]:
    """A group commit with one worker that is connected, if it can be."""
    options.setdefault("workers", 1)
    commits = Commits(write=database.write, connect=database.connect, **options)
    async with asyncio.timeout(_PATIENCE_S), commits:
        await until(lambda: commits.connected or database.away)
        yield commits


@asynccontextmanager
async def held(database: Database, commits: Commits) -> AsyncIterator[asyncio.Task[str]]:
    """The worker stands before a COMMIT: what is submitted inside waits for the next batch."""
    database.go_on.clear()
    database.at_commit.clear()
    task = asyncio.create_task(commits.submit("held"))
    await database.at_commit.wait()
    yield task
    database.go_on.set()


async def submitted(commits: Commits, *items: str, **options: bool) -> list[asyncio.Task[str]]:
    """Submit one after the other; returns when all wait."""
    tasks = [asyncio.create_task(commits.submit(item, **options)) for item in items]
    await asyncio.sleep(0)
    return tasks


async def came_to(*tasks: asyncio.Task[str]) -> list[str]:
    """Answers, and names of errors."""
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    return [type(end).__name__ if isinstance(end, BaseException) else end for end in ends]
