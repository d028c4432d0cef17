"""Watches one-time codes: their conversion, told when it is bad, and clears what is too old."""

from __future__ import annotations

import logging

from outbox.domain.codes_conversion import Conversion, falls_short, is_fraud, summary
from outbox.domain.states import Lane
from outbox.drafts import notice_draft
from outbox.relay.duty import TellingDuty
from outbox.store import codes_stop, conversion, notices
from outbox.store.connect import Connection

_log = logging.getLogger(__name__)


class CodesWatch(TellingDuty):
    """What it tells is told once an hour."""

    every_s = 60.0

    async def turn(self) -> bool:
        """Measure, then clear away what is too old."""
        await self._session.persist(self.look)
        while await self._session.persist(self.clear):
            if self._stopping.is_set():
                break
        return False

    async def clear(self, connection: Connection) -> int:
        """Clear away some of what is too old; how much."""
        return await conversion.clear(connection)

    async def look(self, connection: Connection) -> None:
        """Measure, and tell what falls short."""
        measured = await conversion.conversions(connection)
        self._metrics.codes_conversion.clear()
        self._metrics.codes_hour.clear()
        for each in measured:
            self._metrics.codes_conversion.labels(each.country).set(each.share)
            self._metrics.codes_hour.labels(each.country).set(each.sent)
            stopped = is_fraud(each, self._policy.codes.stop_conversion)
            if stopped and await codes_stop.stop(connection, each):
                _log.warning("no code goes to %s for a while: hardly any was used", each.country)
            if stopped or falls_short(each, self._policy.codes.least_conversion):
                await self._tell(connection, each, stopped=stopped)
        in_force = await codes_stop.now(connection)
        self._metrics.codes_stopped.clear()
        for country in in_force:
            self._metrics.codes_stopped.labels(country).set(1)

    async def _tell(self, connection: Connection, measured: Conversion, *, stopped: bool) -> None:
        # To be stopped is another piece of news than to fall short.
        reason = f"codes_{'stopped' if stopped else 'conversion'}:{measured.country}"
        event = notice_draft(
            self._sealer,
            summary=summary(measured, stopped=stopped),
            reason=reason,
            policy=self._policy,
        )
        if await notices.tell(connection, reason, event):
            self._metrics.pages.inc()
            self._wake_lane(Lane.SAFETY)
