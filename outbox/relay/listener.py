"""Hears the gateway's wake-ups. A lost one costs a poll interval, nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from outbox.relay.database import AGAIN, Session
from outbox.store.connect import Connection, check
from outbox.store.wake import CHANNEL

_log = logging.getLogger(__name__)

_LOOK_UP_S = 5.0


class Listener:
    """One connection that only listens."""

    def __init__(
        self,
        *,
        session: Session,
        wake_lane: Callable[[int], None],
        wake_inbox: Callable[[], None],
    ) -> None:
        """The callbacks must be quick."""
        self._session = session
        self._wake_lane = wake_lane
        self._wake_inbox = wake_inbox
        self._stopping = False

    def stop(self) -> None:
        """End `run` within seconds."""
        self._stopping = True

    async def run(self) -> None:
        """Listen until stopped."""
        while not self._stopping:
            try:
                connection = await self._session.get()
                await connection.execute(f"LISTEN {CHANNEL}")
                await self._hear(connection)
            except AGAIN as error:
                _log.warning("listener: %s, listening again", type(error).__name__)
                await self._session.drop()
                # What was said meanwhile is not repeated: look everywhere once.
                await asyncio.sleep(0.1)
                self._wake_inbox()
                for lane in range(4):
                    self._wake_lane(lane)

    async def _hear(self, connection: Connection) -> None:
        while not self._stopping:
            async for notify in connection.notifies(timeout=_LOOK_UP_S):
                kind, _, lane = notify.payload.partition(":")
                if kind == "inbox":
                    self._wake_inbox()
                elif kind == "lane" and lane.isdigit():
                    self._wake_lane(int(lane))
            # An idle connection can be dead without a word: ask.
            await check(connection)
