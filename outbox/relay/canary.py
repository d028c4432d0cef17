"""Sends canaries to a handset of ours: ordinary notifications, whose receipts prove the way."""

from __future__ import annotations

import logging
from collections.abc import Callable

from observability.relay_metrics import RelayMetrics
from outbox.domain import canaries
from outbox.domain.content import Content
from outbox.domain.ids import shard_of
from outbox.domain.intake import NewNotification
from outbox.domain.policy import Policy
from outbox.domain.states import Lane
from outbox.drafts import draft, own_event
from outbox.relay.database import Session
from outbox.relay.duty import TellingDuty
from outbox.sealing import Sealer, UnsealError
from outbox.store import canaries as stored
from outbox.store import notices
from outbox.store.canaries import Handset
from outbox.store.connect import Connection

_log = logging.getLogger(__name__)


class Canary(TellingDuty):
    """Nothing at all without a recipient."""

    every_s = 30.0

    def __init__(  # noqa: PLR0913 - all that it needs is passed in
        self,
        *,
        session: Session,
        sealer: Sealer,
        policy: Policy,
        metrics: RelayMetrics,
        wake_lane: Callable[[int], None],
        recipient: str | None,
    ) -> None:
        """``recipient``: whose number and devices they go to; null: none are sent."""
        super().__init__(
            session=session, sealer=sealer, policy=policy, metrics=metrics, wake_lane=wake_lane
        )
        self._recipient = recipient

    async def turn(self) -> bool:
        """Send those that are due."""
        if self._recipient is not None:
            sent: int = await self._session.persist(self.send)
            if sent:
                self._wake_lane(Lane.SAFETY)
        return False

    async def send(self, connection: Connection) -> int:
        """Store those that are due; how many."""
        recipient = self._recipient or ""
        async with connection.transaction():
            if not await stored.take(connection):
                return 0
            handset = await stored.handset(connection, recipient)
            if handset is None:
                _log.warning("no canary is sent: PRUUF_CANARY names nobody who is stored")
                return 0
            drafts = self._drafts(recipient, handset)
            if not drafts:
                _log.warning("no canary is sent: its recipient has neither a number nor a device")
                return 0
            await notices.insert(
                connection,
                own_event(
                    self._sealer,
                    type_="canary",
                    subject=canaries.SUBJECT,
                    notifications=tuple(drafts),
                ),
            )
        return len(drafts)

    def _drafts(self, recipient: str, handset: Handset) -> list[NewNotification]:
        contents = {}
        if handset.phone is not None and (phone := self._phone(recipient, handset.phone)):
            contents[canaries.SMS] = Content(phone=phone)
        if handset.has_device:
            # Nothing is shown.
            contents[canaries.PUSH] = Content(title="", body="")
        return [
            draft(
                self._sealer,
                kind=kind,
                recipient=recipient,
                locale="en-US",
                content=content,
                shard=shard_of(canaries.SUBJECT),
                policy=self._policy,
            )
            for kind, content in contents.items()
        ]

    def _phone(self, recipient: str, sealed: bytes) -> str | None:
        try:
            return self._sealer.unseal(
                bytes(sealed), table="recipient", row=recipient, field="phone"
            ).decode()
        except UnsealError:
            _log.error("the number of the canaries' recipient cannot be opened: a key is missing")
            return None
