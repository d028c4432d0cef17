"""The opt-outs in force, in memory: known to every relay within a second of their commit.

Twilio refuses texts to them anyway; knowing them saves the call, and the alert takes its next step
at once.
"""

from __future__ import annotations

from datetime import datetime

from outbox.relay.database import Session
from outbox.relay.duty import Duty
from outbox.sealing import Sealer
from outbox.store import suppressions
from outbox.store.connect import Connection


class Suppressed(Duty):
    """Hashes of opted-out numbers."""

    every_s = 1.0

    def __init__(self, *, session: Session, sealer: Sealer) -> None:
        """Empty until `run` has read them once."""
        super().__init__(session)
        self._sealer = sealer
        self._hashes: set[bytes] = set()
        self._seen: datetime | None = None

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

    async def turn(self) -> bool:
        """Read what changed."""
        await self._session.persist(self._read)
        return False

    async def _read(self, connection: Connection) -> None:
        changes, self._seen = await suppressions.changed(connection, since=self._seen)
        for change in changes:
            self.note(change.phone_hash, lifted=change.lifted)
