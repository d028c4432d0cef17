"""Runs the simulators under uvicorn, and ends them in order: SIGTERM or SIGINT drains, returns."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn

from outbox.simulators.app import Simulators
from outbox.simulators.asgi import DroppingProtocol
from outbox.simulators.callbacks import Callbacks, can_be_called
from outbox.simulators.credentials import Credentials
from outbox.simulators.faults import Faults
from outbox.simulators.ledger import Ledger
from outbox.simulators.ledger_reads import LedgerReads
from outbox.simulators.outcomes import Delays
from outbox.simulators.stripe import parts

_BACKLOG = 2048
_DRAIN_S = 2
_CALLBACKS_DRAIN_S = 2.0
_KEEP_ALIVE_S = 75


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


async def serve(  # noqa: PLR0913 - the settings of a simulation
    *,
    host: str,
    port: int,
    ledger: Path,
    callback: str | None = None,
    seed: int | None = None,
    sent_after_s: float = 0.05,
    final_after_s: float = 0.15,
    slow_s: float = 15.0,
    ready: Callable[[int], None] | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT or cancellation; then answer what is open, within bounds.

    ``ledger`` is a file, made when missing. ``callback`` is the base address where the app
    acknowledges pushes, and where inbound texts go. ``ready`` is told the port as soon as requests
    are answered (port 0 picks one). Raises `OSError` when it cannot listen there, `ValueError` for
    a callback that is no address.
    """
    if callback is not None and not can_be_called(callback):
        msg = f"callback: an address such as http://127.0.0.1:8080, not {callback}"
        raise ValueError(msg)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    # Inherited by its connections. asyncio itself leaves it off where the socket was made for it,
    # and each answer would then wait 40 ms for the caller's delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    port = int(listener.getsockname()[1])
    kept, callbacks = Ledger(ledger), Callbacks()
    reads = LedgerReads(ledger)
    faults, called = Faults(seed), callback.rstrip("/") if callback else None
    credentials = Credentials()
    stripe = parts.build(
        ledger=kept, callbacks=callbacks, faults=faults, credentials=credentials, app=called
    )
    app = Simulators(
        ledger=kept,
        reads=reads,
        callbacks=callbacks,
        faults=faults,
        delays=Delays(sent_s=sent_after_s, final_s=final_after_s, slow_s=slow_s),
        stripe=stripe,
        credentials=credentials,
        app=called,
    )

    def announce() -> None:
        if ready is not None:
            ready(port)

    try:
        await _serve(app, listener, announce)
    finally:
        await stripe.close()
        await callbacks.close(within_s=_CALLBACKS_DRAIN_S)
        await kept.close()
        reads.close()


async def _serve(app: Simulators, listener: socket.socket, announce: Callable[[], None]) -> None:
    config = uvicorn.Config(
        app,
        http=DroppingProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_DRAIN_S,
    )
    server = _Server(config, announce)

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
