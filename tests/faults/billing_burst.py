"""Thousands of signed webhooks of Stripe at once, and how fast each is answered."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct, field

from outbox.providers.transport import PooledTransport, TransportFault
from outbox.simulators.stripe.webhooks import PATH, SECRETS, signature

AT_ONCE = 64
"""Connections: more than Stripe was ever seen to open to one endpoint at a time."""
_LONGEST_S = 60.0


class Burst(Struct):
    """What came of one."""

    took_s: list[float] = []
    """Until each answer, in order of size once it is over."""
    answers: Counter[int | str] = field(default_factory=Counter)
    sent_s: float = 0.0
    """From the first request to the last answer."""

    def share(self, share: float) -> float:
        """So many were answered within these seconds."""
        return self.took_s[min(len(self.took_s) - 1, int(len(self.took_s) * share))]


def events(objects: Sequence[dict[str, Any]], count: int, *, at: int) -> Iterator[dict[str, Any]]:
    """Events of these subscriptions in turn, each a second after the one before; some are of a type
    that is only kept, some of customers whom nobody knows.
    """
    for n in range(count):
        kind, about = "customer.subscription.updated", objects[n % len(objects)]
        if n % 10 == 8:
            kind, about = "product.updated", {"id": f"prod_{n}", "object": "product"}
        elif n % 10 == 9:
            about = {**about, "id": f"sub_other{n}", "customer": f"cus_other{n}", "metadata": {}}
        yield {
            "id": f"evt_burst{n}",
            "object": "event",
            "api_version": "2026-10-28.endive",
            "created": at + n // len(objects),
            "data": {"object": about},
            "type": kind,
        }


def send(gateway: str, told: Sequence[dict[str, Any]]) -> Burst:
    """Deliver them, so many at once; returns when the last is answered."""
    return asyncio.run(_send(gateway + PATH, told))


async def _send(url: str, told: Sequence[dict[str, Any]]) -> Burst:
    burst, waiting = Burst(), iter(told)
    async with PooledTransport(total_timeout_s=_LONGEST_S) as transport:

        async def post() -> None:
            for event in waiting:
                body = json.dumps(event).encode()
                headers = {
                    "Content-Type": "application/json; charset=utf-8",
                    "Stripe-Signature": signature(body, SECRETS, int(time.time())),
                }
                began = time.monotonic()
                try:
                    answer = await transport.request("POST", url, headers=headers, body=body)
                    burst.answers[answer.status] += 1
                except TransportFault as fault:
                    burst.answers[fault.kind] += 1
                burst.took_s.append(time.monotonic() - began)

        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(post())
        burst.sent_s = time.monotonic() - began
    burst.took_s.sort()
    return burst
