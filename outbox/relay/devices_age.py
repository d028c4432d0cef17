"""Daily: ages devices without contact, and asks those that were long unheard of for a proof.

The proof is a push that shows nothing, at low priority; the app acknowledges it like any other.
"""

from __future__ import annotations

import logging
from functools import partial

from outbox.domain.content import Content
from outbox.domain.ids import SHARDS
from outbox.domain.readiness import PROOF
from outbox.domain.states import Lane
from outbox.drafts import draft, own_event
from outbox.relay.duty import TellingDuty
from outbox.store import ageing, notices
from outbox.store.connect import Connection

_log = logging.getLogger(__name__)

_AT_ONCE = 200


class DevicesAge(TellingDuty):
    """One relay at a time for each shard."""

    every_s = 86_400.0
    # Soon, as a relay may not live for a day.
    first_s = (0.0, 600.0)

    async def turn(self) -> bool:
        """Look at all devices once."""
        await self.look()
        return False

    async def look(self) -> None:
        """Go through all shards once."""
        for shard in range(SHARDS):
            await self._session.persist(partial(self._age, shard))
            after: str | None = ""
            while after is not None and not self._stopping.is_set():
                after = await self._session.persist(partial(self._ask, shard, after))
        await self._session.persist(self._count)

    async def _age(self, shard: int, connection: Connection) -> None:
        async with connection.transaction():
            if not await ageing.take(connection, shard):
                return
            aged = await ageing.age(connection, shard)
        if aged != ageing.Aged():
            _log.info(
                "devices of shard %d: %d became stale, %d dead, %d were heard of again",
                shard,
                aged.stale,
                aged.dead,
                aged.fresh,
            )

    async def _ask(self, shard: int, after: str, connection: Connection) -> str | None:
        """Ask some for a proof; after whom to go on, null at the end."""
        async with connection.transaction():
            if not await ageing.take(connection, shard):
                return None
            asked = await ageing.unproven(connection, shard, after=after, limit=_AT_ONCE)
            for recipient in asked:
                proof = draft(
                    self._sealer,
                    kind=PROOF,
                    recipient=recipient,
                    locale="en-US",
                    # Nothing is shown.
                    content=Content(title="", body=""),
                    shard=shard,
                    policy=self._policy,
                )
                event = own_event(
                    self._sealer, type_=PROOF, subject=recipient, notifications=(proof,)
                )
                await notices.insert(connection, event)
        if not asked:
            return None
        self._wake_lane(Lane.BULK)
        return asked[-1]

    async def _count(self, connection: Connection) -> None:
        numbers = await ageing.counted(connection)
        for state, number in zip(("fresh", "stale", "dead"), numbers, strict=True):
            self._metrics.devices.labels(state).set(number)
