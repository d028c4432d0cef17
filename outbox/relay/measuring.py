"""Counts outcomes behind the facts, and shows how things stand to Prometheus."""

from __future__ import annotations

import logging
import random
import time
from datetime import timedelta
from functools import partial

from observability.judging import judge
from observability.relay_metrics import RelayMetrics
from observability.slos import definitions
from outbox.domain.acknowledging import PARKED, Endings, Key
from outbox.relay.database import Session
from outbox.relay.duty import Duty
from outbox.store import acknowledgements, objectives, pulse, rollup
from outbox.store.connect import Connection

_log = logging.getLogger(__name__)

_FORGET_EVERY = 360
_MOST = timedelta(hours=1)
_LEAST = timedelta(minutes=1)
_SLOW_S = 2.0
_FAST_S = 0.5


class Measuring(Duty):
    """One relay at a time for each objective."""

    every_s = 10.0

    def __init__(self, *, session: Session, metrics: RelayMetrics) -> None:
        """What was counted is added to the metrics of the relay that counted it."""
        super().__init__(session)
        self._metrics = metrics
        self._endings = Endings()
        self._most = timedelta(minutes=10)
        # Not all relays at once.
        self._turn = random.randrange(_FORGET_EVERY)  # noqa: S311 - jitter

    async def turn(self) -> bool:
        """Measure; whether there are more minutes to count."""
        await self._session.persist(self.show)
        behind = False
        for key in rollup.waits():
            behind |= await self._session.persist(partial(self.count, key))
        if self._turn % _FORGET_EVERY == 0:
            await self._session.persist(rollup.forget)
        self._turn += 1
        return behind

    async def show(self, connection: Connection) -> None:
        """Read the measures of this moment."""
        begun = time.monotonic()
        statement, values = pulse.query()
        cursor = await connection.execute(statement, values)
        readings = [pulse.Reading(*row) for row in await cursor.fetchall()]
        took = pulse.Reading("database_s", "", time.monotonic() - begun)
        found = [(each.measure, each.label, each.value) for each in (*readings, took)]
        self._metrics.show(found)
        await self._end_acknowledgements(connection, found)

    async def _end_acknowledgements(
        self, connection: Connection, readings: list[tuple[str, str, float]]
    ) -> None:
        """What fires no more is not known to anybody when it fires anew."""
        known = await acknowledgements.read(connection)
        firing: set[Key] = set()
        if known:
            slos = definitions()
            cursor = await connection.execute(*objectives.counts_query(slos))
            counted = objectives.windows_of(await cursor.fetchall(), slos)
            firing = {each.key for each in judge(slos, counted, readings).firing}
            firing |= {(PARKED, name) for name in await acknowledgements.parked_reasons(connection)}
        over = self._endings.over(known, firing)
        if over:
            await acknowledgements.end(connection, over)

    async def count(self, key: str, connection: Connection) -> bool:
        """Count the next minutes of an objective; whether there are more.

        After a pause there are many: as many at once as take a moment, and fewer each time that
        it did not come to an end.
        """
        most, self._most = self._most, max(_LEAST, self._most / 2)
        begun = time.monotonic()
        step = await rollup.count(connection, key, most=most)
        took_s = time.monotonic() - begun
        if took_s < _FAST_S:
            self._most = min(_MOST, most * 2)
        elif took_s < _SLOW_S:
            self._most = most
        for each in () if key == rollup.REACH else step.counted:
            self._metrics.outcomes.add(each.slo, each.outcome, each.n)
        return step.behind
