"""What a backend and its apps do to a gateway: events at a pace, devices, cancels."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from msgspec import Struct

from outbox.providers.transport import PooledTransport
from tests.faults.stack import Stack

_AT_ONCE = 32
_BATCH = "application/cloudevents-batch+json"
_UNAVAILABLE = 503


class UnavailableError(Exception):
    """The gateway cannot make it durable now: to be tried again."""


def event(kind: str, n: object, *contacts: dict[str, Any], hour: int = 8) -> dict[str, Any]:
    """One event of the n-th Member; each call with another hour is another event."""
    member = f"m{n}"
    missed = kind == "checkin.missed"
    return {
        "specversion": "1.0",
        "id": f"{kind}-{n}-{hour}",
        "source": "traffic",
        "type": kind,
        "time": "2026-11-23T09:00:00Z",
        "subject": member,
        "data": {
            "member": {"id": member, "name": "Alice", "phone": "+12025550123"},
            "contacts": list(contacts),
            "due_at" if missed else "at": f"2026-11-23T{hour:02d}:30:00Z",
        },
    }


def contact(n: object, phone: str) -> dict[str, Any]:
    """The n-th Contact."""
    return {"id": f"c{n}", "name": "Bob", "phone": phone}


class Accepted(Struct, frozen=True):
    """An accepted event: its notifications by recipient, and when its 202 came."""

    notifications: dict[str, UUID]
    at: float
    """Unix seconds."""


class Backend:
    """Calls one gateway."""

    def __init__(self, stack: Stack, transport: PooledTransport) -> None:
        self._stack = stack
        self._transport = transport
        self._headers = {"Authorization": f"Bearer {stack.key}", "Content-Type": "application/json"}

    async def _call(
        self,
        method: str,
        path: str,
        body: object,
        *,
        media_type: str = "application/json",
    ) -> tuple[int, Any]:
        answer = await self._transport.request(
            method,
            self._stack.gateway + path,
            headers={**self._headers, "Content-Type": media_type},
            body=json.dumps(body).encode(),
        )
        if answer.status == _UNAVAILABLE:
            raise UnavailableError
        return answer.status, json.loads(answer.body) if answer.body else None

    async def post(self, one: dict[str, Any]) -> Accepted:
        """Post one event."""
        status, answer = await self._call("POST", "/v1/events", one)
        assert status == 202, answer
        return _accepted(answer)

    async def post_all(self, events: Sequence[dict[str, Any]]) -> list[Accepted]:
        """Post events in batches."""
        accepted = []
        for first in range(0, len(events), 100):
            batch = events[first : first + 100]
            status, answer = await self._call("POST", "/v1/events", batch, media_type=_BATCH)
            assert status == 202, answer
            accepted += [_accepted(one) for one in answer["results"]]
        return accepted

    async def post_at_a_pace(
        self,
        events: Iterable[dict[str, Any]],
        *,
        per_s: float,
    ) -> list[Accepted]:
        """Post events one by one, so many a second; late ones follow at once."""
        started = time.monotonic()
        tasks: list[asyncio.Task[Accepted]] = []
        async with asyncio.TaskGroup() as group:
            for n, one in enumerate(events):
                wait = started + n / per_s - time.monotonic()
                if wait > 0:
                    await asyncio.sleep(wait)
                tasks.append(group.create_task(self.post(one)))
        return [task.result() for task in tasks]

    async def recipient(self, recipient: str, phone: str) -> None:
        """Store one recipient's number."""
        path = f"/v1/recipients/{recipient}"
        status, answer = await self._call("PUT", path, {"name": "Bob", "phone": phone})
        assert status in {200, 201, 204}, answer

    async def devices(self, tokens: Iterable[tuple[str, str]]) -> None:
        """Register one device for each of these recipients, by its token; again after a 503."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def put(recipient: str, token: str) -> None:
            body = {"token": token, "address_kind": "token", "platform": "android"}
            path = f"/v1/recipients/{recipient}/devices/phone"
            async with gate:
                while True:
                    try:
                        status, answer = await self._call("PUT", path, body)
                    except UnavailableError:
                        await asyncio.sleep(0.5)
                        continue
                    break
            assert status in {200, 201, 204}, answer

        async with asyncio.TaskGroup() as group:
            for recipient, token in tokens:
                group.create_task(put(recipient, token))

    async def cancel(self, notification: UUID) -> str:
        """Cancel one; what came of it."""
        return await self._act(notification, "cancel")

    async def redrive(self, notification: UUID) -> str:
        """Put one back to work; what came of it."""
        return await self._act(notification, "redrive")

    async def _act(self, notification: UUID, what: str) -> str:
        path = f"/v1/notifications/{notification}/{what}"
        status, answer = await self._call("POST", path, {"reason": "a test"})
        assert status == 200, answer
        return str(answer["result"])


def _accepted(answer: dict[str, Any]) -> Accepted:
    made = {one["recipient"]: UUID(one["id"]) for one in answer["notifications"]}
    return Accepted(made, time.time())


@asynccontextmanager
async def backend(stack: Stack) -> AsyncIterator[Backend]:
    """A backend with connections of its own."""
    async with PooledTransport(total_timeout_s=30.0) as transport:
        yield Backend(stack, transport)
