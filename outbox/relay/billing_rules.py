"""Looks every few minutes whether our rows about billing keep the rules, and names who does not.

Any relay may; one at a time does, and all show the same. It changes nothing, and stops nothing.
"""

from __future__ import annotations

import logging
import time

import psycopg

from observability.billing_metrics import BillingMetrics
from observability.relay_metrics import RelayMetrics
from outbox.relay.database import Session
from outbox.relay.duty import Duty
from outbox.store import billing_findings
from outbox.store.billing_findings import BOOKS, RULES
from outbox.store.connect import Connection

_log = logging.getLogger(__name__)

EVERY_S = 180.0
_LOCK = 7738206


class BillingRules(Duty):
    """One relay of all at a time."""

    every_s = 60.0
    first_s = (0.0, 15.0)
    jitter = 0.1

    def __init__(self, *, session: Session, price: str | None, metrics: RelayMetrics) -> None:
        """``price``: the only one there may be; null where billing is off."""
        super().__init__(session)
        self._price = price
        self._faults = metrics.faults.labels("billing_rules")
        self._metrics = BillingMetrics(metrics.registry)

    async def turn(self) -> bool:
        """Look, unless somebody has lately."""
        await self.look()
        return False

    async def look(self, *, every_s: float = EVERY_S) -> None:
        """Look, unless somebody has lately; and show what was found."""
        try:
            await self._session.persist(lambda c: self._look(c, every_s))
        except psycopg.Error as error:
            self._faults.inc()
            # Not the database's text: that may quote what it met.
            _log.error("the rules of billing could not be checked: %s", type(error).__name__)
            await self._session.drop()

    async def _look(self, connection: Connection, every_s: float) -> None:
        async with connection.transaction():
            cursor = await connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (_LOCK,))
            locked = await cursor.fetchone() == (True,)
            if locked and await billing_findings.age_s(connection, RULES) >= every_s:
                await self._pass(connection)
        self._show(
            await billing_findings.counts(connection), await billing_findings.looked(connection)
        )

    async def _pass(self, connection: Connection) -> None:
        begun = time.monotonic()
        found = await billing_findings.broken_rules(connection, price=self._price)
        took_s = time.monotonic() - begun
        new = await billing_findings.replace(
            connection, RULES, found, took_s=took_s, looked_at_rows=len(found)
        )
        for each in new:
            _log.error("billing: %s: %s", each.cause, each.object)

    def _show(
        self,
        counts: dict[tuple[str, str], int],
        looked: dict[str, billing_findings.Looked],
    ) -> None:
        for source, gauge in ((RULES, self._metrics.errors), (BOOKS, self._metrics.drift)):
            gauge.clear()
            for (found_by, cause), number in counts.items():
                if found_by == source:
                    gauge.labels(cause).set(number)
        for source, each in looked.items():
            self._metrics.looked_at.labels(source).set(each.looked_at.timestamp())
