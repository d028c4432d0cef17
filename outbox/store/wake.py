"""Wakes relays after a commit: debounced NOTIFY on a connection of its own.

Never inside a transaction (NOTIFY serialises commits). A lost wake-up costs a poll interval.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import psycopg

from outbox.store.connect import Connection

_log = logging.getLogger(__name__)

CHANNEL = "pruuf"
_DEBOUNCE_S = 0.01
_URGENT = frozenset({"lane:0", "inbox"})


class Waker:
    """Call `wake` as often as you like: at most one NOTIFY per lane and 10 ms goes out."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        """``connect`` opens the connection when the first word is to be said."""
        self._connect = connect
        self._connection: Connection | None = None
        self._pending: set[str] = set()
        self._urgent = asyncio.Event()
        self._any = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start."""
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop; what was not said is found by polling."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._connection is not None:
            await self._connection.close()

    def wake(self, lane: int) -> None:
        """Something is due in this lane."""
        self._say(f"lane:{lane}")

    def wake_inbox(self) -> None:
        """A callback waits to be applied."""
        self._say("inbox")

    def _say(self, word: str) -> None:
        self._pending.add(word)
        self._any.set()
        if word in _URGENT:
            self._urgent.set()

    async def _run(self) -> None:
        # Said at once after a quiet time: only what follows on its heels waits and is gathered.
        quiet_from = 0.0
        while True:
            await self._any.wait()
            rest_s = quiet_from - time.monotonic()
            if rest_s > 0 and not self._urgent.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(rest_s):
                        await self._urgent.wait()
            quiet_from = time.monotonic() + _DEBOUNCE_S
            self._any.clear()
            self._urgent.clear()
            words, self._pending = sorted(self._pending), set()
            await self._notify(words)

    async def _notify(self, words: list[str]) -> None:
        try:
            if self._connection is None or self._connection.closed:
                self._connection = await self._connect()
            await self._connection.execute(
                "SELECT pg_notify(%s, word) FROM unnest(%s::text[]) word",
                (CHANNEL, words),
            )
        except psycopg.Error as error:
            _log.warning("relays were not woken (%s); they poll", type(error).__name__)
            if self._connection is not None:
                await self._connection.close()
            self._connection = None
            await asyncio.sleep(_DEBOUNCE_S)
