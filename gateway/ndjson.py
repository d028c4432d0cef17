"""Lines of a stream, in and out, in bounded memory."""

from __future__ import annotations

import asyncio
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import IO, Self

_PIECE = 64 * 1024


class Lines:
    """Cuts bytes into numbered lines; of one that is too long nothing is kept."""

    def __init__(self, *, longest: int) -> None:
        """``longest`` line in bytes, without its end."""
        self._longest = longest
        self._rest = bytearray()
        self._too_long = False
        self._number = 0

    @property
    def following(self) -> int:
        """Number of the line that is not complete yet."""
        return self._number + 1

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes | None]]:
        """The lines that ``data`` completes, from 1; null for one that is too long.

        Empty ones count, but are left out.
        """
        first, *others = data.split(b"\n")
        self._add(first)
        for other in others:
            yield from self.end()
            self._add(other)

    def end(self) -> Iterator[tuple[int, bytes | None]]:
        """What is there is a whole line: its end came, or the end of the stream."""
        line = None if self._too_long else bytes(self._rest).strip()
        self._rest.clear()
        self._too_long = False
        self._number += 1
        if line is None or line:
            yield self._number, line

    def _add(self, data: bytes) -> None:
        if len(self._rest) + len(data) > self._longest:
            self._too_long = True
            self._rest.clear()
        if not self._too_long:
            self._rest += data


class Answers:
    """Answers on their way to the client, who may read only after having sent everything.

    They wait in memory, then in a temporary file; when that is full the writer waits.
    """

    def __init__(self, *, in_memory: int, on_disk: int) -> None:
        """Bounds in bytes."""
        self._most = in_memory
        self._on_disk = on_disk
        self._pieces: deque[bytes] = deque()
        self._waiting = 0
        self._file: IO[bytes] | None = None
        self._read_to = self._written_to = 0
        self._ended = False
        self._changed = asyncio.Condition()

    def __enter__(self) -> Self:
        """Nothing is opened before it is needed."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the file."""
        if self._file is not None:
            self._file.close()

    async def put(self, piece: bytes) -> None:
        """Add a piece; waits while there is no room."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._keep(piece))
            self._changed.notify_all()

    async def end(self) -> None:
        """Nothing will be added."""
        async with self._changed:
            self._ended = True
            self._changed.notify_all()

    async def get(self) -> bytes:
        """The next piece, in order; empty at the end."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting or self._on_file or self._ended)
            piece = self._take()
            self._changed.notify_all()
            return piece

    @property
    def _on_file(self) -> int:
        return self._written_to - self._read_to

    def _keep(self, piece: bytes) -> bool:
        # Once something is in the file, all that follows goes there too: the order must stay.
        if not self._on_file and (not self._waiting or self._waiting + len(piece) <= self._most):
            self._pieces.append(piece)
            self._waiting += len(piece)
            return True
        if self._written_to + len(piece) > self._on_disk:
            return False
        # Without a place for files the client must read while it sends.
        with suppress(OSError):
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
            self._file.seek(self._written_to)
            # A part is written anew.
            if self._file.write(piece) == len(piece):
                self._written_to += len(piece)
                return True
        return False

    def _take(self) -> bytes:
        if self._pieces:
            piece = self._pieces.popleft()
            self._waiting -= len(piece)
            return piece
        if self._file is None or not self._on_file:
            return b""
        self._file.seek(self._read_to)
        piece = self._file.read(min(_PIECE, self._on_file))
        self._read_to += len(piece)
        if not self._on_file:
            self._file.truncate(0)
            self._read_to = self._written_to = 0
        return piece
