"""Numbered lines of a file or a pipe, in batches, as they come: what is there is not held back."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError

import msgspec
from msgspec import Struct

_CHUNK = 256 * 1024
_AHEAD = 4
MOST_LINES = 100
MOST_BYTES = 512 * 1024
"""Of one batch: half of what a gateway takes."""
LONGEST = 1024 * 1024
_BOM = b"\xef\xbb\xbf"


class Line(Struct, frozen=True):
    """One event."""

    number: int
    raw: bytes


class Bad(Struct, frozen=True):
    """A line that no gateway would take."""

    number: int
    why: str


async def chunks(descriptor: int) -> AsyncIterator[bytes | None]:
    """What can be read, as it comes; null when all that is there was handed out.

    Reads in a thread of its own, which a silent pipe holds but the end of the program does not
    wait for. Raises `OSError` as reading does.
    """
    queue: asyncio.Queue[bytes | OSError] = asyncio.Queue(_AHEAD)
    loop = asyncio.get_running_loop()

    def read() -> None:
        while True:
            try:
                # Not through a buffer: its lock would be held at the end of the program.
                chunk: bytes | OSError = os.read(descriptor, _CHUNK)
            except OSError as error:
                chunk = error
            putting = queue.put(chunk)
            try:
                asyncio.run_coroutine_threadsafe(putting, loop).result()
            except (RuntimeError, CancelledError):
                # The loop has ended.
                putting.close()
                return
            if not chunk or isinstance(chunk, OSError):
                return

    threading.Thread(target=read, name="input", daemon=True).start()
    while True:
        if queue.empty():
            yield None
        chunk = await queue.get()
        if isinstance(chunk, OSError):
            raise chunk
        if not chunk:
            return
        yield chunk


async def batches(source: AsyncIterator[bytes | None]) -> AsyncIterator[list[Line] | Bad]:
    """Batches of lines that hold JSON objects, and each line that does not; empty ones pass."""
    number, batch, size = 0, list[Line](), 0
    async for lines in _split(source):
        if lines is None:
            if batch:
                yield batch
                batch, size = [], 0
            continue
        for raw in lines:
            number += 1
            line = raw.strip()
            if not line:
                continue
            why = _wrong(line)
            if why is not None:
                yield Bad(number, why)
                continue
            if batch and (len(batch) == MOST_LINES or size + len(line) > MOST_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(Line(number, line))
            size += len(line)
    if batch:
        yield batch


async def _split(source: AsyncIterator[bytes | None]) -> AsyncIterator[list[bytes] | None]:
    """Whole lines of each chunk; a line that is too long is cut, so that memory stays bounded."""
    rest, first = b"", True
    async for chunk in source:
        if chunk is None:
            yield None
            continue
        if first:
            rest, first = b"", False
            chunk = chunk.removeprefix(_BOM)  # noqa: PLW2901 - the rest of it
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[: LONGEST + 1]
        yield lines
    if rest:
        yield [rest]


def _wrong(line: bytes) -> str | None:
    if len(line) > LONGEST:
        return f"longer than {LONGEST // 1024 // 1024} MiB"
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return f"is no JSON: {error}"
    except RecursionError:
        return "is nested too deeply"
    if not isinstance(value, dict):
        return "is no JSON object; one event a line is expected (NDJSON)"
    return None
