"""Bearer keys: who may call what. A dictionary look-up and one SHA-256 on the hot path.

A key is read again from the database at most 5 s after it was last read, so a revoked one stops
within that. While the database is away nobody can be recognised anew: 503, never a false 401.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.types import Guard
from msgspec import Struct
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from gateway.failures import unavailable
from gateway.problems import SCOPE, UNAUTHORIZED, Problem
from outbox.store.keys import Scope, StoredKey, parse

_log = logging.getLogger(__name__)

FRESH_S = 5.0
"""Longest time between a revocation and its effect."""

_AHEAD_S = 3.0
"""A key in use is read again in the background before it is stale: no request waits for it."""

_WITHIN_S = 5.0
"""Longest that a request waits for the answer."""

_NOTE_S = 60.0
_MOST_KNOWN = 4096
_UNKNOWN_AT_ONCE = 4

_AWAY = (psycopg.Error, DBAPIError, PoolTimeoutError, OSError)

Find = Callable[[str], Awaitable[StoredKey | None]]
Note = Callable[[str], Awaitable[None]]


class _Known(Struct):
    key: StoredKey | None
    """Null: there was no such key when we asked."""
    read_at: float
    noted_at: float = float("-inf")
    reading: bool = False


class KeyRing:
    """The keys that this process has seen, by id; bounded, and never older than `FRESH_S`."""

    def __init__(self, *, find: Find, note_use: Note, clock: Callable[[], float]) -> None:
        """``find`` reads a valid key, ``note_use`` says that it was used; monotonic ``clock``."""
        self._find = find
        self._note_use = note_use
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._reading: dict[str, asyncio.Task[_Known]] = {}
        # Made-up ids must not take all database connections.
        self._strangers = asyncio.Semaphore(_UNKNOWN_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def authorize(
        self,
        authorization: str | None,
        scope: Scope,
        *others: Scope,
    ) -> StoredKey:
        """The caller's key, or a `Problem`: 401, 403 without the scope, 503 when unknowable.

        One of ``others`` will do as well.
        """
        if authorization is None:
            raise _missing()
        kind, _, token = authorization.partition(" ")
        parsed = parse(token.strip()) if kind.lower() == "bearer" else None
        if parsed is None:
            raise _unknown()
        key_id, secret_hash = parsed
        now = self._clock()
        known = self._known.get(key_id)
        if known is None or now - known.read_at > FRESH_S:
            known = await self._read(key_id)
        key = known.key
        if key is None or not hmac.compare_digest(key.secret_hash, secret_hash):
            raise _unknown()
        self._look_after(known, key_id, now)
        if key.scopes.isdisjoint((scope, *others)):
            challenge = f'Bearer realm="pruuf", error="insufficient_scope", scope="{scope}"'
            detail = f"this key lacks the scope {scope}"
            raise Problem(SCOPE, detail, headers={"WWW-Authenticate": challenge})
        return key

    async def close(self) -> None:
        """End what runs in the background."""
        running = [*self._tasks, *self._reading.values()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _read(self, key_id: str) -> _Known:
        """Read a key for a request that waits; all that wait for the same key share one answer.

        One after the other they would each wait for a database that hangs.
        """
        reading = self._reading.get(key_id)
        if reading is None:
            reading = asyncio.get_running_loop().create_task(self._read_once(key_id))
            self._reading[key_id] = reading
            reading.add_done_callback(lambda done: self._forget(key_id, done))
        try:
            async with asyncio.timeout(_WITHIN_S):
                # Shielded: a client that goes away must not end it for the others.
                return await asyncio.shield(reading)
        except _AWAY as error:
            _log.warning("an API key cannot be checked: %s", type(error).__name__)
            detail = "the key cannot be checked while the database is away"
            raise unavailable(detail) from error

    async def _read_once(self, key_id: str) -> _Known:
        known = self._known.get(key_id)
        if known is not None and known.key is not None:
            return await self._store(key_id)
        async with self._strangers:
            return await self._store(key_id)

    def _forget(self, key_id: str, done: asyncio.Task[_Known]) -> None:
        del self._reading[key_id]
        if not done.cancelled():
            # Also where nobody waits any more: what failed was told, or does not matter.
            done.exception()

    async def _store(self, key_id: str) -> _Known:
        # Taken before the question: the answer is at least as fresh as this.
        asked_at = self._clock()
        key = await self._find(key_id)
        before = self._known.pop(key_id, None)
        known = _Known(key=key, read_at=asked_at)
        if before is not None:
            known.noted_at = before.noted_at
        self._known[key_id] = known
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        return known

    def _look_after(self, known: _Known, key_id: str, now: float) -> None:
        if now - known.noted_at > _NOTE_S:
            known.noted_at = now
            self._start(self._note(key_id))
        if now - known.read_at > _AHEAD_S and not known.reading:
            known.reading = True
            self._start(self._refresh(key_id))

    def _start(self, work: Any) -> None:  # noqa: ANN401 - a coroutine of ours
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _refresh(self, key_id: str) -> None:
        try:
            await self._store(key_id)
        except _AWAY as error:
            _log.warning("an API key was not read again: %s", type(error).__name__)
            known = self._known.get(key_id)
            if known is not None:
                known.reading = False

    async def _note(self, key_id: str) -> None:
        try:
            await self._note_use(key_id)
        except _AWAY as error:
            _log.warning("the use of an API key was not noted: %s", type(error).__name__)


def _missing() -> Problem:
    challenge = 'Bearer realm="pruuf"'
    detail = "no API key was sent"
    return Problem(UNAUTHORIZED, detail, headers={"WWW-Authenticate": challenge})


def _unknown() -> Problem:
    # The same answer whatever is wrong with the key.
    challenge = 'Bearer realm="pruuf", error="invalid_token"'
    detail = "this API key does not exist or was revoked"
    return Problem(UNAUTHORIZED, detail, headers={"WWW-Authenticate": challenge})


def requires(scope: Scope, *others: Scope) -> Guard:
    """A guard that lets pass whose key has this scope, or one of ``others``.

    The key is then ``request.auth``.
    """

    async def guard(
        connection: ASGIConnection[Any, Any, Any, Any],
        _: BaseRouteHandler,
    ) -> None:
        ring: KeyRing = connection.app.state.resources.keys
        authorization = connection.headers.get("authorization")
        connection.scope["auth"] = await ring.authorize(authorization, scope, *others)

    return guard
