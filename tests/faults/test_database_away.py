"""Postgres goes away for 20 s under load: no false 202, nobody restarted, everything delivered."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gateway.cli.supervisor import Supervisor
from outbox.providers.transport import PooledTransport, TransportFault
from outbox.store.embedded import EmbeddedPostgres
from outbox.store.migrate import migrate
from tests.faults.stack import Stack, day, number

_AWAY_S = 20.0
_BEFORE_S = 4.0
_AFTER_S = 4.0
_WRITERS = 16


@pytest.fixture
def own_postgres(data_dir: Path) -> Iterator[EmbeddedPostgres]:
    """A server that this test may crash."""
    folder = Path(tempfile.mkdtemp(prefix="away-", dir=data_dir))
    folder.chmod(0o711)
    server = EmbeddedPostgres(folder)
    server.ensure()
    yield server
    server.stop(mode="immediate")


class _Writers:
    """Post events one by one and remember each answer."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.accepted: dict[str, int] = {}
        self.statuses: dict[int | str, int] = {}
        self.without_retry_after = 0
        self.stop = False

    async def run(self) -> None:
        """Post until told to stop; each event again until it is accepted."""
        events = day("away", 1_000_000, alerts_per_hundred=20)
        async with PooledTransport(total_timeout_s=10.0) as transport:
            async with asyncio.TaskGroup() as group:
                for _ in range(_WRITERS):
                    group.create_task(self._write(transport, events))

    async def _write(self, transport: PooledTransport, events: Iterator[dict[str, object]]) -> None:
        headers = {
            "Authorization": f"Bearer {self._stack.key}",
            "Content-Type": "application/json",
        }
        for event in events:
            body = msgspec.json.encode(event)
            while True:
                try:
                    answer = await transport.request(
                        "POST",
                        f"{self._stack.gateway}/v1/events",
                        headers=headers,
                        body=body,
                    )
                except TransportFault as fault:
                    self._count(fault.kind)
                    await asyncio.sleep(0.2)
                    continue
                self._count(answer.status)
                if answer.status == 202:
                    n = int(str(event["id"]).removeprefix("e"))
                    self.accepted[msgspec.json.decode(answer.body)["event_id"]] = n
                    break
                self.without_retry_after += "retry-after" not in answer.headers
                await asyncio.sleep(0.2)
            if self.stop:
                return
            await asyncio.sleep(0.02)

    def _count(self, what: int | str) -> None:
        self.statuses[what] = self.statuses.get(what, 0) + 1


async def _outage(writers: _Writers, postgres: EmbeddedPostgres) -> int:
    """Load before, during and after; returns how many were accepted while it was away."""
    writing = asyncio.create_task(writers.run())
    await asyncio.sleep(_BEFORE_S)
    await asyncio.to_thread(postgres.stop, mode="immediate")
    before = len(writers.accepted)
    await asyncio.sleep(_AWAY_S)
    during = len(writers.accepted) - before
    await asyncio.to_thread(postgres.ensure)
    await asyncio.sleep(_AFTER_S)
    writers.stop = True
    await writing
    return during


def test_postgres_crashes_and_is_away_for_20_s(tmp_path: Path, own_postgres: EmbeddedPostgres) -> None:
    """What was accepted is there, and is delivered, by the same processes."""
    migrate(own_postgres.url())
    with Supervisor() as children:
        stack = Stack(tmp_path, own_postgres.url(), children)
        processes = [*stack.start_edge(), stack.start_relay("relay-a"), stack.start_relay("relay-b")]
        writers = _Writers(stack)
        during = asyncio.run(_outage(writers, own_postgres))
        started = time.monotonic()
        stack.wait_until_final(within_s=120)
        waited = time.monotonic() - started
        assert all(process.poll() is None for process in processes), "a process had to be restarted"
        stored = {row[0] for row in stack.query("SELECT id::text FROM event")}
        states = dict(stack.query("SELECT state, count(*) FROM notification GROUP BY 1"))
        ledger = stack.ledger()
    print(
        f"\n{len(writers.accepted)} accepted, {during} of them in the answer's time after the crash; "
        f"answers: {writers.statuses}; all final {waited:.0f} s after the load ended; {states}",
    )
    assert during == 0
    assert set(writers.accepted) <= stored, "a 202 was given for an event that is not there"
    assert set(states) == {"delivered"}
    assert all(ledger["twilio", number(n)] >= 1 for n in writers.accepted.values())
    assert writers.statuses.get(503, 0) > 0
    assert writers.without_retry_after == 0
    assert set(writers.statuses) <= {202, 503}
