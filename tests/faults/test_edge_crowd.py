"""Half requests by the thousand and a flood without keys: alerts go out as before."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from statistics import quantiles
from typing import Self
from urllib.parse import urlsplit

import pytest

from outbox.providers.transport import PooledTransport
from tests.faults.conftest import Begin
from tests.faults.stack import Stack, number, wait_for
from tests.faults.table import Scenario
from tests.faults.traffic import Backend, backend, contact, event

_HALF = b"POST /v1/events HTTP/1.1\r\nHost: gateway\r\nContent-Le"
_PAUSE_S = 0.05
_AT_ONCE = 100
_WARM = 10


class Crowd:
    """Connections that never finish their head; one that is cut comes back."""

    def __init__(self, stack: Stack, half: int) -> None:
        self._address = urlsplit(stack.gateway)
        self._half = half
        self._tasks: list[asyncio.Task[None]] = []
        self._door = asyncio.Semaphore(_AT_ONCE)
        self.open = 0
        self.cut = 0

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._come()) for _ in range(self._half)]
        async with asyncio.timeout(120):
            while self.open < self._half:  # noqa: ASYNC110 - many tasks count it up
                await asyncio.sleep(_PAUSE_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _come(self) -> None:
        while True:
            async with self._door:
                reader, writer = await asyncio.open_connection(
                    self._address.hostname, self._address.port
                )
            try:
                writer.write(_HALF)
                self.open += 1
                # Until the gateway has enough of it.
                with suppress(ConnectionError):
                    await reader.read()
                self.cut += 1
            finally:
                self.open -= 1
                writer.close()
                with suppress(ConnectionError, asyncio.CancelledError):
                    await writer.wait_closed()


async def _strangers(stack: Stack, per_s: float, answers: Counter[int]) -> None:
    """Requests with keys that nobody has, at a rate, until cancelled."""
    async with PooledTransport(total_timeout_s=60.0) as transport, asyncio.TaskGroup() as group:

        async def ask(n: int) -> None:
            answer = await transport.request(
                "POST",
                f"{stack.gateway}/v1/events",
                headers={
                    "Authorization": f"Bearer pruuf_nobody{n % 7}_{'0' * 64}",
                    "Content-Type": "application/cloudevents+json",
                },
                body=json.dumps(event("checkin.missed", f"x{n}", contact("x", number(1)))).encode(),
            )
            answers[answer.status] += 1

        began, asked = time.monotonic(), 0
        while True:
            while asked < (time.monotonic() - began) * per_s:
                group.create_task(ask(asked))
                asked += 1
            await asyncio.sleep(_PAUSE_S)


async def _alerts(caller: Backend, first: int, count: int) -> dict[str, float]:
    """When each was posted, by number."""
    posted = {}
    for n in range(first, first + count):
        posted[number(n)] = time.time()
        await caller.post(event("checkin.missed", f"a{n}", contact(f"a{n}", number(n))))
        await asyncio.sleep(_PAUSE_S)
    return posted


async def _play(
    stack: Stack, *, half: int, per_s: float, alerts: int
) -> tuple[dict[str, float], dict[str, float], Counter[int], Crowd]:
    answers: Counter[int] = Counter()
    async with backend(stack) as caller, AsyncExitStack() as exits:
        # The first of a process take longer, whoever else is there.
        await _alerts(caller, 2 * alerts, _WARM)
        before = await _alerts(caller, 0, alerts)
        crowd = await exits.enter_async_context(Crowd(stack, half))
        flood = asyncio.create_task(_strangers(stack, per_s, answers))
        during = await _alerts(caller, alerts, alerts)
        flood.cancel()
        with suppress(asyncio.CancelledError):
            await flood
    return before, during, answers, crowd


def _crowd(stack: Stack, row: Scenario, *, half: int, per_s: float, alerts: int) -> None:
    stack.start_edge()
    stack.start_relay("relay")
    before, during, answers, crowd = asyncio.run(
        _play(stack, half=half, per_s=per_s, alerts=alerts)
    )
    posted = before | during
    wait_for(lambda: len(stack.entries("twilio")) >= len(posted), within_s=60, what="all texts")
    sent = {
        entry["to"]: datetime.fromisoformat(entry["accepted_at"]).timestamp()
        for entry in reversed(stack.entries("twilio"))
    }
    took = [[1000 * (sent[phone] - at) for phone, at in some.items()] for some in (before, during)]
    p99 = [quantiles(each, n=100)[98] for each in took]
    row.tries = len(posted)
    row.lost = len(posted.keys() - sent.keys())
    row.why = (
        f"POST → provider of alerts, p99: {p99[0]:.0f} ms alone, {p99[1]:.0f} ms among {half:,}"
        f" half requests ({crowd.cut:,} cut) and {sum(answers.values()):,} without a key"
    )
    print(f"\n{row.name}: {row.why}")
    assert set(answers) == {401}


def test_a_crowd_at_the_edge(forked: Stack, scenario: Begin) -> None:
    row = scenario(number=9, name="half requests and a flood without keys at the edge")
    _crowd(forked, row, half=300, per_s=50, alerts=25)


@pytest.mark.long
def test_a_great_crowd_at_the_edge(forked: Stack, scenario: Begin) -> None:
    row = scenario(number=9, name="5,000 half requests and a flood without keys at the edge")
    _crowd(forked, row, half=5_000, per_s=300, alerts=400)
