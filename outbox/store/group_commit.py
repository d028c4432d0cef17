"""Group commit: requests that arrive together become one transaction, each waits for its commit.

Nothing is acknowledged before the commit, no client's disconnect cancels anybody's batch, and
a commit whose answer was lost is run once more with the same ids before giving up.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar

import psycopg
from psycopg import errors

from outbox.store.connect import Connection

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_log = logging.getLogger(__name__)

_TRIES = 2
_RECONNECT_S = 0.25
_STOP_S = 10.0


class NotDurableError(Exception):
    """It could not be made durable now; nothing is known to be stored, the same may be sent again."""

    def __init__(self, detail: str, retry_after_s: int = 2) -> None:
        """``detail`` is safe to show; ``retry_after_s`` goes into Retry-After."""
        super().__init__(detail)
        self.detail = detail
        self.retry_after_s = retry_after_s


class RefusedError(Exception):
    """This very item cannot be stored; raised by ``write`` it makes the batch go on without it."""


class DataRefusedError(RefusedError):
    """Postgres refuses the item for what it contains; it is the sender's to mend."""


_Entry = tuple[Item, "asyncio.Future[Answer]", int]


class GroupCommit(Generic[Item, Answer]):
    """Batches ``submit`` calls into transactions, over a few connections of its own.

    ``write`` gets an open transaction, in pipeline mode, and the items, and returns one answer
    per item, in order. It may be called again with fewer items (bisection after `RefusedError`
    or a data error) or with the same ones (a lost COMMIT).
    """

    def __init__(
        self,
        *,
        write: Callable[[Connection, Sequence[Item]], Awaitable[Sequence[Answer]]],
        connect: Callable[[], Awaitable[Connection]],
        workers: int = 2,
        max_batch: int = 256,
        max_waiting: int = 20_000,
    ) -> None:
        """``max_batch`` and ``max_waiting`` count weights (one per event)."""
        self._write = write
        self._connect = connect
        self._workers = workers
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._waiting: deque[_Entry[Item, Answer]] = deque()
        self._weight = 0
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._unsynced = 0
        self.connected = 0
        """Workers that hold a connection; 0 means that nothing can be accepted now."""

    async def __aenter__(self) -> Self:
        """Start the workers; a database that is away does not stop the start."""
        self._tasks = [asyncio.create_task(self._run()) for _ in range(self._workers)]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what waits, then close; bounded in time."""
        self._stopping = True
        self._wake.set()
        _, late = await asyncio.wait(self._tasks, timeout=_STOP_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._fail_waiting("the gateway is shutting down")

    @property
    def waiting(self) -> int:
        """Weight of what waits for its commit."""
        return self._weight

    async def submit(self, item: Item, *, weight: int = 1, first: bool = False) -> Answer:
        """Wait until the item is committed; ``first`` puts it before everything that waits.

        Raises `NotDurableError` when it is not known to be durable, `DataRefusedError` when
        the database refuses it for what it contains.
        """
        if self._stopping or self._weight + weight > self._max_waiting:
            detail = "the gateway is shutting down" if self._stopping else "too much is waiting"
            raise NotDurableError(detail)
        if self.connected == 0:
            detail = "the database cannot be reached"
            raise NotDurableError(detail)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        (self._waiting.appendleft if first else self._waiting.append)((item, future, weight))
        self._weight += weight
        self._wake.set()
        # Shielded: a client that goes away must not cancel a future that the batch will set.
        return await asyncio.shield(future)

    async def _run(self) -> None:
        connection: Connection | None = None
        while not (self._stopping and not self._waiting):
            if connection is None or connection.closed:
                connection = await self._reconnect()
                continue
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            batch = self._take()
            if not await self._commit(connection, batch):
                self.connected -= 1
                await connection.close()
        if connection is not None and not connection.closed:
            self.connected -= 1
            await connection.close()

    async def _reconnect(self) -> Connection | None:
        try:
            connection = await self._connect()
        except psycopg.Error as error:
            _log.warning("intake has no database connection: %s", type(error).__name__)
            if self.connected == 0:
                self._fail_waiting("the database cannot be reached")
            await asyncio.sleep(0 if self._stopping else _RECONNECT_S)
            return None
        connection.add_notice_handler(self._hear)
        self.connected += 1
        return connection

    def _take(self) -> list[_Entry[Item, Answer]]:
        batch: list[_Entry[Item, Answer]] = []
        weight = 0
        while self._waiting and (not batch or weight + self._waiting[0][2] <= self._max_batch):
            entry = self._waiting.popleft()
            weight += entry[2]
            self._weight -= entry[2]
            batch.append(entry)
        return batch

    def _fail_waiting(self, detail: str) -> None:
        while self._waiting:
            _, future, weight = self._waiting.popleft()
            self._weight -= weight
            _refuse(future, NotDurableError(detail))

    async def _commit(self, connection: Connection, batch: list[_Entry[Item, Answer]]) -> bool:
        """Write one batch; false when the connection is spent."""
        try:
            answers = await self._transaction(connection, [entry[0] for entry in batch])
        except (
            RefusedError,
            errors.DataError,
            errors.IntegrityError,
            errors.ProgramLimitExceeded,
        ) as error:
            if len(batch) == 1:
                ours = isinstance(error, RefusedError)
                _refuse(batch[0][1], error if ours else DataRefusedError(type(error).__name__))
                return True
            middle = len(batch) // 2
            left = await self._commit(connection, batch[:middle])
            if not left:
                self._requeue(batch[middle:])
                return False
            return await self._commit(connection, batch[middle:])
        except psycopg.Error as error:
            return await self._again(batch, error)
        for (_, future, _), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)
        return True

    async def _again(self, batch: list[_Entry[Item, Answer]], error: psycopg.Error) -> bool:
        """The COMMIT may have happened: run the same batch once more, on a new connection."""
        _log.warning("intake batch of %d failed: %s", len(batch), type(error).__name__)
        try:
            second = await self._connect()
            second.add_notice_handler(self._hear)
            async with second:
                answers = await self._transaction(second, [entry[0] for entry in batch])
        except psycopg.Error as again:
            for _, future, _ in batch:
                _refuse(future, NotDurableError(f"the database failed ({type(again).__name__})"))
            return False
        for (_, future, _), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)
        return False

    def _requeue(self, batch: list[_Entry[Item, Answer]]) -> None:
        self._waiting.extendleft(reversed(batch))
        self._weight += sum(entry[2] for entry in batch)
        self._wake.set()

    async def _transaction(self, connection: Connection, items: list[Item]) -> Sequence[Answer]:
        before = self._unsynced
        async with connection.pipeline(), connection.transaction():
            answers = await self._write(connection, items)
        if self._unsynced != before:
            # The server gave up on its standby and committed locally: that is not the promise.
            msg = "the synchronous standby did not confirm"
            raise psycopg.OperationalError(msg)
        return answers

    def _hear(self, notice: errors.Diagnostic) -> None:
        if notice.sqlstate == "01000" and "synchronous replication" in (
            notice.message_primary or ""
        ):
            self._unsynced += 1


def _refuse(future: asyncio.Future[Answer], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
