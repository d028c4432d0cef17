"""From the POST to the provider's door while nothing else happens, event by event."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from urllib.parse import parse_qs

import uvloop

from gateway.demo.stack import free_port
from outbox.providers.transport import PooledTransport
from tests.benchmarks.events import SINGLE, filled, template
from tests.benchmarks.figures import Latency, Part
from tests.benchmarks.ground import Ground, InvalidRunError
from tests.benchmarks.sink import Sink

_ACCEPTED = 202
_ARRIVE_S = 10.0

Say = Callable[[str], None]


class Idle:
    """Posts one event after the other at a fixed pace, and is the provider too: one clock."""

    def __init__(self, url: str, *, key: str) -> None:
        """``url`` of a gateway whose relay calls `port`."""
        self._url = url
        self._headers = {"authorization": f"Bearer {key}", "content-type": SINGLE}
        run = uuid.uuid4().hex[:8]
        self._texts = (template(f"c{run}"), template(f"m{run}", missed=True))
        self._posted: dict[str, float] = {}
        self._arrived: dict[str, asyncio.Future[float]] = {}
        self.answered: list[float] = []
        self.called: tuple[list[float], list[float]] = ([], [])
        """Confirmed and missed check-ins."""

    def arrive(self, body: bytes) -> None:
        """A text came; anything else that a relay asks is of no interest."""
        number = parse_qs(body.decode()).get("To", [""])[0]
        future = self._arrived.get(number)
        if future is not None and not future.done():
            future.set_result(time.perf_counter())

    async def run(self, *, events: int, per_s: float, warm_up: int) -> None:
        """Every other one is a missed check-in."""
        started = time.perf_counter()
        async with PooledTransport() as transport, asyncio.TaskGroup() as group:
            for number in range(events + warm_up):
                await asyncio.sleep(started + number / per_s - time.perf_counter())
                group.create_task(self._one(transport, number, keep=number >= warm_up))

    async def _one(self, transport: PooledTransport, number: int, *, keep: bool) -> None:
        missed = number % 2
        arrived = asyncio.get_running_loop().create_future()
        self._arrived[f"+1998{number:07d}"] = arrived
        body = filled(self._texts[missed], number).encode()
        posted = time.perf_counter()
        answer = await transport.request("POST", self._url, headers=self._headers, body=body)
        answered = time.perf_counter()
        if answer.status != _ACCEPTED:
            msg = f"the gateway answered {answer.status}"
            raise InvalidRunError(msg)
        try:
            async with asyncio.timeout(_ARRIVE_S):
                called = await arrived
        except TimeoutError:
            msg = f"an event was accepted and its text did not come within {_ARRIVE_S:g} s"
            raise InvalidRunError(msg) from None
        if keep:
            self.answered.append(answered - posted)
            self.called[missed].append(called - posted)


def measure(ground: Ground, *, events: int, per_s: float, say: Say) -> Part:
    """The times of an idle gateway and relay."""
    say(f"latency: {events} events, {per_s:g} a second")
    database, port = ground.database(), free_port(0)
    provider = f"http://127.0.0.1:{port}"
    gateway, url = ground.gateway(database, providers=provider)
    relay = ground.relay(database, providers=provider)
    idle = Idle(f"{url}/v1/events", key=ground.key)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Sink(idle.arrive), "127.0.0.1", port)
        async with server:
            # The first ones make connections and plans; a service that runs has made them.
            await idle.run(events=events, per_s=per_s, warm_up=int(per_s))

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())
    except ExceptionGroup as failures:
        # One of many that fail for the same reason.
        raise InvalidRunError(str(failures.exceptions[0])) from failures
    for process in (relay, gateway):
        ground.end(process)
    ground.drop(database)
    confirmed, missed = idle.called
    return Part(
        latencies=(
            Latency.of("idle_answer", "POST → 202", idle.answered),
            Latency.of("idle_safety", "POST → provider called, missed check-in", missed),
            Latency.of("idle_note", "POST → provider called, confirmed check-in", confirmed),
        ),
    )
