"""Runs the app under uvicorn, and ends it in order: SIGTERM or SIGINT drains and exits 0."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

import uvicorn

from gateway.app import create_app
from gateway.connections import Crowd, Patience, Why, places, protocol
from gateway.resources import Resources
from outbox import heap
from outbox.settings import Settings

_PART_S = 1.0
"""From the signal until idle connections are closed: an answer in between ends its connection, so
that hardly anybody asks on one that is being closed, and hears nothing."""

_LAST = (b"connection", b"close")
_DRAIN_S = 10
_KEEP_ALIVE_S = 65
"""Longer than the idle time of common load balancers, so that they close first."""

_BACKLOG = 2048
_MAX_HEAD_BYTES = 64 * 1024
_HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
]
"""Of every answer; pages say what they may load themselves."""

_UNREAD_MS = 120_000
"""A peer that takes nothing of what waits for it is cut off: closing alone would wait for it."""


class _Server(uvicorn.Server):
    """Says when it serves, and leaves signals to `serve`: uvicorn would raise them again."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        heap.settle()
        self._announce()

    def part(self) -> float:
        """Let each answer be the last one of its connection; seconds until all may be closed."""
        if not self.started or not self.server_state.connections:
            return 0.0
        # Both: uvicorn makes the ones from the others once a second.
        self.config.encoded_headers = [*self.config.encoded_headers, _LAST]
        self.server_state.default_headers = [*self.server_state.default_headers, _LAST]
        return _PART_S

    def end(self) -> None:
        """Close what is idle, and finish what is open."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; `OSError` when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    # Handed down to every connection.
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)
    return listener


async def serve(settings: Settings, *, ready: Callable[[int], None] | None = None) -> None:
    """Serve until SIGTERM, SIGINT or cancellation; then finish what is open, within bounds.

    ``ready`` is told the port as soon as requests are answered (``PRUUF_PORT=0`` picks one).
    Raises `OSError` when it cannot listen there.
    """
    app = create_app(settings)
    listener = _listen(settings.host, settings.port)
    port = int(listener.getsockname()[1])

    def resources() -> Resources:
        opened: Resources = app.state.resources
        return opened

    def cut(why: Why) -> None:
        resources().metrics.connections_cut.labels(why).inc()

    crowd = Crowd(places(), cut)

    def announce() -> None:
        resources().metrics.connections.set_function(lambda: len(crowd))
        if ready is not None:
            ready(port)

    server = _Server(
        uvicorn.Config(
            app,
            http=protocol(crowd, Patience()),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            headers=_HEADERS,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_DRAIN_S,
            h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
        ),
        announce,
    )

    loop = asyncio.get_running_loop()

    def stop() -> None:
        if app.state.draining.is_set():
            # A second signal does not wait for those who are slow.
            server.force_exit = True
            server.end()
            return
        app.state.draining.set()
        loop.call_later(server.part(), server.end)

    handled = []
    for number in (signal.SIGTERM, signal.SIGINT):
        # Only the main thread may; elsewhere the caller cancels.
        with suppress(ValueError, RuntimeError, NotImplementedError):
            loop.add_signal_handler(number, stop)
            handled.append(number)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        app.state.draining.set()
        server.end()
        await serving
        raise
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
