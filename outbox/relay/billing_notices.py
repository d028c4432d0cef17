"""Tells people about billing what is true and was not told yet: any relay may, each thing once."""

from __future__ import annotations

from outbox.domain.billing_notices import Due, kind_of
from outbox.domain.content import Content
from outbox.domain.states import Lane
from outbox.drafts import draft, own_event
from outbox.providers.stripe_codes import table
from outbox.relay.duty import TellingDuty
from outbox.store import billing_notices as store
from outbox.store import notices
from outbox.store.connect import Connection

_AT_ONCE = 100
_LOCALE = "en-US"


class BillingNotices(TellingDuty):
    """Each thing is told once, whoever tells it."""

    every_s = 60.0

    async def turn(self) -> bool:
        """Tell what is due; whether there may be more."""
        return bool(await self._session.persist(self.round))

    async def round(self, connection: Connection) -> int:
        """Make what is due; how much that was."""
        found = await store.due(connection, limit=_AT_ONCE)
        made = 0
        for each in found:
            async with connection.transaction():
                made += await self._tell(connection, each)
        if made:
            self._wake_lane(int(Lane.TRANSACTIONAL))
        return made

    async def _tell(self, connection: Connection, told: Due) -> bool:
        whom = await store.whom(connection, told.shard, told.account)
        phone, locale, timezone = (None, _LOCALE, "UTC") if whom is None else whom
        row = None if told.decline is None else table().get(("decline", told.decline))
        kind = kind_of(told.what, "" if row is None else row.advice)
        notification = draft(
            self._sealer,
            kind=kind,
            recipient=told.account,
            locale=locale,
            content=Content(phone=self._number(told.account, phone), at=told.at, timezone=timezone),
            shard=told.shard,
            policy=self._policy,
        )
        if not await store.take(connection, told, notification.id):
            return False
        event = own_event(
            self._sealer, type_=kind, subject=told.account, notifications=(notification,)
        )
        await notices.insert(connection, event)
        return True

    def _number(self, account: str, sealed: bytes | None) -> str | None:
        # For plans that text, too: the default pushes only.
        if sealed is None:
            return None
        return self._sealer.unseal(sealed, table="recipient", row=account, field="phone").decode()
