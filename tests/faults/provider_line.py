"""A line to a provider that works, swallows everything, or answers one byte a second."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from enum import Enum, auto
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_CHUNK = 65536
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
_DRIP_S = 0.5


class Mode(Enum):
    """What happens to calls."""

    GOOD = auto()
    BLACK_HOLE = auto()
    """Connections are taken, and nothing is ever answered; the provider hears nothing."""
    SLOW_LORIS = auto()
    """An answer begins, and goes on one byte at a time for minutes; the provider hears nothing."""


class ProviderLine:
    """Runs on a thread of its own; its mode holds for connections and calls to come."""

    def __init__(self, url: str) -> None:
        """``url`` is the provider's."""
        self._target = urlsplit(url)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._open: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._mode = Mode.GOOD
        self.url = ""
        self.held = 0
        """Connections that got no answer, or none that ends."""

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._do(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def become(self, mode: Mode) -> None:
        """Change; what is open under another mode is closed."""
        self._mode = mode
        self._do(self._close_all)

    def _do(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work(), self._loop).result(30)  # type: ignore[operator]

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._close_all()

    async def _close_all(self) -> None:
        open_ = list(self._open)
        for task in open_:
            task.cancel()
        await asyncio.gather(*open_, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode is Mode.GOOD:
            host, port = self._target.hostname, self._target.port
            theirs, ours = await asyncio.open_connection(host, port)
            try:
                await asyncio.gather(_pass(reader, ours), _pass(theirs, writer))
            finally:
                ours.transport.abort()
            return
        self.held += 1
        swallowing = asyncio.create_task(_swallow(reader))
        try:
            if self._mode is Mode.SLOW_LORIS:
                writer.write(_HEAD)
                while not swallowing.done():
                    writer.write(b" ")
                    await asyncio.sleep(_DRIP_S)
            await swallowing
        finally:
            swallowing.cancel()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def _swallow(reader: asyncio.StreamReader) -> None:
    while await reader.read(_CHUNK):
        pass
