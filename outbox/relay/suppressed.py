"""The opt-outs in force, in memory: known to every relay within a second of their commit.

Twilio refuses texts to them anyway; knowing them saves the call, and the alert takes its next step
at once.
"""

from __future__ import annotations

import asyncio
import random
from datetime import datetime

from outbox.relay.database import Session
from outbox.sealing import Sealer
from outbox.store import suppressions
from outbox.store.connect import Connection

_EVERY_S = 1.0


class Suppressed:
    """Hashes of opted-out numbers; one connection, one loop."""

    def __init__(self, *, session: Session, sealer: Sealer) -> None:
        """Empty until `run` has read them once."""
        self._session = session
        self._sealer = sealer
        self._hashes: set[bytes] = set()
        self._seen: datetime | None = None
        self._stopping = asyncio.Event()

    def holds(self, phone: str) -> bool:
        """Whether a number opted out of texts."""
        if not self._hashes:
            return False
        return any(found in self._hashes for found in self._sealer.lookups(phone))

    def note(self, phone_hash: bytes, *, lifted: bool) -> None:
        """This relay applied it itself."""
        if lifted:
            self._hashes.discard(phone_hash)
        else:
            self._hashes.add(phone_hash)

    def stop(self) -> None:
        """End `run`."""
        self._stopping.set()

    async def run(self) -> None:
        """Read what changed, about once a second."""
        while not self._stopping.is_set():
            await self._session.persist(self._read)
            try:
                async with asyncio.timeout(_EVERY_S * random.uniform(0.75, 1.25)):  # noqa: S311 - jitter
                    await self._stopping.wait()
            except TimeoutError:
                continue

    async def _read(self, connection: Connection) -> None:
        changes, self._seen = await suppressions.changed(connection, since=self._seen)
        for change in changes:
            self.note(change.phone_hash, lifted=change.lifted)
