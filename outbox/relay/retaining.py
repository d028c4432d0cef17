"""Drops what has become old, a little at a time: texts, names and numbers; the ledger stays."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from functools import partial

from observability.relay_metrics import RelayMetrics
from outbox.domain.policy import Keep
from outbox.relay.database import Session
from outbox.store.connect import Connection
from outbox.store.retention import Dropped, Kind, drop, standing
from outbox.store.retention_kinds import KINDS

_log = logging.getLogger(__name__)

_EVERY_S = 600.0
_FIRST_S = (1800.0, 3600.0)
"""After its start: a deployment has ended by then, whose older gateways do not expect that the
texts of an alert are gone while it is open."""
_REST = 2.0
"""Times as long as the work before: what is old can wait, what comes in cannot."""


class Retention:
    """One connection, one loop; any relay may, one of all at a time."""

    def __init__(self, *, session: Session, keep: Keep, metrics: RelayMetrics) -> None:
        """``keep``: for how long each kind stays."""
        self._session = session
        self._metrics = metrics
        self._keep = keep
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End `run`."""
        self._stopping.set()

    async def run(self) -> None:
        """Drop until stopped."""
        pause_s = random.uniform(*_FIRST_S)  # noqa: S311 - jitter
        while not await self._rest(pause_s):
            await self.look()
            pause_s = _EVERY_S * random.uniform(0.75, 1.25)  # noqa: S311 - jitter

    async def look(self) -> int:
        """Drop everything that is old just now; how many rows that was."""
        rows = sum([await self._drop(kind) for kind in KINDS])
        for what, stands in (await self._session.persist(standing)).items():
            if stands.until is not None:
                self._metrics.retained_until.labels(what).set(stands.until.timestamp())
        return rows

    async def _drop(self, kind: Kind) -> int:
        rows, before = 0, Dropped(more=True)
        while before.more and not self._stopping.is_set():
            began = time.monotonic()
            before = await self._session.persist(partial(self._once, kind, before))
            rows += before.rows
            if before.more and await self._rest(_REST * (time.monotonic() - began)):
                break
        if rows:
            _log.info("dropped what was old of %s: %d rows", kind.what, rows)
        return rows

    async def _once(self, kind: Kind, before: Dropped, connection: Connection) -> Dropped:
        return await drop(connection, kind, self._keep, step=before.step)

    async def _rest(self, pause_s: float) -> bool:
        """Wait; true when it is to end."""
        try:
            async with asyncio.timeout(pause_s):
                await self._stopping.wait()
        except TimeoutError:
            return False
        return True
