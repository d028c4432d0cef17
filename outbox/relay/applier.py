"""Applies the inbox: verified callbacks become receipts and move what they move."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

import msgspec
import psycopg

from observability.relay_metrics import RelayMetrics
from outbox.domain import callbacks
from outbox.domain.callbacks import Callback
from outbox.relay.database import Session
from outbox.sealing import Sealer, UnsealError
from outbox.store.connect import Connection
from outbox.store.receipts import Taken, apply, shards_waiting, take

_log = logging.getLogger(__name__)

_PER_SHARD = 64


class Applier:
    """One connection, woken by the gateway's word or by its own poll."""

    def __init__(
        self,
        *,
        session: Session,
        sealer: Sealer,
        metrics: RelayMetrics,
        wake_lane: Callable[[int], None],
        poll_s: float = 0.5,
    ) -> None:
        """``wake_lane`` is told which lanes have rows that became due."""
        self._session = session
        self._sealer = sealer
        self._metrics = metrics
        self._wake_lane = wake_lane
        self._poll_s = poll_s
        self._wake = asyncio.Event()
        self._stopping = False
        self._one_by_one = False

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
            applied = await self._session.persist(self._round)
            if not applied:
                pause = self._poll_s * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
                try:
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
                except TimeoutError:
                    continue

    async def _round(self, connection: Connection) -> int:
        applied = 0
        for shard in await shards_waiting(connection):
            try:
                applied += await self._shard(connection, shard, _PER_SHARD)
            except (psycopg.DataError, psycopg.IntegrityError):
                # One row is poison: alone it is set aside, the others go on.
                applied += await self._each(connection, shard)
        return applied

    async def _each(self, connection: Connection, shard: int) -> int:
        applied = 0
        for _ in range(_PER_SHARD):
            try:
                applied += await self._shard(connection, shard, 1)
            except (psycopg.DataError, psycopg.IntegrityError) as error:
                self._metrics.faults.labels("inbox").inc()
                await self._set_aside(connection, shard, type(error).__name__)
                applied += 1
        return applied

    async def _set_aside(self, connection: Connection, shard: int, why: str) -> None:
        _log.error("a callback of shard %d cannot be applied: %s", shard, why)
        async with connection.transaction():
            for taken in await take(connection, shard, 1):
                await connection.execute(
                    "UPDATE inbox SET done_at = now(), note = %s WHERE shard = %s AND id = %s",
                    (f"cannot be applied: {why}", shard, taken.id),
                )

    async def _shard(self, connection: Connection, shard: int, limit: int) -> int:
        async with connection.transaction():
            batch = await take(connection, shard, limit)
            if not batch:
                return 0
            heard = [(taken, self._open(taken)) for taken in batch]
            result = await apply(connection, shard, heard)
        for _, callback in heard:
            self._metrics.receipts.labels(callback.source, callback.status).inc()
        for lane in result.lanes:
            self._wake_lane(lane)
        return len(batch)

    def _open(self, taken: Taken) -> Callback:
        try:
            plain = self._sealer.unseal(
                taken.body,
                table="inbox",
                row=str(taken.id),
                field="body",
            )
            return callbacks.decode(plain)
        except (UnsealError, msgspec.DecodeError) as error:
            self._metrics.faults.labels("inbox").inc()
            _log.error("callback %s cannot be read: %s", taken.id, type(error).__name__)  # noqa: TRY400 - no trace of sealed data
            return Callback(source="unreadable", status="unreadable")
