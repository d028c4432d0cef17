"""Carries erasures through: what a person asked to be forgotten goes, step by step.

Each step is a short transaction that finds what is still there: a relay that dies is followed by
another one, which begins anew.
"""

from __future__ import annotations

import logging
from functools import partial
from uuid import UUID

from outbox.domain.erasure import Waits, again_after_s
from outbox.domain.intake import NewNotification
from outbox.domain.states import Lane
from outbox.drafts import page_draft
from outbox.relay.duty import TellingDuty
from outbox.store import erasing_beside as beside
from outbox.store import erasing_bodies as bodies
from outbox.store import erasing_texts as texts
from outbox.store import erasures
from outbox.store.connect import Connection
from outbox.store.erasing_pending import AT_ONCE, pending, withdraw
from outbox.store.erasures import Erasure

_log = logging.getLogger(__name__)


class Erasing(TellingDuty):
    """Each erasure is in the hands of one relay at a time."""

    every_s = 1.0

    async def turn(self) -> bool:
        """Look at one erasure, and carry it as far as it can be; whether there was one."""
        erasure = await self._session.persist(erasures.take)
        self._metrics.erasures_waiting.set(await self._session.persist(erasures.waiting))
        if erasure is None:
            return False
        waits_for = await self._carry(erasure)
        if self._stopping.is_set():
            return True
        after_s = again_after_s(erasure.age_s)
        done = await self._session.persist(
            partial(_leave, erasure=erasure, waits_for=waits_for, after_s=after_s)
        )
        if done:
            _log.info("an erasure is at its end: nothing of %s is left", erasure.recipient)
        return True

    async def _carry(self, erasure: Erasure) -> Waits | None:
        """Empty all that can be emptied now; what the rest waits for."""
        stale = await self._session.persist(
            partial(texts.stale, sealer=self._sealer, erasure=erasure)
        )
        await self._withdraw(erasure, stale)
        members = await self._session.persist(partial(texts.circle, erasure=erasure))
        for query in texts.QUERIES:
            # Numbers that they had before are found on the way.
            erasure = await self._session.persist(partial(erasures.refreshed, erasure=erasure))
            bound = texts.given(erasure, stale, members)
            step = partial(
                texts.empty_some,
                sealer=self._sealer,
                erasure=erasure,
                query=query,
                bound=bound,
            )
            while await self._session.persist(step) == texts.AT_ONCE:
                if self._stopping.is_set():
                    return None
        bound = texts.given(erasure, stale, members)
        unfinished = await self._session.persist(
            partial(
                bodies.empty_bodies_of_unfinished,
                sealer=self._sealer,
                erasure=erasure,
                bound=bound,
            )
        )
        await self._beside(erasure)
        if erasure.is_settled and not erasure.is_read:
            unfinished += await self._read(erasure, members)
        if not erasure.is_settled:
            return Waits.TRANSACTIONS
        return Waits.NOTIFICATIONS if unfinished else None

    async def _withdraw(self, erasure: Erasure, stale: list[UUID]) -> None:
        found = [UUID(int=0)] * AT_ONCE
        paged = False
        while len(found) == AT_ONCE and not self._stopping.is_set():
            found = await self._session.persist(partial(pending, erasure=erasure, stale=stale))
            for each in found:
                paged |= await self._session.persist(
                    partial(withdraw, notification=each, page=self._page)
                )
        if paged:
            self._wake_lane(int(Lane.SAFETY))

    async def _beside(self, erasure: Erasure) -> None:
        await self._session.persist(partial(beside.codes, erasure=erasure))
        await self._session.persist(partial(beside.account, erasure=erasure))
        if erasure.is_settled:
            await self._session.persist(partial(beside.callbacks, erasure=erasure))
        for step in (beside.texts, beside.strays, beside.nobodys, beside.failed):
            after: UUID | None = UUID(int=0)
            while after is not None and not self._stopping.is_set():
                after = await self._session.persist(
                    partial(step, sealer=self._sealer, erasure=erasure, after=after)
                )

    async def _read(self, erasure: Erasure, members: list[str]) -> int:
        """Read what names them without a notification; when no more of it can come.

        Returns how much of it is unfinished: then it is read once more.
        """
        unfinished = 0
        is_member = await self._session.persist(partial(bodies.is_member, erasure=erasure))
        first = await self._session.persist(bodies.oldest_body)
        for of in bodies.walks(erasure, members, is_member=is_member):
            after: UUID | None = first
            while after is not None:
                if self._stopping.is_set():
                    return unfinished
                walked = await self._session.persist(
                    partial(bodies.walk, sealer=self._sealer, erasure=erasure, of=of, after=after)
                )
                after, unfinished = walked.after, unfinished + walked.unfinished
        if not unfinished:
            await self._session.persist(partial(erasures.read, erasure=erasure))
        return unfinished

    def _page(self, shard: int, summary: str, reason: str) -> NewNotification:
        return page_draft(
            self._sealer, shard=shard, summary=summary, reason=reason, policy=self._policy
        )


async def _leave(
    connection: Connection, *, erasure: Erasure, waits_for: Waits | None, after_s: float
) -> bool:
    return await erasures.leave(connection, erasure, waits_for, after_s)
