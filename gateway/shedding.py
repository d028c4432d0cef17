"""Sheds load at the door: a request whose body finds no room is asked to come back.

Long bodies and short ones have rooms of their own, so that batches never keep out an alert. Room
is held until the answer: what was read is also waited with.
"""

from __future__ import annotations

from litestar.connection import Request
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from gateway import problems
from gateway.failures import unavailable

_SHORT = 64 * 1024
_UNKNOWN = 1024 * 1024
"""What a body without a length, or with one that is no number, counts for: the longest taken."""

_OVERHEAD = 8 * 1024
"""What any request takes beside its body."""

_LONG_ROOM = 96 * 1024 * 1024
_SHORT_ROOM = 192 * 1024 * 1024
"""More requests of the usual length than may wait for their commit, where alerts have a part that
nobody else can take: so the door is never what refuses an alert first."""


class Shedding:
    """Wraps the app."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        long_room: int = _LONG_ROOM,
        short_room: int = _SHORT_ROOM,
    ) -> None:
        """Rooms are in bytes."""
        self._app = app
        self._free = {True: long_room, False: short_room}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        size = _size(scope) if scope["type"] == ScopeType.HTTP else 0
        if not size:
            await self._app(scope, receive, send)
            return
        long = size > _SHORT
        size += _OVERHEAD
        if size > self._free[long]:
            refused = problems.response(unavailable("too much is being read and waits"))
            answer = refused.to_asgi_response(None, Request(scope, receive, send))
            await answer(scope, receive, send)
            return
        self._free[long] -= size
        try:
            await self._app(scope, receive, send)
        finally:
            self._free[long] += size


def _size(scope: HTTPScope) -> int:
    """Bytes that the body may take; 0 where there is none."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return min(int(value), _UNKNOWN) if value.isdigit() else _UNKNOWN
        if name == b"transfer-encoding":
            return _UNKNOWN
    return 0
