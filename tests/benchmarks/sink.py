"""A provider that accepts every text at once: answers like Twilio, without a framework.

In its own process (``python -m tests.benchmarks.sink PORT``) it stands in for nginx; within the
latency benchmark it tells when each call arrived.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable
from itertools import count
from typing import cast

import uvloop

Arrived = Callable[[bytes], None]

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END = b"\r\n\r\n"
COUNT_PATH = b"/count"


def answer(body: str, status: str = "201 Created") -> bytes:
    """A complete HTTP answer."""
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


class Sink(asyncio.Protocol):
    """One connection; requests are answered in the order in which they came."""

    _numbers = count(1)
    accepted = 0

    def __init__(self, arrived: Arrived | None = None) -> None:
        """``arrived`` is told the body of each request."""
        self._arrived = arrived
        self._waiting = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A relay connects."""
        # uvloop's has the methods, and is no subclass.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._waiting += data
        while (head_end := self._waiting.find(_END)) >= 0:
            head = self._waiting[:head_end]
            length = _LENGTH.search(head)
            body_end = head_end + len(_END) + (int(length[1]) if length else 0)
            if len(self._waiting) < body_end:
                return
            body = self._waiting[head_end + len(_END) : body_end]
            self._waiting = self._waiting[body_end:]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        assert self._transport is not None
        if head.split(b" ", 2)[1] == COUNT_PATH:
            self._transport.write(answer(str(Sink.accepted), "200 OK"))
            return
        if self._arrived is not None:
            self._arrived(body)
        Sink.accepted += 1
        sid = f"SM{next(self._numbers):032x}"
        self._transport.write(answer(f'{{"sid":"{sid}","status":"queued"}}'))


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", port, backlog=2048)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as main:
        main.run(serve(int(sys.argv[1])))
