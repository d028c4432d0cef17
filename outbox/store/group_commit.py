"""Group commit: requests that arrive together become one transaction, each waits for its commit.

Nothing is acknowledged before the commit, no client's disconnect cancels anybody's batch, and
a commit whose answer was lost is run once more with the same ids before giving up.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Generic, Self

import psycopg
from psycopg import errors

from observability import tracing
from observability.database_spans import committed, committing
from outbox.store.connect import Connection, check
from outbox.store.refusals import (
    OF_ONE_ITEM,
    DataRefusedError,
    NotDurableError,
    RefusedError,
    refusal,
)
from outbox.store.waiting import Answer, Entry, Item, Waiting

__all__ = ["DataRefusedError", "GroupCommit", "NotDurableError", "RefusedError"]

_log = logging.getLogger(__name__)

_RECONNECT_S = 0.25
"""Between tries to reconnect, on average."""

_LOOK_S = 5.0
_STOP_S = 10.0
_PATIENCE_S = 10.0
"""Nothing waits longer for its turn: the client asks again, or has gone long since."""


_GIVEN_UP = "SyncRepWaitForLSN"
"""The server's function that warns of it: the same in every language that it may speak."""


class GroupCommit(Generic[Item, Answer]):
    """Batches ``submit`` calls into transactions, over a few connections of its own.

    ``write`` gets an open transaction, in pipeline mode, and the items, and returns one answer
    per item, in order. It may be called again with fewer items (bisection after `RefusedError`
    or a data error) or with the same ones (a lost COMMIT).
    """

    def __init__(  # noqa: PLR0913 - all that it needs is passed in
        self,
        *,
        write: Callable[[Connection, Sequence[Item]], Awaitable[Sequence[Answer]]],
        connect: Callable[[], Awaitable[Connection]],
        workers: int = 2,
        reserved: int = 0,
        max_batch: int = 256,
        max_waiting: int = 20_000,
        name: str = "items",
    ) -> None:
        """``reserved`` workers more write only what goes first: others never hold all of them.

        ``max_batch`` and ``max_waiting`` count weights (one per event); ``name`` is for traces.
        """
        self._write = write
        self._connect = connect
        self._workers = workers
        self._reserved = reserved
        self._max_batch = max_batch
        self._name = name
        self._waiting: Waiting[Item, Answer] = Waiting(max_waiting)
        self._wake = asyncio.Event()
        self._wake_reserved = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._watching: asyncio.Task[None] | None = None
        self._stopping = False
        self._unsynced = 0
        self.connected = 0
        """Workers that hold a connection; 0 means that nothing can be accepted now."""

    async def __aenter__(self) -> Self:
        """Start the workers; a database that is away does not stop the start."""
        kinds = [False] * self._workers + [True] * self._reserved
        self._tasks = [asyncio.create_task(self._run(reserved=kind)) for kind in kinds]
        self._watching = asyncio.create_task(self._refuse_late())
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
        self._wake_reserved.set()
        _, late = await asyncio.wait(self._tasks, timeout=_STOP_S)
        for task in late:
            task.cancel()
        if self._watching is not None:
            self._watching.cancel()
            self._tasks.append(self._watching)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._fail_waiting("the gateway is shutting down")

    @property
    def waiting(self) -> int:
        """Weight of what waits for its commit."""
        return self._waiting.weight

    async def submit(self, item: Item, *, weight: int = 1, first: bool = False) -> Answer:
        """Wait until the item is committed; ``first`` puts it before everything that is not.

        Raises `NotDurableError` when it is not known to be durable, `DataRefusedError` when
        the database refuses it for what it contains, and what ``write`` raises for it alone.
        """
        if self._stopping or not self._waiting.has_room(weight, first=first):
            detail = "the gateway is shutting down" if self._stopping else "too much is waiting"
            raise NotDurableError(detail)
        if self.connected == 0:
            detail = "the database cannot be reached"
            raise NotDurableError(detail)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.put(Entry(item, future, weight, first, loop.time(), tracing.current()))
        self._wake.set()
        if first:
            self._wake_reserved.set()
        # Shielded: a client that goes away must not cancel a future that the batch will set.
        return await asyncio.shield(future)

    async def _refuse_late(self) -> None:
        """Refuse what has waited too long: its workers hang, or cannot keep up."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_PATIENCE_S / 10)
            if late := self._waiting.take_older(loop.time() - _PATIENCE_S):
                _log.warning("%d gave up waiting for their commit", len(late))
                _refuse_all(late, "the database does not keep up")

    async def _run(self, *, reserved: bool) -> None:
        wake = self._wake_reserved if reserved else self._wake
        connection: Connection | None = None
        try:
            while not self._stopping or self._waiting.any(first_only=reserved):
                if connection is not None and connection.closed:
                    connection = None
                    self.connected -= 1
                if connection is None:
                    connection = await self._reconnect()
                elif self._waiting.any(first_only=reserved):
                    batch = self._waiting.take(self._max_batch, first_only=reserved)
                    connection = await self._write_batch(connection, batch)
                    if connection is None:
                        self.connected -= 1
                else:
                    connection = await self._idle(connection, wake)
        finally:
            if connection is not None:
                self.connected -= 1
                await connection.close()

    async def _idle(self, connection: Connection, wake: asyncio.Event) -> Connection | None:
        """Wait for work; now and then see whether the server is there, before work finds out."""
        wake.clear()
        try:
            async with asyncio.timeout(_LOOK_S):
                await wake.wait()
        except TimeoutError:
            try:
                await check(connection)
            except psycopg.Error as error:
                _log.warning("an idle connection is gone: %s", type(error).__name__)
                await connection.close()
                self.connected -= 1
                return None
        return connection

    async def _write_batch(
        self,
        connection: Connection,
        batch: list[Entry[Item, Answer]],
    ) -> Connection | None:
        try:
            return await self._commit(connection, batch)
        except asyncio.CancelledError:
            _refuse_all(batch, "the gateway is shutting down")
            raise

    async def _reconnect(self) -> Connection | None:
        try:
            connection = await self._connect()
        except Exception as error:  # noqa: BLE001 - whatever it was, a worker tries again
            _log.warning("intake has no database connection: %s", type(error).__name__)
            if self.connected == 0:
                self._fail_waiting("the database cannot be reached")
            # Jittered, so that many workers do not come back as one.
            pause_s = _RECONNECT_S * random.uniform(0.5, 1.5)  # noqa: S311 - a pause, no secret
            await asyncio.sleep(0 if self._stopping else pause_s)
            return None
        connection.add_notice_handler(self._hear)
        self.connected += 1
        return connection

    def _fail_waiting(self, detail: str) -> None:
        _refuse_all(self._waiting.take_all(), detail)

    async def _commit(
        self,
        connection: Connection,
        batch: list[Entry[Item, Answer]],
        *,
        again: bool = False,
    ) -> Connection | None:
        """Write one batch; returns the connection to go on with. ``again``: the second time."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        span = committing(self._name, [entry.span for entry in batch if entry.span is not None])
        try:
            answers = await self._transaction(connection, [entry.item for entry in batch])
        except asyncio.CancelledError:
            await connection.close()
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the worker either
            committed(span, error)
            if isinstance(error, psycopg.Error) and not isinstance(error, OF_ONE_ITEM):
                _log.warning("intake batch of %d failed: %s", len(batch), type(error).__name__)
                await connection.close()
                if not again and loop.time() - started < _PATIENCE_S:
                    return await self._again(batch)
                _refuse_all(batch, f"the database failed ({type(error).__name__})")
                return None
            if len(batch) == 1:
                batch[0].refuse(refusal(error))
                return connection
            middle = len(batch) // 2
            sound = await self._commit(connection, batch[:middle], again=again)
            if sound is not None:
                return await self._commit(sound, batch[middle:], again=again)
            self._waiting.put_back(batch[middle:])
            self._wake.set()
            self._wake_reserved.set()
            return None
        committed(span)
        for entry, answer in zip(batch, answers, strict=True):
            if not entry.future.done():
                entry.future.set_result(answer)
        return connection

    async def _again(self, batch: list[Entry[Item, Answer]]) -> Connection | None:
        """The COMMIT may have happened: the same batch once more, on a new connection."""
        try:
            second = await self._connect()
        except Exception as error:  # noqa: BLE001 - as in `_reconnect`
            _refuse_all(batch, f"the database failed ({type(error).__name__})")
            return None
        second.add_notice_handler(self._hear)
        return await self._commit(second, batch, again=True)

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
        if notice.source_function == _GIVEN_UP:
            self._unsynced += 1


def _refuse_all(batch: Sequence[Entry[Item, Answer]], detail: str) -> None:
    for entry in batch:
        entry.refuse(NotDurableError(detail))
