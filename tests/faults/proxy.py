"""A line to Postgres that a test can slow down, stop, cut, or make lose what it says."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

_CHUNK = 65536
_HEAD = 5
_NOTIFICATION = b"A"


class _Line:
    """One connection of a client, and ours to the server."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.half_open = False


class Proxy:
    """Runs on a thread of its own; everything may be changed at any time."""

    def __init__(self, url: str) -> None:
        """``url`` is the database's."""
        self._target = urlsplit(url)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._lines: set[_Line] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.delay_s = 0.0
        """Each way."""
        self.deaf = False
        """Notifications do not come through."""
        self.refuses = False
        """New connections are cut at once."""
        self.dropped = 0
        """Notifications that did not come through."""

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """The database's, by this way."""
        user = self._target.netloc.rpartition("@")[0]
        here = self._target._replace(netloc=f"{user}@127.0.0.1:{self.port}")
        # In clear, so that what the server says can be told apart.
        return here._replace(query="sslmode=disable&gssencmode=disable").geturl()

    def stall(self) -> None:
        """Take everything and pass on nothing, on all lines, until `flow`."""
        self._call(self._flowing.clear)

    def flow(self) -> None:
        """Pass on again."""
        self._call(self._flowing.set)

    def cut(self) -> int:
        """Reset all lines; how many there were."""
        count = len(self._lines)
        self._each(_reset)
        return count

    def forget(self) -> int:
        """Make all lines half-open: ours to the server ends, the client hears nothing of it."""
        count = len(self._lines)
        self._each(_forget)
        return count

    def _each(self, what: Callable[[_Line], None]) -> None:
        def run() -> None:
            for line in list(self._lines):
                what(line)

        self._call(run)

    def _call(self, what: Callable[[], object]) -> None:
        async def run() -> None:
            what()

        self._do(run())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        for line in list(self._lines):
            _reset(line)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self.refuses:
            writer.transport.abort()
            return
        try:
            there = await asyncio.open_connection(self._target.hostname, self._target.port)
        except OSError:
            writer.transport.abort()
            return
        line = _Line(writer, there[1])
        self._lines.add(line)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(line, reader, there[1], heard=False))
                group.create_task(self._pump(line, there[0], writer, heard=True))
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._lines.discard(line)
            _reset(line)

    async def _pump(
        self,
        line: _Line,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        heard: bool,
    ) -> None:
        """``heard``: what the server says, which always comes as whole messages with a type."""
        rest = b""
        while data := await reader.read(_CHUNK):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            await self._flowing.wait()
            if line.half_open:
                if heard:
                    return
                continue
            if heard:
                data, rest = self._filtered(rest + data)
            writer.write(data)
            await writer.drain()
        if not line.half_open:
            # One end is gone: so is the line.
            _reset(line)

    def _filtered(self, data: bytes) -> tuple[bytes, bytes]:
        passed = []
        while len(data) >= _HEAD:
            length = 1 + struct.unpack_from("!i", data, 1)[0]
            if len(data) < length:
                break
            if self.deaf and data[:1] == _NOTIFICATION:
                self.dropped += 1
            else:
                passed.append(data[:length])
            data = data[length:]
        return b"".join(passed), data


def _reset(line: _Line) -> None:
    for writer in (line.client, line.server):
        with suppress(OSError):
            found = writer.get_extra_info("socket")
            if found is not None:
                # No good-bye: the other side is told that the connection is gone, as by a firewall.
                linger = struct.pack("ii", 1, 0)
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()


def _forget(line: _Line) -> None:
    line.half_open = True
    line.server.transport.abort()
