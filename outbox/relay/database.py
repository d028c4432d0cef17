"""A relay's database connections: each belongs to one part, and comes back by itself."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from psycopg import errors

from observability.relay_metrics import RelayMetrics
from outbox.store.connect import UNABLE, Connection

_log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

Connect = Callable[[], Awaitable[Connection]]

_PAUSE_S = (0.1, 0.6)
"""Between tries to reconnect: jittered, so that many relays do not come back as one."""

AGAIN = UNABLE
"""Faults of the connection or the moment, not of the statement: the same may work again. Deadlocks
are among them."""


async def pause() -> None:
    """Before another try; no part of a relay may ask a database in trouble without one."""
    await asyncio.sleep(random.uniform(*_PAUSE_S))  # noqa: S311 - a pause, no secret


class Session:
    """One connection, opened on first use and again after every fault."""

    def __init__(self, connect: Connect, *, part: str, metrics: RelayMetrics) -> None:
        """``part`` names the owner in logs and metrics."""
        self._connect = connect
        self._part = part
        self._metrics = metrics
        self._connection: Connection | None = None
        self._opened = False

    async def get(self) -> Connection:
        """The open connection; waits until there is one."""
        while self._connection is None or self._connection.closed:
            try:
                self._connection = await self._connect()
            except AGAIN as error:
                _log.warning("%s: no database (%s)", self._part, type(error).__name__)
                await pause()
                continue
            if self._opened:
                self._metrics.reconnects.labels(self._part).inc()
                _log.warning("%s: connected to the database again", self._part)
            self._opened = True
        return self._connection

    async def persist(self, work: Callable[[Connection], Awaitable[Answer]]) -> Answer:
        """Run ``work`` until it succeeds; it must bear being run again (fenced, idempotent).

        Raises what is the statement's own fault: data, integrity, programming errors.
        """
        while True:
            connection = await self.get()
            try:
                return await work(connection)
            except AGAIN as error:
                _log.warning("%s: %s, trying again", self._part, type(error).__name__)
                if not isinstance(error, (errors.DeadlockDetected, errors.SerializationFailure)):
                    await self.drop()
                await pause()

    async def release(self) -> None:
        """Close, as it is not needed for a while; to open it again then is no news."""
        self._opened = False
        await self.drop()

    async def drop(self) -> None:
        """Close; the next use opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
