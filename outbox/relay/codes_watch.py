"""Watches one-time codes: their conversion, told when it is bad, and clears what is too old."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from observability.relay_metrics import RelayMetrics
from outbox.domain.codes_conversion import Conversion, falls_short, summary
from outbox.domain.policy import Policy
from outbox.domain.states import Lane
from outbox.drafts import notice_draft
from outbox.relay.database import Session
from outbox.sealing import Sealer
from outbox.store import conversion, notices
from outbox.store.connect import Connection

_EVERY_S = 60.0


class CodesWatch:
    """One connection, one loop; any relay may, and what it tells is told once an hour."""

    def __init__(
        self,
        *,
        session: Session,
        sealer: Sealer,
        policy: Policy,
        metrics: RelayMetrics,
        wake_lane: Callable[[int], None],
    ) -> None:
        """``wake_lane`` is told where a page became due."""
        self._session = session
        self._sealer = sealer
        self._policy = policy
        self._metrics = metrics
        self._wake_lane = wake_lane
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End `run`."""
        self._stopping.set()

    async def run(self) -> None:
        """Look about once a minute until stopped."""
        while not self._stopping.is_set():
            await self._session.persist(self.look)
            while await self._session.persist(self.clear):
                if self._stopping.is_set():
                    return
            try:
                async with asyncio.timeout(_EVERY_S * random.uniform(0.75, 1.25)):  # noqa: S311 - jitter
                    await self._stopping.wait()
            except TimeoutError:
                continue

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
            if falls_short(each, self._policy.codes.least_conversion):
                await self._tell(connection, each)

    async def _tell(self, connection: Connection, measured: Conversion) -> None:
        reason = f"codes_conversion:{measured.country}"
        event = notice_draft(
            self._sealer, summary=summary(measured), reason=reason, policy=self._policy
        )
        if await notices.tell(connection, reason, event):
            self._metrics.pages.inc()
            self._wake_lane(Lane.SAFETY)
