"""Upkeep that any relay may do: its heartbeat, partitions ahead, low-water marks, depth gauges."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from uuid import UUID

from observability.relay_metrics import RelayMetrics
from outbox.domain.states import Lane
from outbox.relay.database import Session
from outbox.store.connect import TRANSACTION_TIMEOUT_S, Connection
from outbox.store.sql import statement

_log = logging.getLogger(__name__)

_EVERY_S = 5.0
_PARTITIONS_EVERY = 120
_MARKS_EVERY = 2
_AHEAD_DAYS = 14
_MARGIN_S = 15
"""Beyond the longest transaction: no row can be written with a due_at older than the mark."""


class Upkeep:
    """One connection, one loop."""

    def __init__(
        self,
        *,
        session: Session,
        relay: UUID,
        metrics: RelayMetrics,
        in_flight: Callable[[], dict[int, int]],
    ) -> None:
        """``relay`` lists this process; ``in_flight`` tells the claims in hand by lane."""
        self._session = session
        self._metrics = metrics
        self._in_flight = in_flight
        self._id = relay
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End `run`, and sign off."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until stopped."""
        turn = 0
        while not self._stopping.is_set():
            await self._session.persist(self._beat)
            if turn % _MARKS_EVERY == 0:
                await self._session.persist(self._marks)
                await self._session.persist(self._depth)
            if turn % _PARTITIONS_EVERY == 0:
                await self._session.persist(self._partitions)
            turn += 1
            try:
                async with asyncio.timeout(_EVERY_S):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    async def sign_off(self) -> None:
        """Leave the list of relays; a relay that dies instead fades from it."""
        connection = await self._session.get()
        await connection.execute("DELETE FROM relay WHERE shard = 0 AND id = %s", (self._id,))

    async def _beat(self, connection: Connection) -> None:
        held = self._in_flight()
        for lane, count in held.items():
            self._metrics.in_flight.labels(Lane(lane).name.lower()).set(count)
        await connection.execute(
            "INSERT INTO relay (shard, id, host, pid, in_flight) VALUES (0, %(id)s, %(host)s,"
            " %(pid)s, %(n)s) ON CONFLICT (shard, id) DO UPDATE SET seen_at = now(),"
            " in_flight = excluded.in_flight",
            {
                "id": self._id,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "n": sum(held.values()),
            },
        )
        await connection.execute(
            "DELETE FROM relay WHERE shard = 0 AND seen_at < now() - interval '1 hour'",
        )

    async def _marks(self, connection: Connection) -> None:
        await connection.execute(
            statement("low_water"),
            {"behind_s": TRANSACTION_TIMEOUT_S + _MARGIN_S},
        )

    async def _depth(self, connection: Connection) -> None:
        cursor = await connection.execute(statement("depth"))
        for lane, depth, oldest_s in await cursor.fetchall():
            name = Lane(lane).name.lower()
            self._metrics.depth.labels(name).set(depth)
            self._metrics.oldest_seconds.labels(name).set(oldest_s)

    async def _partitions(self, connection: Connection) -> None:
        cursor = await connection.execute("SELECT pruuf_make_partitions(%s)", (_AHEAD_DAYS,))
        row = await cursor.fetchone()
        if row and row[0]:
            _log.info("made %d partitions", row[0])
