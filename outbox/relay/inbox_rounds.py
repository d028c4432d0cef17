"""Rounds through an inbox: shard by shard, woken or by a poll; poison is set aside alone."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence

import psycopg

from observability.relay_metrics import RelayMetrics
from outbox.relay.database import AGAIN, Session
from outbox.store.connect import Connection


class InboxRounds(ABC):
    """One connection, woken by the gateway's word or by its own poll."""

    _AT_ONCE: int
    """Rows of one shard that are applied in one transaction."""

    _FAULTS: str
    """How faults are labelled."""

    def __init__(self, *, session: Session, metrics: RelayMetrics, poll_s: float) -> None:
        """Nothing is read yet."""
        self._session = session
        self._metrics = metrics
        self._poll_s = poll_s
        self._wake = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Something may lie in the inbox."""
        self._wake.set()

    def stop(self) -> None:
        """Apply no more; what is taken is finished."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Apply until stopped."""
        while not self._stopping:
            self._wake.clear()
            if await self._session.persist(self._round):
                continue
            pause = self._poll_s * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def to_the_end(self) -> int:
        """Apply until nothing waits any more; how much that was."""
        applied = 0
        while number := await self._session.persist(self._round):
            applied += number
        return applied

    async def _round(self, connection: Connection) -> int:
        applied = 0
        for shard in await self._waiting(connection):
            try:
                applied += await self._shard(connection, shard, self._AT_ONCE)
            except Exception as error:
                if not _is_of_a_row(error):
                    raise
                # One row is poison: alone it is set aside, the others go on.
                applied += await self._each(connection, shard)
        return applied

    async def _each(self, connection: Connection, shard: int) -> int:
        applied = 0
        for _ in range(self._AT_ONCE):
            try:
                applied += await self._shard(connection, shard, 1)
            except Exception as error:
                if not _is_of_a_row(error):
                    raise
                self._metrics.faults.labels(self._FAULTS).inc()
                await self._set_aside(connection, shard, type(error).__name__)
                applied += 1
        return applied

    @abstractmethod
    async def _waiting(self, connection: Connection) -> Sequence[int]:
        """Shards with something in the inbox, in ascending order."""

    @abstractmethod
    async def _shard(self, connection: Connection, shard: int, limit: int) -> int:
        """Apply up to so many rows of one shard in one transaction; how many there were."""

    @abstractmethod
    async def _set_aside(self, connection: Connection, shard: int, why: str) -> None:
        """Mark the one row that comes next as one that cannot be applied."""


def _is_of_a_row(error: Exception) -> bool:
    """Whether a fault is one row's own: what Postgres refuses of it, or our code cannot take.

    What else the database says, of itself or of its schema, would meet every row.
    """
    if isinstance(error, AGAIN):
        return False
    return isinstance(error, psycopg.DataError | psycopg.IntegrityError) or not isinstance(
        error, psycopg.Error
    )
