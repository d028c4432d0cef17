"""Whom an opt-out leaves unreachable: told now, not at the next emergency.

A Contact who opted out of texts and has no device cannot be alerted any more. The Member's other
Contacts and the operator hear of it as soon as it is so.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from outbox.domain import content as contents
from outbox.domain.content import Content
from outbox.domain.ids import shard_of
from outbox.domain.intake import NewNotification
from outbox.domain.policy import Policy
from outbox.domain.states import Lane
from outbox.drafts import draft, own_event, page_draft
from outbox.relay.database import Session
from outbox.sealing import Sealer
from outbox.store import circles, notices, suppressions
from outbox.store.circles import Bond
from outbox.store.connect import Connection

_log = logging.getLogger(__name__)

KIND = "contact.unreachable"
_EVERY_S = 1.0
_AT_ONCE = 20


class Unreachable:
    """Follows opt-outs up, one transaction each; any relay may."""

    def __init__(
        self,
        *,
        session: Session,
        sealer: Sealer,
        policy: Policy,
        wake_lane: Callable[[int], None],
    ) -> None:
        """One connection, one loop; ``wake_lane`` is told where something became due."""
        self._wake_lane = wake_lane
        self._session = session
        self._sealer = sealer
        self._policy = policy
        self._wake = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """An opt-out may have come."""
        self._wake.set()

    def stop(self) -> None:
        """End `run`."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Follow up until stopped."""
        while not self._stopping:
            self._wake.clear()
            if await self._session.persist(self._round):
                continue
            try:
                async with asyncio.timeout(_EVERY_S * random.uniform(0.75, 1.25)):  # noqa: S311 - jitter
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _round(self, connection: Connection) -> int:
        async with connection.transaction():
            opened = await suppressions.to_follow(connection, limit=_AT_ONCE)
            for shard, phone_hash in opened:
                await self._follow(connection, phone_hash)
                await suppressions.followed(connection, shard, phone_hash)
        if opened:
            for lane in (Lane.SAFETY, Lane.TRANSACTIONAL):
                self._wake_lane(lane)
        return len(opened)

    async def _follow(self, connection: Connection, phone_hash: bytes) -> None:
        for bond in await circles.bonds_of(connection, phone_hash):
            if not await circles.has_device(connection, bond.recipient):
                await self._tell(connection, bond)

    async def _tell(self, connection: Connection, bond: Bond) -> None:
        """Tell the Member's other Contacts, and the operator, of one who cannot be alerted."""
        shard = shard_of(bond.member)
        about = self._open(bond)
        told: list[NewNotification] = []
        for other in await circles.others(connection, bond):
            theirs = self._open(other)
            content = Content(
                phone=theirs.phone,
                recipient_name=theirs.recipient_name,
                member_name=theirs.member_name,
                contact_name=about.recipient_name or "A contact",
                timezone=theirs.timezone,
            )
            told.append(
                draft(
                    self._sealer,
                    kind=KIND,
                    recipient=other.recipient,
                    locale=other.locale,
                    content=content,
                    shard=shard,
                    policy=self._policy,
                )
            )
        summary = (
            f"{bond.recipient} cannot be alerted about {bond.member} any more: opted out of texts,"
            f" and no device. {len(told)} other Contacts are told."
        )
        told.append(
            page_draft(
                self._sealer,
                shard=shard,
                summary=summary,
                reason="contact_unreachable",
                policy=self._policy,
            )
        )
        event = own_event(self._sealer, type_=KIND, subject=bond.member, notifications=tuple(told))
        await notices.insert(connection, event)
        _log.warning("%s", summary)

    def _open(self, bond: Bond) -> Content:
        return contents.decode(
            self._sealer.unseal(
                bond.content, table="notification", row=str(bond.notification), field="content"
            )
        )
