"""Contacts of a run with numbers and devices, and the events about them, posted at a pace."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from outbox.providers.transport import Answer, PooledTransport, TransportFault
from outbox.simulators import magic
from tests.faults.stack import Stack, number

_AT_ONCE = 16
_AGAIN = {429, 503}


class Person(Struct, frozen=True):
    """One Contact, of one Member."""

    id: str
    phone: str
    token: str | None = None

    @property
    def member(self) -> str:
        return f"m-{self.id}"


def people(run: str, count: int, *, devices: bool, first: int = 0) -> list[Person]:
    """Contacts whose numbers work, each once; ``devices``: an app that acknowledges."""
    return [
        Person(f"{run}-{n}", number(first + n), magic.token("delivered", n) if devices else None)
        for n in range(count)
    ]


def event(kind: str, person: Person, serial: int, *, at: datetime | None = None) -> dict[str, Any]:
    """One event about one person."""
    moment = (at or datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    base = {
        "specversion": "1.0",
        "id": f"{kind}-{person.id}-{serial}",
        "source": "faults",
        "type": kind,
        "subject": person.member,
    }
    if kind == "member.invited":
        data: dict[str, Any] = {
            "inviter": {"id": person.member, "name": "Alice"},
            "invitee": {"id": person.id, "name": "Bob", "phone": person.phone},
            "code": "K7-2291",
        }
    else:
        data = {
            "member": {"id": person.member, "name": "Alice", "phone": "+12025550123"},
            "contacts": [{"id": person.id, "name": "Bob", "phone": person.phone}],
            "due_at" if kind == "checkin.missed" else "at": moment,
        }
    return {**base, "data": data}


class Poster:
    """Posts to a stack's gateway, again until each event is accepted."""

    def __init__(self, stack: Stack, transport: PooledTransport) -> None:
        self._stack = stack
        self._transport = transport
        self._headers = {
            "Authorization": f"Bearer {stack.key}",
            "Content-Type": "application/json",
        }
        self.accepted = 0

    async def post(self, posted: dict[str, Any]) -> dict[str, Any]:
        """Post one event; its answer."""
        url = f"{self._stack.gateway}/v1/events"
        while True:
            answer = await self._try("POST", url, posted)
            if answer is not None and answer.status == 202:
                self.accepted += 1
                accepted: dict[str, Any] = json.loads(answer.body)
                return accepted
            refused = answer is not None and answer.status not in _AGAIN
            assert not refused, answer and answer.body
            await asyncio.sleep(0.2)

    async def register(self, everyone: Iterable[Person]) -> None:
        """Register the devices of these people, a few at a time."""
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(person: Person) -> None:
            async with slots:
                url = f"{self._stack.gateway}/v1/recipients/{person.id}/devices/phone"
                device = {"token": person.token, "address_kind": "fid", "platform": "ios"}
                answer = await self._try("PUT", url, device)
                assert answer is not None
                assert answer.status == 204, answer.body

        async with asyncio.TaskGroup() as group:
            for person in everyone:
                if person.token is not None:
                    group.create_task(one(person))

    async def over(self, posted: list[dict[str, Any]], seconds: float) -> None:
        """Post these, spread evenly over a time."""
        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for place, each in enumerate(posted):
                wait = started + seconds * place / len(posted) - time.monotonic()
                if wait > 0:
                    await asyncio.sleep(wait)
                group.create_task(self.post(each))

    async def _try(self, method: str, url: str, value: dict[str, Any]) -> Answer | None:
        try:
            return await self._transport.request(
                method, url, headers=self._headers, body=json.dumps(value).encode()
            )
        except TransportFault:
            return None


def serials(kind: str, everyone: list[Person], start: int = 0) -> Iterator[dict[str, Any]]:
    """One event of a kind about each person."""
    for person in everyone:
        yield event(kind, person, start)
