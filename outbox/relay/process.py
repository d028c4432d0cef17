"""A relay process: wires the parts, runs them, and drains them on SIGTERM within a bound."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Protocol

from prometheus_client import CollectorRegistry, start_http_server

from observability.relay_metrics import RelayMetrics
from outbox.domain.references import ReferenceSigner
from outbox.domain.states import Lane
from outbox.drafts import page_draft
from outbox.providers.wiring import Providers, providers
from outbox.relay.applier import Applier
from outbox.relay.caller import Caller
from outbox.relay.clock import boot_time
from outbox.relay.database import Session
from outbox.relay.lanes import LaneWorker
from outbox.relay.listener import Listener
from outbox.relay.resolver import Resolver
from outbox.relay.settler import Settler
from outbox.relay.upkeep import Upkeep
from outbox.sealing import Sealer
from outbox.settings import Settings
from outbox.store.connect import Connection, Role, connect

_log = logging.getLogger(__name__)

DRAIN_S = 15.0
"""A provider call and its settle fit in; what is left then is claimed again after its lease."""

_SAFETY_SLOTS = {Lane.SAFETY: 96}
_OTHER_SLOTS = {Lane.CODES: 32, Lane.TRANSACTIONAL: 256, Lane.BULK: 128}


class _Part(Protocol):
    async def run(self) -> None: ...

    def stop(self) -> None: ...


class Relay:
    """All parts of one relay."""

    def __init__(self, settings: Settings, made: Providers, metrics: RelayMetrics) -> None:
        """Wire everything; nothing runs yet."""
        self._settings = settings
        self._metrics = metrics
        self._sessions: list[Session] = []
        sealer = Sealer(settings.keys, settings.lookup_keys)
        caller = Caller(
            sms=made.sms,
            push=made.push,
            pager=made.pager,
            senders=made.senders,
            sealer=sealer,
            signer=ReferenceSigner(settings.keys),
            resolver=Resolver(sms=made.sms, jitter=random.random),
            clock=boot_time,
            jitter=random.random,
        )

        def worker(name: str, slots: dict[Lane, int], poll_s: float, refill: float) -> LaneWorker:
            made_worker = LaneWorker(
                name=name,
                slots=slots,
                session=self._session(name),
                caller=caller,
                sealer=sealer,
                metrics=metrics,
                clock=boot_time,
                poll_s=poll_s,
                refill_at=refill,
            )
            made_worker.settler = Settler(
                session=self._session(f"{name}-settle"),
                page=lambda shard, summary: page_draft(sealer, shard=shard, summary=summary),
                written=made_worker.written,
                metrics=metrics,
                linger_s=0.0 if Lane.SAFETY in slots else 0.003,
            )
            return made_worker

        # The safety lane shares nothing with the others but the process.
        self._workers = [
            worker("safety", _SAFETY_SLOTS, 0.25, 0.02),
            worker("others", _OTHER_SLOTS, 1.0, 0.15),
        ]
        self._applier = Applier(
            session=self._session("inbox"),
            sealer=sealer,
            metrics=metrics,
            wake_lane=self._wake_lane,
        )
        self._listener = Listener(
            session=self._session("listen"),
            wake_lane=self._wake_lane,
            wake_inbox=self._applier.wake,
        )
        self._upkeep = Upkeep(
            session=self._session("upkeep"),
            metrics=metrics,
            in_flight=self._in_flight,
        )

    def _session(self, part: str) -> Session:
        async def open_connection() -> Connection:
            url = self._settings.require_database()
            return await connect(url, Role.RELAY, application=f"pruuf-relay-{part}")

        session = Session(open_connection, part=part, metrics=self._metrics)
        self._sessions.append(session)
        return session

    def _wake_lane(self, lane: int) -> None:
        for worker in self._workers:
            if lane in worker.lanes:
                worker.wake()

    def _in_flight(self) -> dict[int, int]:
        held: dict[int, int] = {}
        for worker in self._workers:
            held |= worker.busy()
        return held

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then drain."""
        settlers = [worker.settler for worker in self._workers if worker.settler is not None]
        parts: list[_Part] = [self._applier, self._listener, self._upkeep, *self._workers]
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
                    for worker in self._workers:
                        await worker.drain()
                    for settler in settlers:
                        settler.stop()
                    await asyncio.gather(*settling)
                    await self._upkeep.sign_off()
            for task in [*settling, *running, waiting]:
                task.cancel()
        for session in self._sessions:
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
        relay = Relay(settings, made, metrics)
        running = asyncio.create_task(relay.run(stop))
        if ready is not None:
            ready()
        await running
