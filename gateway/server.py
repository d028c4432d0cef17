"""Runs the app under uvicorn, and ends it in order: SIGTERM or SIGINT drains and exits 0."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

import uvicorn

from gateway.app import create_app
from outbox.settings import Settings

_DRAIN_S = 10
_KEEP_ALIVE_S = 65
"""Longer than the idle time of common load balancers, so that they close first."""

_BACKLOG = 2048
_MAX_HEAD_BYTES = 64 * 1024


class _Server(uvicorn.Server):
    """Says when it serves, and leaves signals to `serve`: uvicorn would raise them again."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; `OSError` when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


async def serve(settings: Settings, *, ready: Callable[[int], None] | None = None) -> None:
    """Serve until SIGTERM, SIGINT or cancellation; then finish what is open, within bounds.

    ``ready`` is told the port as soon as requests are answered (``PRUUF_PORT=0`` picks one).
    Raises `OSError` when it cannot listen there.
    """
    app = create_app(settings)
    listener = _listen(settings.host, settings.port)
    port = int(listener.getsockname()[1])

    def announce() -> None:
        if ready is not None:
            ready(port)

    server = _Server(
        uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_DRAIN_S,
            h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
        ),
        announce,
    )

    def stop() -> None:
        # A second signal does not wait for those who are slow.
        server.force_exit = server.should_exit
        server.should_exit = True

    loop = asyncio.get_running_loop()
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
        stop()
        await serving
        raise
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
