"""Counts the outcomes that no stored fact tells: what was answered, and that this process lives.

They are added to the minutes every few seconds, in that of the writing. While the database is away
they are kept; what a killed process had not yet written is lost, a few seconds' worth.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from msgspec import Struct

from observability.outcomes import OutcomeCounter
from outbox.store import rollup
from outbox.store.connect import UNABLE, Connection
from outbox.store.rollup import ALIVE, Counted

_log = logging.getLogger(__name__)

_EVERY_S = 15.0
_POST = "POST"
_EVENTS = frozenset({"/v1/events", "/v1/events/stream"})
_CALLBACKS = {
    "/webhooks/twilio/status": "twilio",
    "/webhooks/twilio/inbound": "twilio_inbound",
    "/webhooks/stripe": "stripe",
    "/v1/receipts/push": "app",
}
_FORGED, _GONE, _REFUSED, _FAILED = 403, 499, 400, 500


class Outcome(Struct, frozen=True):
    """What one answer means to an objective."""

    slo: str
    outcome: str
    kind: str = ""


def outcome_of(route: str, method: str, status: int) -> Outcome | None:
    """What an answer means; null when it is about no objective."""
    if method == _POST and route in _EVENTS:
        if status == _GONE:
            return Outcome("events", "gone")
        bad = "failed" if status >= _FAILED else "refused"
        return Outcome("events", bad if status >= _REFUSED else "accepted")
    if method == _POST and route in _CALLBACKS:
        if status >= _FAILED:
            return Outcome("webhooks", "not_stored", _CALLBACKS[route])
        if status == _FORGED:
            return Outcome("webhooks", "forged", _CALLBACKS[route])
    return None


class Tally:
    """What this process has counted and not yet written."""

    def __init__(self, counter: OutcomeCounter) -> None:
        """``counter`` shows the same to Prometheus."""
        self._counter = counter
        self._waiting: Counter[Outcome] = Counter()

    def add(self, outcome: Outcome) -> None:
        """Count one."""
        self._counter.add(outcome.slo, outcome.outcome, 1)
        self._waiting[outcome] += 1

    @asynccontextmanager
    async def written(self, connect: Callable[[], Awaitable[Connection]]) -> AsyncIterator[None]:
        """Write while this is open, and once more at its end."""
        self.add(Outcome("events", ALIVE))
        writing = asyncio.create_task(self._write_on(connect))
        try:
            yield
        finally:
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
            with suppress(TimeoutError, *UNABLE):
                async with asyncio.timeout(1.0):
                    await self._write(connect)

    async def _write_on(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        while True:
            try:
                await self._write(connect)
            except UNABLE as error:
                _log.warning("the minutes cannot be written (%s)", type(error).__name__)
            await asyncio.sleep(_EVERY_S)
            self.add(Outcome("events", ALIVE))

    async def _write(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        taken, self._waiting = self._waiting, Counter()
        try:
            # Not kept open between: it is needed for a moment every few seconds.
            async with await connect() as connection:
                await rollup.add(
                    connection,
                    [
                        Counted(slo=each.slo, outcome=each.outcome, kind=each.kind, n=n)
                        for each, n in taken.items()
                    ],
                )
        except BaseException:
            # Also of a cancelled one: what may have been written twice is better than what is not.
            self._waiting.update(taken)
            raise
