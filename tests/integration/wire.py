"""A stream over a socket of its own: lines go in and answers come out as it pleases a test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Self

import httpx

from .conftest import NDJSON

PATH = "/v1/events/stream"


def ndjson_of(events: Iterable[Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in events)


class Wire:
    """One stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._rest = b""

    @classmethod
    @asynccontextmanager
    async def open(cls, client: httpx.AsyncClient) -> AsyncIterator[Self]:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write(
            f"POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            f"Authorization: {client.headers['Authorization']}\r\n"
            f"Content-Type: {NDJSON}\r\n\r\n".encode(),
        )
        try:
            yield cls(reader, writer)
        finally:
            writer.close()

    def send(self, data: bytes) -> None:
        self.writer.write(b"%x\r\n%b\r\n" % (len(data), data) if data else b"0\r\n\r\n")

    async def flood(self, data: bytes) -> None:
        """Send as much as would fill every buffer on the way many times, and read nothing."""
        for _ in range(10_000):
            self.send(data)
            await asyncio.wait_for(self.writer.drain(), 60)

    async def head(self) -> bytes:
        return await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 60)

    async def answer(self) -> Any:  # noqa: ANN401 - JSON
        """The next line; null at the orderly end."""
        while b"\n" not in self._rest:
            size = await asyncio.wait_for(self._reader.readline(), 60)
            if not size.strip(b"\r\n0"):
                assert size.startswith(b"0"), "the connection broke off"
                assert not self._rest
                return None
            self._rest += (await self._reader.readexactly(int(size, 16) + 2))[:-2]
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)
