"""Drops what has become old, a little at a time: texts, names and numbers; the ledger stays."""

from __future__ import annotations

import logging
import time
from functools import partial

from observability.relay_metrics import RelayMetrics
from outbox.domain.policy import Keep
from outbox.relay.database import Session
from outbox.relay.duty import Duty
from outbox.store.connect import Connection
from outbox.store.retention import Dropped, Kind, drop, standing
from outbox.store.retention_kinds import KINDS

_log = logging.getLogger(__name__)

_REST = 2.0
"""Times as long as the work before: what is old can wait, what comes in cannot."""


class Retention(Duty):
    """One relay of all at a time."""

    every_s = 600.0
    # A deployment has ended by then, whose older gateways do not expect that the texts of an alert
    # are gone while it is open.
    first_s = (1800.0, 3600.0)

    def __init__(self, *, session: Session, keep: Keep, metrics: RelayMetrics) -> None:
        """``keep``: for how long each kind stays."""
        super().__init__(session)
        self._metrics = metrics
        self._keep = keep

    async def turn(self) -> bool:
        """Drop everything that is old just now."""
        await self.look()
        return False

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
            if before.more and await self.rest(_REST * (time.monotonic() - began)):
                break
        if rows:
            _log.info("dropped what was old of %s: %d rows", kind.what, rows)
        return rows

    async def _once(self, kind: Kind, before: Dropped, connection: Connection) -> Dropped:
        return await drop(connection, kind, self._keep, step=before.step)
