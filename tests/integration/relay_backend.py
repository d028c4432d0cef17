"""What the app's backend posts and registers, prepared and stored as the gateway does it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

from outbox.domain.content import Content
from outbox.domain.ids import key_shard, new_id, shard_of
from outbox.domain.intake import CheckedIn, Missed, NewEvent, NewNotification
from outbox.drafts import AllClears, draft, page_draft
from outbox.sealing import Sealer
from outbox.settings import Settings
from outbox.store import intake
from outbox.store.connect import Connection
from outbox.store.devices import row_name
from outbox.store.intake import Request

_numbers = count(1)
DUE_AT = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)


def person(name: str = "c") -> tuple[str, str]:
    """A recipient that no other test has: id and number."""
    n = next(_numbers)
    return f"{name}-{n}", f"+1202{5550000 + n:07d}"


class Backend(ABC):
    """Posts events for a test, by the gateway's own connection."""

    settings: Settings
    sealer: Sealer
    timezone: str

    @abstractmethod
    async def gateway(self) -> Connection:
        """A connection with the gateway's rights."""

    @abstractmethod
    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Rows by the owner's own connection."""

    def missed(self, member: str, *contacts: tuple[str, str | None], hour: int = 0) -> NewEvent:
        """A missed check-in of which these Contacts (id, number) are told."""
        at = DUE_AT.replace(hour=DUE_AT.hour + hour)
        page = page_draft(
            self.sealer,
            shard=shard_of(member),
            summary=f"Missed check-in of {member}: nobody to tell.",
            policy=self.settings.policy,
        )
        drafts = [self._draft("checkin.missed", member, *contact, at=at) for contact in contacts]
        return self._event("checkin.missed", member, drafts, Missed(at, page))

    def confirmed(self, member: str, *contacts: tuple[str, str | None], hour: int = 0) -> NewEvent:
        """A check-in."""
        at = DUE_AT.replace(hour=DUE_AT.hour + hour)
        drafts = [self._draft("checkin.confirmed", member, *contact, at=at) for contact in contacts]
        return self._event("checkin.confirmed", member, drafts, CheckedIn(at))

    def invited(self, invitee: tuple[str, str]) -> NewEvent:
        """An invitation: one step, by SMS."""
        drafts = [self._draft("member.invited", invitee[0], *invitee, at=DUE_AT)]
        return self._event("member.invited", invitee[0], drafts, None)

    def _draft(
        self,
        kind: str,
        member: str,
        recipient: str,
        phone: str | None = None,
        *,
        at: datetime,
    ) -> NewNotification:
        content = Content(
            phone=phone,
            recipient_name="Bob",
            member_name="Alice",
            member_phone="+12025550100",
            inviter_name="Bob",
            code="HX7-2QK",
            at=at,
            timezone=self.timezone,
        )
        return draft(
            self.sealer,
            kind=kind,
            recipient=recipient,
            locale="en-US",
            content=content,
            shard=shard_of(member),
            policy=self.settings.policy,
        )

    def _event(
        self,
        kind: str,
        member: str,
        notifications: Sequence[NewNotification],
        rule: CheckedIn | Missed | None,
    ) -> NewEvent:
        shard = shard_of(member)
        event = new_id(shard)
        data = f"{kind} of {member}".encode()
        return NewEvent(
            id=event,
            shard=shard,
            key_shard=key_shard("tests", str(event)),
            source="tests",
            source_id=str(event),
            type=kind,
            subject=member,
            occurred_at=datetime.now(UTC),
            content_hash=self.sealer.content_hash(data),
            traceparent=None,
            data=self.sealer.seal(data, table="event", row=str(event), field="data"),
            keep_key=True,
            notifications=tuple(notifications),
            rule=rule,
        )

    async def accept(self, *events: NewEvent) -> dict[str, UUID]:
        """Store events in one transaction; the notifications of the last one by recipient."""
        connection = await self.gateway()
        clear = AllClears(self.sealer, self.settings.policy).draft
        async with connection.transaction():
            await intake.write(connection, [Request(events)], clear=clear)
        rows = self.rows(
            "SELECT recipient, id FROM notification WHERE event = %s", (events[-1].id,)
        )
        return dict(rows)

    async def device(self, recipient: str, *, name: str = "d", platform: str = "ios") -> str:
        """A device of a recipient; its address."""
        address = f"token-{next(_numbers)}"
        sealed = self.sealer.seal(
            address.encode(), table="device", row=row_name(recipient, name), field="token"
        )
        connection = await self.gateway()
        await connection.execute(
            "INSERT INTO device (shard, recipient, id, token, token_hash, address_kind, platform)"
            " VALUES (%s, %s, %s, %s, %s, 'token', %s)",
            (
                shard_of(recipient),
                recipient,
                name,
                sealed,
                self.sealer.lookup(address),
                platform,
            ),
        )
        return address
