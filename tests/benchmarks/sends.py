"""Sends per second of one relay process, outcome durable, beside the parts that it is made of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec
from msgspec import Struct
from psycopg import sql

from outbox.providers.transport import PooledTransport
from tests.benchmarks import usage
from tests.benchmarks.costs import Spent, cost
from tests.benchmarks.events import BATCH, batch, template
from tests.benchmarks.figures import Compared, Memory, Part, Spread, limit
from tests.benchmarks.ground import Ground, InvalidRunError
from tests.benchmarks.sinks import ProviderSink

_IN_FLIGHT = 256
"""As many as a relay has slots for in the transactional lane."""

_BATCH = 100
_ACCEPTED = 202
_LOOK_S = 0.05
_WITHIN_S = 120.0

Say = Callable[[str], None]


class _Drained(Struct, frozen=True, kw_only=True):
    """One round of a relay."""

    per_s: float
    spent: Spent
    peak_mib: float | None


class Sends:
    """A database full of what is due, of which each round gets a copy."""

    def __init__(self, ground: Ground, sink: ProviderSink, *, count: int) -> None:
        """Post ``count`` events; nobody sends them yet."""
        self._ground = ground
        self._sink = sink
        self._count = count
        self._full = ground.database()
        gateway, url = ground.gateway(self._full, providers=sink.url)
        asyncio.run(_fill(f"{url}/v1/events", key=ground.key, count=count))
        ground.end(gateway)
        # As autovacuum would have left it.
        ground.execute(ground.url(self._full), sql.SQL("VACUUM (ANALYZE)"))

    def end(self) -> None:
        """Drop what was made here."""
        self._ground.drop(self._full)

    def relay(self) -> _Drained:
        """Let a relay send everything; the sink's count proves the calls."""
        ground = self._ground
        database = ground.database(self._full)
        ground.checkpoint()
        requests = self._sink.requests()
        relay = ground.relay(database, providers=self._sink.url)
        before = self._readings(database, relay.pid)
        first_count, first_at = self._sent(database), time.monotonic()
        seconds = self._until_sent(database, first_count, first_at)
        spent = self._readings(database, relay.pid).since(before)
        peak = usage.peak_mib(relay.pid)
        ground.end(relay)
        called = self._sink.requests() - requests
        results = ground.value(database, "SELECT string_agg(DISTINCT result, ',') FROM attempt")
        if called != self._count or results != "accepted":
            msg = f"{called} calls for {self._count} notifications; results: {results}"
            raise InvalidRunError(msg)
        ground.drop(database)
        return _Drained(
            per_s=(self._count - first_count) / seconds,
            spent=spent.over(self._count),
            peak_mib=peak,
        )

    def _until_sent(self, database: str, before: int, started: float) -> float:
        """Seconds from the first outcome that is seen to the last one."""
        while (sent := self._sent(database)) < self._count:
            now = time.monotonic()
            if sent == before == 0:
                # It has not begun: what it takes to start is no part of its pace.
                started = now
            if now - started > _WITHIN_S:
                msg = f"only {sent} of {self._count} were sent within {_WITHIN_S} s"
                raise InvalidRunError(msg)
            time.sleep(_LOOK_S)
        return time.monotonic() - started

    def _sent(self, database: str) -> int:
        return int(self._ground.value(database, "SELECT count(*) FROM attempt"))

    def _readings(self, database: str, relay: int) -> Spent:
        wal_bytes, commits = self._ground.written(database)
        return Spent(
            relay_cpu_s=usage.cpu_s(relay),
            postgres_cpu_s=usage.family_cpu_s(self._ground.postgres_pid),
            tools_cpu_s=self._sink.cpu_s(),
            wal_bytes=wal_bytes,
            commits=commits,
        )

    def calls(self, what: str, *, seconds: float) -> float:
        """Calls a second of the client or the adapter alone."""
        return self._ceiling(self._full, what, "--seconds", str(seconds))

    def statements(self) -> float:
        """Claims and settles a second without a call."""
        database = self._ground.database(self._full)
        self._ground.checkpoint()
        rate = self._ceiling(database, "statements")
        self._ground.drop(database)
        return rate

    def _ceiling(self, database: str, what: str, *arguments: str) -> float:
        command = self._ground.module("tests.benchmarks.ceilings", what, *arguments)
        printed = self._ground.tool(
            [*command, "--in-flight", str(_IN_FLIGHT)],
            self._ground.environ(database, providers=self._sink.url),
        )
        return msgspec.json.decode(printed, type=dict[str, float])["per_s"]


async def _fill(url: str, *, key: str, count: int) -> None:
    """Post so many events in batches."""
    text = template("bench-due")
    headers = {"authorization": f"Bearer {key}", "content-type": BATCH}
    async with PooledTransport() as transport:
        for first in range(0, count, _BATCH):
            body = batch(text, range(first, min(first + _BATCH, count)))
            answer = await transport.request("POST", url, headers=headers, body=body)
            if answer.status != _ACCEPTED:
                msg = f"the gateway answered {answer.status} to a batch"
                raise InvalidRunError(msg)


def measure(
    ground: Ground,
    sink: ProviderSink,
    *,
    rounds: int,
    seconds: float,
    count: int,
    say: Say,
) -> Part:
    """All figures of the relay; the rounds are interleaved."""
    say(f"sends: posting {count:,} events")
    sends = Sends(ground, sink, count=count)
    drained: list[_Drained] = []
    client, adapter, statements = [], [], []
    for number in range(1, rounds + 1):
        say(f"sends: round {number} of {rounds}")
        drained.append(sends.relay())
        client.append(sends.calls("client", seconds=seconds))
        adapter.append(sends.calls("adapter", seconds=seconds))
        statements.append(sends.statements())
    sends.end()
    rates = [round_.per_s for round_ in drained]
    peaks = [round_.peak_mib for round_ in drained if round_.peak_mib is not None]
    return Part(
        compared=(
            Compared(
                name="send",
                what=f"one relay, {count:,} texts due, {_IN_FLIGHT} in flight",
                unit="sends/s",
                rate=Spread.of(rates),
                limits=(
                    limit("client", "its HTTP client alone", rates, client),
                    limit("adapter", "its Twilio adapter alone", rates, adapter),
                    limit("statements", "its claims and settles alone", rates, statements),
                ),
            ),
        ),
        costs=(cost("send", "send", [round_.spent for round_ in drained]),),
        memory=(Memory(process="relay", peak_mib=max(peaks, default=None)),),
    )
