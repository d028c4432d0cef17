"""Writes settlements in batches, and keeps each until it is written, whatever the database does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID

import psycopg

from observability.relay_metrics import RelayMetrics
from outbox.domain.decide import Final
from outbox.domain.states import State
from outbox.relay.database import Session
from outbox.store.alerts import PageDraft, settle_failure
from outbox.store.connect import Connection
from outbox.store.recipients import Device, forget_device
from outbox.store.settle import Settlement, settle

_log = logging.getLogger(__name__)

_ALERT = "checkin.missed"

Written = Callable[[Sequence[Settlement]], None]
"""Told after the commit: frees the slots and wakes what became due."""


class Settler:
    """One queue and one connection; a batch is what came within ``linger_s``."""

    def __init__(  # noqa: PLR0913 - all that it needs is passed in
        self,
        *,
        session: Session,
        page: PageDraft,
        written: Written,
        metrics: RelayMetrics,
        linger_s: float,
        max_batch: int = 256,
    ) -> None:
        """``linger_s`` 0 settles at once."""
        self._session = session
        self._page = page
        self._written = written
        self._metrics = metrics
        self._linger_s = linger_s
        self._max_batch = max_batch
        self._waiting: asyncio.Queue[Settlement | None] = asyncio.Queue()

    def put(self, settlement: Settlement) -> None:
        """Take one settlement; it is written even if the database is away now."""
        self._waiting.put_nowait(settlement)

    def stop(self) -> None:
        """End `run` after all that was put before."""
        self._waiting.put_nowait(None)

    async def run(self) -> None:
        """Write until stopped."""
        stopping = False
        while not stopping:
            batch = [await self._waiting.get()]
            if self._linger_s and batch[0] is not None and self._waiting.qsize() < self._max_batch:
                await asyncio.sleep(self._linger_s)
            while len(batch) < self._max_batch and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            stopping = None in batch
            settlements = [settlement for settlement in batch if settlement is not None]
            if settlements:
                await self._write(settlements)

    async def _write(self, settlements: list[Settlement]) -> None:
        failures = [s for s in settlements if _alert_failed(s)]
        others = [s for s in settlements if not _alert_failed(s)]
        if others:
            await self._bisect(others)
        for failure in failures:
            page = await self._session.persist(partial(self._fail, failure))
            if page is not None:
                self._metrics.pages.inc()
                _log.error("an alert reached nobody: operator page %s", page)
        for settlement in settlements:
            for device in settlement.dead:
                await self._session.persist(partial(_forget, device))
            if isinstance(settlement.move, Final):
                self._metrics.finals.labels(
                    settlement.claim.kind,
                    settlement.move.state,
                    settlement.move.channel or "none",
                ).inc()
        self._written(settlements)

    async def _fail(self, failure: Settlement, connection: Connection) -> UUID | None:
        return await settle_failure(connection, failure, self._page)

    async def _bisect(self, settlements: list[Settlement]) -> None:
        """Write a batch; a data fault leaves only the row that causes it behind."""
        try:
            await self._session.persist(lambda c: settle(c, settlements))
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            if len(settlements) == 1:
                # Its lease runs out, the next claim resolves it: seen, counted, not lost.
                self._metrics.faults.labels("settle").inc()
                notification = settlements[0].claim.notification
                _log.exception("settle of %s refused: %s", notification, type(error).__name__)
                return
            middle = len(settlements) // 2
            await self._bisect(settlements[:middle])
            await self._bisect(settlements[middle:])


async def _forget(device: Device, connection: Connection) -> None:
    if await forget_device(connection, device.recipient, device.id, device.token_hash):
        _log.info("a device of %s is gone: its address is no longer used", device.recipient)


def _alert_failed(settlement: Settlement) -> bool:
    move = settlement.move
    return (
        settlement.claim.kind == _ALERT
        and isinstance(move, Final)
        and move.state not in (State.DELIVERED, State.CANCELLED)
    )
