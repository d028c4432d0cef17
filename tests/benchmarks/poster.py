"""Posts unique events in a loop per connection: the generator where wrk is missing.

Prints one line of JSON, as ``events.lua`` does. The key comes in ``PRUUF_API_KEY``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop

from outbox.providers.transport import PooledTransport, TransportFault
from tests.benchmarks.events import BATCH, SINGLE, batch, filled

_ACCEPTED = range(200, 300)


class Poster:
    """What all connections of this process share."""

    def __init__(self, url: str, template: str, *, size: int, first: int, key: str) -> None:
        """``first`` keeps the numbers of several processes apart."""
        self._url = url
        self._template = template
        self._size = size
        self._next = first
        self._headers = {
            "authorization": f"Bearer {key}",
            "content-type": SINGLE if size == 1 else BATCH,
        }
        self.latencies: list[float] = []
        self.refused = 0
        self.broken = 0

    def _body(self) -> bytes:
        number, self._next = self._next, self._next + self._size
        if self._size == 1:
            return filled(self._template, number).encode()
        return batch(self._template, range(number, number + self._size))

    async def post_until(self, transport: PooledTransport, until: float) -> None:
        """One connection's loop."""
        while (started := time.perf_counter()) < until:
            try:
                answer = await transport.request(
                    "POST", self._url, headers=self._headers, body=self._body()
                )
            except TransportFault:
                self.broken += 1
                continue
            if answer.status in _ACCEPTED:
                self.latencies.append(time.perf_counter() - started)
            else:
                self.refused += 1


async def run(poster: Poster, *, connections: int, seconds: float) -> dict[str, float]:
    """Post for a while; the figures."""
    started = time.perf_counter()
    async with PooledTransport() as transport, asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(poster.post_until(transport, started + seconds))
    ordered = sorted(poster.latencies) or [0.0]
    return {
        "requests": len(poster.latencies),
        "refused": poster.refused,
        "broken": poster.broken,
        "seconds": time.perf_counter() - started,
        "p50_s": ordered[len(ordered) // 2],
        "p99_s": ordered[int(len(ordered) * 0.99)],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run as a process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("template", type=Path)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--first", type=int, required=True)
    given = parser.parse_args(arguments)
    poster = Poster(
        given.url,
        given.template.read_text(),
        size=given.batch,
        first=given.first,
        key=os.environ["PRUUF_API_KEY"],
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(
            run(poster, connections=given.connections, seconds=given.seconds),
        )
    print(msgspec.json.encode(figures).decode())


if __name__ == "__main__":
    main()
