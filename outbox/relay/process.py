"""A relay process: runs its parts, and drains them on SIGTERM within a bound."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

from prometheus_client import CollectorRegistry, start_http_server

from observability.exporting import tracing
from observability.relay_metrics import RelayMetrics
from observability.tracing import Tracer
from outbox import heap
from outbox.providers.wiring import Providers, providers
from outbox.relay.auditor import PART as AUDIT
from outbox.relay.parts import Parts
from outbox.settings import Settings
from outbox.store.connect import Connection, Role, connect

_log = logging.getLogger(__name__)

DRAIN_S = 15.0
"""A provider call and its settle fit in; what is left then is claimed again after its lease."""


class Relay:
    """All parts of one relay."""

    def __init__(
        self,
        settings: Settings,
        made: Providers,
        metrics: RelayMetrics,
        tracer: Tracer | None = None,
    ) -> None:
        """Wire everything; nothing runs yet."""
        url = settings.require_database()

        async def open_connection(part: str) -> Connection:
            role = Role.AUDITOR if part == AUDIT else Role.RELAY
            return await connect(url, role, application=f"pruuf-relay-{part}")

        self.parts = Parts(settings, made, metrics, open_connection, tracer)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then drain."""
        parts, settlers = self.parts.running, self.parts.settlers
        async with asyncio.TaskGroup() as group:
            settling = [group.create_task(settler.run()) for settler in settlers]
            running = [group.create_task(part.run()) for part in parts]
            waiting = group.create_task(stop.wait())
            await asyncio.wait([waiting, *running], return_when=asyncio.FIRST_COMPLETED)
            _log.info("draining")
            for part in parts:
                part.stop()
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_S):
                    for worker in self.parts.workers:
                        await worker.drain()
                    for settler in settlers:
                        settler.stop()
                    await asyncio.gather(*settling)
                    await self.parts.upkeep.sign_off()
            for task in [*settling, *running, waiting]:
                task.cancel()
        for session in self.parts.sessions:
            await session.drop()


async def serve(settings: Settings, *, ready: Callable[[], None] | None = None) -> None:
    """Run a relay until SIGTERM or SIGINT; returns after the drain.

    Raises SettingsError when a provider's settings are missing, OSError when the metrics port
    is taken.
    """
    metrics = RelayMetrics(CollectorRegistry())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(providers(settings))
        if settings.relay_metrics_port:
            server, thread = start_http_server(
                settings.relay_metrics_port,
                addr=settings.host,
                registry=metrics.registry,
            )
            stack.callback(thread.join)
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
        tracer = await stack.enter_async_context(
            tracing(settings.tracing, service="pruuf-relay", counts=metrics.spans),
        )
        relay = Relay(settings, made, metrics, tracer)
        running = asyncio.create_task(relay.run(stop))
        heap.settle()
        if ready is not None:
            ready()
        await running
