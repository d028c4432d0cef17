"""A raw HTTP server on loopback that answers, or fails, as it is told to, request by request."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, urlsplit

import msgspec
from msgspec import Struct


class Request(Struct, frozen=True):
    """One request as it came over the wire."""

    method: str
    target: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


Behaviour = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


def raw(content: bytes, *, then_close: bool = True) -> Behaviour:
    """Write these bytes, whatever they are."""

    async def behave(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()
        if then_close:
            writer.close()

    return behave


def answer(status: int, body: object = b"", **headers: str) -> Behaviour:
    """A complete answer; what is not bytes goes as JSON, ``retry_after`` as Retry-After."""
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    lines = [f"HTTP/1.1 {status} Any", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return raw("\r\n".join([*lines, "", ""]).encode() + content, then_close=False)


async def hang_up(_: Request, writer: asyncio.StreamWriter) -> None:
    """Take the whole request, close in order, say nothing."""
    writer.close()


async def reset(_: Request, writer: asyncio.StreamWriter) -> None:
    """Take the whole request, then break the connection."""
    writer.transport.abort()


async def silence(_: Request, __: asyncio.StreamWriter) -> None:
    """Take the whole request and never answer."""


async def drip(_: Request, writer: asyncio.StreamWriter) -> None:
    """Begin an answer, and go on a byte at a time for longer than anybody waits."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        for _byte in range(1000):
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(0.05)


class Loopback:
    """The server; keeps every request, and each takes the next behaviour, the last one for ever."""

    def __init__(self, behaviours: tuple[Behaviour, ...], tls: ssl.SSLContext | None) -> None:
        self._behaviours = list(behaviours)
        self._tls = tls
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.requests: list[Request] = []
        self.arrived = asyncio.Event()
        self.left = asyncio.Event()
        self.url = ""

    def then(self, *behaviours: Behaviour) -> None:
        """Behave like this from now on."""
        self._behaviours = list(behaviours)

    def accept(self, listener: socket.socket) -> None:
        """Take who is waiting."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            connection, _ = listener.accept()
            connection.setblocking(False)
            task = asyncio.create_task(self._taken(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _taken(self, connection: socket.socket) -> None:
        loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        # A handshake that fails is one of the things that are tried here.
        with contextlib.suppress(OSError):
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=self._tls,
            )
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            self._writers.add(writer)
            await self._connection(reader, writer)

    async def _connection(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        # The end of the stream and a broken connection are both somebody who left.
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while not writer.is_closing():
                request = await _read(reader)
                self.requests.append(request)
                self.arrived.set()
                following = self._behaviours
                behave = following.pop(0) if len(following) > 1 else following[0]
                await behave(request, writer)
        self.left.set()

    async def close(self) -> None:
        """End every connection, those too that were accepted this very moment."""
        await _turns()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        # A transport is closed some turns after it is told so; else it would outlive its loop.
        await _turns()


async def _turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    pairs = (line.split(": ", 1) for line in head[1:] if line)
    headers = {name.lower(): value for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body)


@asynccontextmanager
async def serve(
    *behaviours: Behaviour, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Loopback]:
    """Serve on a free port until the block ends.

    Not by asyncio's own server: one that closes between accepting a connection and building its
    transport leaves the transport open behind.
    """
    loop, loopback = asyncio.get_running_loop(), Loopback(behaviours, tls)
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        listener.setblocking(False)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop.add_reader(listener, loopback.accept, listener)
        port = listener.getsockname()[1]
        loopback.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        try:
            yield loopback
        finally:
            loop.remove_reader(listener)
            await loopback.close()
