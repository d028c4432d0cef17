"""Audits each minute, behind the intake: makes roots, and looks at what has changed.

Any relay may; one at a time does, and all show the same. Whatever goes wrong here is told, and
never stops a delivery.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

import msgspec
import psycopg

from observability.audit_metrics import AuditMetrics
from observability.logs import wide
from observability.relay_metrics import RelayMetrics
from outbox.domain.audit import Found
from outbox.domain.facts import Head, Seals
from outbox.relay.database import Session
from outbox.relay.duty import Duty
from outbox.store import audit_pass, audit_roots
from outbox.store.audit_roots import Extended
from outbox.store.connect import Connection

_log = logging.getLogger(__name__)

PART = "audit"
"""Name of its session, which assumes a role of its own."""

_LOCK = 7738204
_SHORTEST = timedelta(minutes=1)


class Auditor(Duty):
    """One relay of all at a time."""

    every_s = audit_pass.EVERY_S
    first_s = (0.0, 5.0)
    jitter = 0.1

    def __init__(
        self, *, session: Session, lookup_keys: Sequence[bytes], metrics: RelayMetrics
    ) -> None:
        """``lookup_keys``: newest first; roots are made with the newest."""
        super().__init__(session)
        self._seals = Seals(lookup_keys)
        self._faults = metrics.faults.labels(PART)
        self._metrics = AuditMetrics(metrics.registry)
        self._step = _SHORTEST
        self._hour = -1

    async def turn(self) -> bool:
        """Look once."""
        await self.look()
        return False

    async def look(self) -> None:
        """Make the roots that can be made, and a pass unless there is one of this minute."""
        try:
            extended = await self._session.persist(partial(self._extend, None))
            while extended.more and not self._stopping.is_set():
                extended = await self._session.persist(partial(self._extend, extended.closed))
            await self._session.persist(self._pass)
        except (psycopg.Error, msgspec.MsgspecError) as error:
            self._faults.inc()
            # Not the database's text: that may quote what it met.
            _log.error("the audit failed: %s", type(error).__name__)
            await self._session.drop()

    async def _extend(self, closed: datetime | None, connection: Connection) -> Extended:
        # Should this take too long, the next try does not take as much at once.
        step, self._step = self._step, _SHORTEST
        await connection.execute(audit_pass.LIMIT)
        extended, self._step = await audit_roots.extend(
            connection, self._seals, step=step, closed=closed
        )
        for shard in extended.forged:
            _log.error("the head of the roots of shard %d is not ours: none is added", shard)
        return extended

    async def _pass(self, connection: Connection) -> None:
        before, age_s = await audit_pass.newest(connection)
        if age_s > audit_pass.EVERY_S / 2 and await self._locked(connection):
            try:
                before, found = await audit_pass.make(connection, self._seals, before)
                self._tell(before, found)
                await self._witness(connection)
            finally:
                if not connection.closed:
                    await connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))
        if before is not None:
            self._show(before, await audit_roots.heads(connection))

    @staticmethod
    async def _locked(connection: Connection) -> bool:
        cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,))
        return await cursor.fetchone() == (True,)

    @staticmethod
    def _tell(made: audit_pass.Pass, found: Sequence[Found]) -> None:
        wide(
            "audit.pass",
            took_s=round(made.took_s, 3),
            accepted=made.accepted,
            final=made.final,
            pending=made.pending,
            parked=made.parked,
            offenders=sum(made.offenders.values()),
        )
        for each in found:
            names = ", ".join(f"{one.table} {one.id}" for one in each.named)
            _log.error("audit: %s (%d): %s", each.check, each.number, names)

    async def _witness(self, connection: Connection) -> None:
        """Once an hour the heads go into the log: what is kept elsewhere cannot be put back."""
        heads = await audit_roots.heads(connection)
        until = min((head.until for head in heads if head.until), default=None)
        if until is None or until.hour == self._hour:
            return
        self._hour = until.hour
        links = hashlib.sha256(b"".join(head.link for head in heads)).hexdigest()
        wide("audit.heads", until=until.isoformat(), links=links)

    def _show(self, made: audit_pass.Pass, heads: Sequence[Head]) -> None:
        shown = self._metrics
        shown.offenders.clear()
        for check, number in made.offenders.items():
            shown.offenders.labels(check).set(number)
        for standing in ("accepted", "final", "pending", "parked"):
            shown.notifications.labels(standing).set(getattr(made, standing))
        shown.passed_at.set(made.at.timestamp())
        shown.pass_seconds.set(made.took_s)
        if made.clean_at is not None:
            shown.clean_at.set(made.clean_at.timestamp())
        proven = [head.until for head in heads if head.until is not None]
        if proven:
            shown.proven_until.set(min(proven).timestamp())
