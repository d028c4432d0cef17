"""Writes settlements in batches, and keeps each until it is written, whatever the database does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID

import psycopg
from msgspec.structs import replace

from observability.relay_metrics import RelayMetrics
from outbox.domain.decide import Final, Move
from outbox.domain.intake import NewEvent
from outbox.domain.states import State
from outbox.relay.database import Session
from outbox.relay.faults import QUARANTINED
from outbox.relay.traces import ClaimSpans
from outbox.store import acknowledgements, notices
from outbox.store.alerts import PageDraft, settle_alert
from outbox.store.connect import Connection
from outbox.store.recipients import Device, forget_device
from outbox.store.settle import Attempt, Settlement, settle

_log = logging.getLogger(__name__)

_ALERT = "checkin.missed"
_REFUSALS = (psycopg.DataError, psycopg.IntegrityError)
"""What Postgres says of a row's own content."""

_UNTOLD = "what the provider said cannot be stored"

NoticeDraft = Callable[[str, str], NewEvent]
"""Makes a notice for the operator: summary and reason."""

Written = Callable[[Sequence[Settlement]], None]
"""Told after the commit: frees the slots and wakes what became due."""


class Settler:
    """One queue and one connection; a batch is what came within ``linger_s``."""

    def __init__(  # noqa: PLR0913 - all that it needs is passed in
        self,
        *,
        session: Session,
        page: PageDraft,
        notice: NoticeDraft,
        written: Written,
        metrics: RelayMetrics,
        linger_s: float,
        max_batch: int = 256,
        spans: ClaimSpans | None = None,
    ) -> None:
        """``linger_s`` 0 settles at once."""
        self._session = session
        self._page = page
        self._notice = notice
        self._written = written
        self._metrics = metrics
        self._linger_s = linger_s
        self._max_batch = max_batch
        self._spans = spans
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
        span = None if self._spans is None else self._spans.settling(settlements)
        alone = [s for s in settlements if _needs_the_alert(s)]
        others = [s for s in settlements if not _needs_the_alert(s)]
        if others:
            await self._bisect(others)
        for settlement in alone:
            try:
                await self._write_alert(settlement)
            except _REFUSALS as error:
                await self._refused(settlement, error)
        await self._tell_parked(settlements)
        for settlement in settlements:
            for device in settlement.dead:
                await self._session.persist(partial(_forget, device))
            if isinstance(settlement.move, Final):
                self._metrics.finals.labels(
                    settlement.claim.kind,
                    settlement.move.state,
                    settlement.move.channel or "none",
                ).inc()
        if span is not None:
            span.end()
        self._written(settlements)

    async def _write_alert(self, settlement: Settlement) -> None:
        page = await self._session.persist(partial(self._settle_alert, settlement))
        if page is not None:
            self._metrics.pages.inc()
            _log.error("an alert reaches nobody: operator page %s", page)

    async def _settle_alert(self, settlement: Settlement, connection: Connection) -> UUID | None:
        return await settle_alert(connection, settlement, self._page)

    async def _tell_parked(self, settlements: list[Settlement]) -> None:
        """A person is told why notifications wait, once an hour for each reason."""
        reasons = {s.move.parked for s in settlements if isinstance(s.move, Move) and s.move.parked}
        for reason in sorted(reasons):
            event = self._notice(_parked(reason), f"parked:{reason}")
            told = await self._session.persist(partial(_tell_parked, reason, event))
            if told:
                self._metrics.pages.inc()
                _log.error("notifications are parked: %s; the operator is told", reason)

    async def _bisect(self, settlements: list[Settlement]) -> None:
        """Write a batch; a data fault leaves only the row that causes it behind."""
        try:
            await self._session.persist(lambda c: settle(c, settlements))
        except _REFUSALS as error:
            if len(settlements) == 1:
                await self._refused(settlements[0], error)
                return
            middle = len(settlements) // 2
            await self._bisect(settlements[:middle])
            await self._bisect(settlements[middle:])

    async def _refused(self, settlement: Settlement, error: psycopg.Error) -> None:
        """Its lease runs out, the next claim resolves it: seen, counted, not lost.

        Where that is refused too, its story is told in fewer words, at last in none: a gap in it is
        better than a row that is claimed for ever and never ends.
        """
        self._metrics.faults.labels("settle").inc()
        claim = settlement.claim
        # Not the database's text: that quotes what it met.
        _log.error("settle of %s refused: %s", claim.notification, type(error).__name__)
        if not claim.suspect:
            return
        for attempts in (tuple(map(_in_our_words, settlement.attempts)), ()):
            try:
                await self._write_one(replace(settlement, attempts=attempts, heard=()))
            except _REFUSALS:
                continue
            return

    async def _write_one(self, settlement: Settlement) -> None:
        if _needs_the_alert(settlement):
            await self._write_alert(settlement)
        else:
            await self._session.persist(lambda c: settle(c, [settlement]))


def _parked(reason: str) -> str:
    """What the person on call is told."""
    if reason == QUARANTINED:
        return "Our own code failed on notifications, which are parked. Do: runbooks/parked.md"
    told = f"A provider refuses us for our configuration ({reason}), and notifications are parked"
    return f"{told}. Do: runbooks/configuration-fault.md"


def _in_our_words(attempt: Attempt) -> Attempt:
    outcome = replace(attempt.outcome, provider_id=None, code=None, detail=_UNTOLD)
    return replace(attempt, outcome=outcome)


async def _tell_parked(reason: str, event: NewEvent, connection: Connection) -> bool:
    if await acknowledgements.is_known(connection, reason):
        return False
    return await notices.tell(connection, f"parked:{reason}", event)


async def _forget(device: Device, connection: Connection) -> None:
    if await forget_device(connection, device.recipient, device.id, device.token_hash):
        _log.info("a device of %s is gone: its address is no longer used", device.recipient)


def _needs_the_alert(settlement: Settlement) -> bool:
    """Whether the Member's row has to be locked for it: it may page."""
    move = settlement.move
    return settlement.page is not None or (
        settlement.claim.kind == _ALERT
        and isinstance(move, Final)
        and move.state != State.DELIVERED
    )
