"""What a relay does beside delivery, again and again: a loop and a connection for each.

A connection that is used once in a while is given back between: a hundred relays with twenty idle
ones each would take all that Postgres has, and alerts need theirs.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from observability.relay_metrics import RelayMetrics
from outbox.domain.policy import Policy
from outbox.relay.database import Session
from outbox.sealing import Sealer

_KEPT_S = 20.0
"""Whoever looks more often than this keeps the connection."""


class Duty(ABC):
    """One of them; any relay may do it, and its statements see to it that no two do the same."""

    every_s: float
    """Between two turns, about."""
    first_s: ClassVar[tuple[float, float]] = (0.0, 0.0)
    """Before the first turn, between these."""
    jitter: ClassVar[float] = 0.25
    """Share of `every_s`: not all relays at once."""

    def __init__(self, session: Session) -> None:
        """Nothing runs yet."""
        self._session = session
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End `run` after what is being done."""
        self._stopping.set()

    async def run(self) -> None:
        """Take turns until stopped."""
        pause_s = random.uniform(*self.first_s)  # noqa: S311 - jitter
        while not await self.rest(pause_s):
            if await self.turn():
                pause_s = 0.0
                continue
            if self.every_s > _KEPT_S:
                await self._session.release()
            share = random.uniform(-self.jitter, self.jitter)  # noqa: S311 - jitter
            pause_s = self.every_s * (1 + share)

    @abstractmethod
    async def turn(self) -> bool:
        """Do what is to be done now; true when there is more of it, without a pause."""

    async def rest(self, pause_s: float) -> bool:
        """Wait; true when it is to end."""
        if not pause_s:
            return self._stopping.is_set()
        try:
            async with asyncio.timeout(pause_s):
                await self._stopping.wait()
        except TimeoutError:
            return False
        return True


class TellingDuty(Duty, ABC):
    """One that makes notifications."""

    def __init__(
        self,
        *,
        session: Session,
        sealer: Sealer,
        policy: Policy,
        metrics: RelayMetrics,
        wake_lane: Callable[[int], None],
    ) -> None:
        """``wake_lane`` is told where something became due."""
        super().__init__(session)
        self._sealer = sealer
        self._policy = policy
        self._metrics = metrics
        self._wake_lane = wake_lane
