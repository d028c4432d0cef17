"""Connections, bounded: a slow client holds no place for long, and a crowd keeps nobody out.

uvicorn waits for ever for a head or a body that does not come, and opens as many connections as the
process may have files; after that nobody gets in. Here both have an end.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from typing import Literal, cast

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.problems import INVALID, MEDIA_TYPE, SLOW, Problem, encoded
from gateway.stream import PATH as STREAM

Part = Literal["head", "body"]
Why = Literal["slow head", "slow body", "crowded"]
Cut = Callable[[Why], None]


class Patience(msgspec.Struct, frozen=True):
    """How long each part of a request may take, in seconds."""

    head: float = 10.0
    """From the connection, or the first byte of a later request, to the end of its head."""
    body: float = 30.0
    """To the end of its body, 1 MiB at most. A stream of events has a rule of its own."""


_FILES = 65_536
"""As many as are asked for of the machine's limit."""

_OTHER_FILES = 256
"""Kept free for the database, logs, and what is being opened just now."""

_MOST = 8_192
"""Connections of one process; an idle one takes some 20 kB."""


def places() -> int:
    """How many connections may be open at once; raises this process's limit of files for them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    free = _FILES if soft == resource.RLIM_INFINITY else soft
    return max(1, min(_MOST, free - _OTHER_FILES))


class Crowd:
    """All connections of one process.

    When there is no place left, one that asks nothing makes room: first who never asked anything,
    then who asked longest ago. One whose request is being read or answered is never cut for it.
    """

    def __init__(self, most: int, cut: Cut) -> None:
        """``most`` at once; ``cut`` hears why one was closed."""
        self._most = most
        self.cut = cut
        self._open: set[_Connection] = set()
        # In the order in which they fell silent; a dict, as it keeps it.
        self._strangers: dict[_Connection, None] = {}
        self._idle: dict[_Connection, None] = {}

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def enter(self, connection: _Connection) -> None:
        """A new one; it is closed itself if all others are at work."""
        self._open.add(connection)
        self._strangers[connection] = None
        if len(self._open) > self._most:
            quiet = self._strangers if len(self._strangers) > 1 else self._idle or self._strangers
            victim = next(iter(quiet))
            self.cut("crowded")
            self.leave(victim)
            victim.close()

    def asks(self, connection: _Connection) -> None:
        """A request has begun to be answered."""
        self._strangers.pop(connection, None)
        self._idle.pop(connection, None)

    def rests(self, connection: _Connection) -> None:
        """It was answered, and may ask again."""
        if connection in self._open:
            self._idle[connection] = None

    def leave(self, connection: _Connection) -> None:
        """It is closed."""
        self._open.discard(connection)
        self._strangers.pop(connection, None)
        self._idle.pop(connection, None)


class _Connection(HttpToolsProtocol):
    """uvicorn's, with an end to its patience."""

    crowd: Crowd
    patience: Patience
    _coming: Part | None = "head"
    """What has begun to come, and is not here yet."""
    _awaited: Part | None = None
    """What the timer is for."""
    _timer: asyncio.TimerHandle | None = None

    def connection_made(  # type: ignore[override]
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(transport)
        self.crowd.enter(self)
        if not transport.is_closing():
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self.crowd.leave(self)
        self._coming = None
        self._watch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Most requests come whole: no timer is set for them.
        if self._coming != self._awaited:
            self._watch()

    def on_message_begin(self) -> None:
        self._coming = "head"
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._coming = None if self.scope.get("path") == STREAM else "body"
        self.crowd.asks(self)

    def on_message_complete(self) -> None:
        self._coming = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._answering():
            self.crowd.rests(self)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words
        self._say(Problem(INVALID, "this is no HTTP/1.1 request"))

    def close(self) -> None:
        """Close it; what answers a request on it hears that its client is gone."""
        if self._answering():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _answering(self) -> bool:
        """Whether a request is being read or answered."""
        # Its type says otherwise, but there is none before the first request.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _watch(self) -> None:
        """Wait so long, and no longer, for what is coming."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._awaited = self._coming
        if self._coming is not None and not self.transport.is_closing():
            wait = getattr(self.patience, self._coming)
            self._timer = self.loop.call_later(wait, self._too_slow, self._coming)

    def _too_slow(self, part: Part) -> None:
        if self.transport.is_closing():
            return
        if self._answering() and (part == "head" or self.flow.read_paused):
            # It waits for us: for an answer, or until we read on.
            self._watch()
            return
        self.crowd.cut("slow head" if part == "head" else "slow body")
        self._say(Problem(SLOW, f"the {part} of the request did not come in time"))

    def _say(self, problem: Problem) -> None:
        """Answer in place of the app, which never saw the request whole, and close."""
        if self._answering() and self.cycle.response_started:
            self.close()
            return
        status = problem.kind.status
        body = encoded(problem)
        head = [
            f"HTTP/1.1 {status:d} {status.phrase}\r\n".encode(),
            *(b"%b: %b\r\n" % header for header in self.server_state.default_headers),
            f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n".encode(),
            b"connection: close\r\n\r\n",
        ]
        self.transport.write(b"".join(head) + body)
        self.close()


def protocol(crowd: Crowd, patience: Patience) -> type[asyncio.Protocol]:
    """What uvicorn makes one of for each connection."""
    made = type("Bounded", (_Connection,), {"crowd": crowd, "patience": patience})
    return cast("type[asyncio.Protocol]", made)
