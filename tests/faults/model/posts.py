"""What the backend posts, to the database and to the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outbox.domain import plans
from outbox.domain.intake import NewEvent

from .oracle import New

if TYPE_CHECKING:
    from .world import World


class Posts:
    """Check-ins, made and missed, of one Member; and invitations."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.hour = 0

    async def post(self, *events: NewEvent) -> list[list[New]]:
        """In one transaction; the notifications of each."""
        await self._world.backend.accept(*events)
        query = (
            "SELECT event, id, recipient, kind, plan FROM notification"
            " WHERE subject = ANY(%s) AND event = ANY(%s) ORDER BY event, id"
        )
        subjects, ids = [e.subject for e in events], [e.id for e in events]
        rows = self._world.backend.rows(query, (subjects, ids))
        order = [contact for contact, _ in self._world.contacts]
        rows.sort(key=lambda row: order.index(row[2]) if row[2] in order else len(order))
        return [
            [New(i, who, kind, plans.decode(bytes(p))) for e, i, who, kind, p in rows if e == one]
            for one in ids
        ]

    async def miss(self, contacts: int, *, hour: int | None = None) -> None:
        told = self._world.contacts[:contacts]
        at, since = self._hour() if hour is None else hour, self._world.now()
        self._world.tell(f"a check-in of {at} o'clock is missed; {contacts} to be told")
        (made,) = await self.post(self._world.backend.missed(self._world.member, *told, hour=at))
        self._world.oracle.missed(
            self._world.member, at, [c for c, _ in told], made, self._world.now(since=since)
        )

    async def check_in(self, contacts: int) -> None:
        told = self._world.contacts[:contacts]
        at, since = self._hour(), self._world.now()
        self._world.tell(f"the Member checks in at {at}; {contacts} to be told")
        (made,) = await self.post(self._world.backend.confirmed(self._world.member, *told, hour=at))
        self._world.oracle.checked_in(
            self._world.member, at, [c for c, _ in told], made, self._world.now(since=since)
        )

    async def miss_and_check_in(self) -> None:
        missed, checked, since = self._hour(), self._hour(), self._world.now()
        self._world.tell(
            f"the check-in of {missed} is missed and made up for at {checked}, at once"
        )
        first, second = await self.post(
            self._world.backend.missed(self._world.member, *self._world.contacts, hour=missed),
            self._world.backend.confirmed(self._world.member, *self._world.contacts, hour=checked),
        )
        now, told = self._world.now(since=since), [contact for contact, _ in self._world.contacts]
        self._world.oracle.missed(self._world.member, missed, told, first, now)
        self._world.oracle.checked_in(self._world.member, checked, told, second, now)

    async def invite(self) -> None:
        since = self._world.now()
        (made,) = await self.post(self._world.backend.invited(self._world.contacts[0]))
        self._world.tell("somebody is invited")
        for new in made:
            self._world.oracle.add(new, self._world.contacts[0][0], self._world.now(since=since))

    def _hour(self) -> int:
        """The next one; the last of the day lasts."""
        self.hour = min(self.hour + 1, 15)
        return self.hour
