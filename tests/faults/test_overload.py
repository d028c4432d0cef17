"""More than can be done: load is shed before anything runs out, and alerts keep their share."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.cli.supervisor import Process
from outbox.domain.outcomes import Result
from outbox.providers.transport import PooledTransport
from outbox.relay import parts
from tests.faults import altered
from tests.faults.conftest import Begin
from tests.faults.judge import judge
from tests.faults.stack import Stack, day, number, wait_for
from tests.faults.table import Scenario

_BATCH = 500
_SLOTS = sum([*parts._SAFETY_SLOTS.values(), *parts._OTHER_SLOTS.values()])
_RELAYS = 2
_RELAY_CONNECTIONS = (
    "SELECT count(*), count(*) FILTER (WHERE state LIKE 'idle in transaction%%' AND"
    " now() - state_change > interval '1 second') FROM pg_stat_activity"
    " WHERE application_name LIKE 'pruuf-relay%%' AND datname = current_database()"
)

_UNKNOWN_ALERTS = (
    "SELECT count(*) FROM attempt a JOIN notification n ON n.shard = a.shard AND n.id ="
    " a.notification WHERE a.what = 'send' AND n.kind = 'checkin.missed'"
    f" AND (a.stale OR a.result = '{Result.OUTCOME_UNKNOWN}')"
)
"""Calls of which nobody heard in time what came of them: an alert is sent again then."""


class Flood:
    """Posts batches of confirmations and, now and then, an alert, all at the same time."""

    def __init__(self, stack: Stack, transport: PooledTransport) -> None:
        self._stack = stack
        self._transport = transport
        self.batches: Counter[int] = Counter()
        self.alerts: Counter[int] = Counter()
        self.accepted: set[int] = set()
        self.alerted: set[int] = set()
        self.longest_s = 0.0
        """Until an alert had its answer."""
        self.without_retry_after = 0

    async def _post(self, body: object, media_type: str) -> int:
        answer = await self._transport.request(
            "POST",
            f"{self._stack.gateway}/v1/events",
            headers={"Authorization": f"Bearer {self._stack.key}", "Content-Type": media_type},
            body=json.dumps(body).encode(),
        )
        self.without_retry_after += answer.status == 503 and "retry-after" not in answer.headers
        return answer.status

    async def batch(self, events: list[dict[str, Any]]) -> None:
        status = await self._post(events, "application/cloudevents-batch+json")
        self.batches[status] += 1
        if status == 202:
            self.accepted |= {int(event["id"][1:]) for event in events}

    async def alert(self, event: dict[str, Any]) -> None:
        began = time.monotonic()
        status = await self._post(event, "application/json")
        self.longest_s = max(self.longest_s, time.monotonic() - began)
        self.alerts[status] += 1
        if status == 202:
            self.alerted.add(int(event["id"][1:]))


def _batches(
    events: Iterator[dict[str, Any]], size: int = _BATCH
) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(events, size)):
        yield batch


def _memory_mib(process: Process) -> float:
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024


def _alerts(run: str, first: int, count: int) -> Iterator[dict[str, Any]]:
    """Alerts whose numbers follow those of the flood."""
    yield from islice(day(run, first + count, alerts_per_hundred=100), first, None)


async def _flood(stack: Stack, *, batches: int, size: int, alerts: int, locked_s: float) -> Flood:
    """More than may wait, while nothing can be committed."""
    async with PooledTransport(total_timeout_s=180.0) as transport:
        flood = Flood(stack, transport)
        confirmations = day("flood", batches * size, alerts_per_hundred=0)
        missed = _alerts("flood", batches * size, alerts)
        locker = await psycopg.AsyncConnection.connect(stack.database_url)
        async with locker, asyncio.TaskGroup() as group:
            await locker.execute("LOCK TABLE event IN EXCLUSIVE MODE")
            for batch in _batches(confirmations, size):
                group.create_task(flood.batch(batch))
            until = time.monotonic() + locked_s
            for alert in missed:
                group.create_task(flood.alert(alert))
                await asyncio.sleep(max(0.0, until - time.monotonic()) / alerts)
            # Only when what is too much has been refused.
            while not flood.batches[503] and time.monotonic() < until + 30:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            await locker.rollback()
    return flood


def _shed(
    stack: Stack, row: Scenario, *, batches: int, size: int, alerts: int, locked_s: float
) -> None:
    _, gateway = stack.start_edge()
    stack.start_relay("relay")
    before = _memory_mib(gateway)
    flooded = _flood(stack, batches=batches, size=size, alerts=alerts, locked_s=locked_s)
    flood = asyncio.run(flooded)
    grown = _memory_mib(gateway) - before
    ledger = _delivered(stack, [*flood.accepted, *flood.alerted], within_s=120)
    row.tries = batches * size + alerts
    row.lost = sum(not ledger["twilio", number(n)] for n in flood.accepted | flood.alerted)
    row.duplicated = sum(times - 1 for times in ledger.values())
    row.why = (
        f"{flood.batches[503]} of {batches} batches refused, {flood.alerts[503]} of {alerts}"
        f" alerts, answered within {flood.longest_s:.1f} s; {grown:.0f} MiB more in use"
    )
    print(f"\n{row.name}: {row.why}")
    assert set(flood.batches) == {202, 503}
    assert flood.alerts == {202: alerts}, "an alert was refused in a flood of confirmations"
    assert flood.without_retry_after == 0
    assert grown < 500


def _delivered(
    stack: Stack, numbers: Iterable[int], *, within_s: float
) -> Counter[tuple[str, str]]:
    wait_for(
        lambda: stack.query("SELECT count(*) FROM due WHERE work = 0") == [(0,)],
        within_s=within_s,
        what="nothing left to send",
    )
    return stack.ledger()


def test_a_flood_is_shed_and_every_alert_is_accepted(forked: Stack, scenario: Begin) -> None:
    row = scenario(number=15, name="more than may wait, while nothing can be committed")
    forked.environ[altered.WAITING] = "1000"
    _shed(forked, row, batches=44, size=50, alerts=20, locked_s=2.0)


@pytest.mark.long
def test_a_great_flood_is_shed(forked: Stack, scenario: Begin) -> None:
    row = scenario(number=15, name="five times what may wait, while nothing can be committed")
    _shed(forked, row, batches=200, size=_BATCH, alerts=100, locked_s=6.0)


def test_a_slow_provider_holds_no_database_connection(forked: Stack, scenario: Begin) -> None:
    row = scenario(number=15, name="a slow provider with 300 calls in flight")
    forked.start_edge()
    forked.start_relay("relay")
    forked.faults(provider="twilio", latency_ms=3_000)
    with psycopg.connect(forked.database_url, autocommit=True) as watcher:

        def connections() -> tuple[Any, ...]:
            return watcher.execute(_RELAY_CONNECTIONS).fetchall()[0]

        wait_for(lambda: connections()[0] > 5, within_s=30, what="the relay's connections")
        time.sleep(0.5)
        asyncio.run(_post_all(forked, day("slow", 300, alerts_per_hundred=30)))
        in_flight = "SELECT count(*) FROM due WHERE owner IS NOT NULL"
        wait_for(
            lambda: watcher.execute(in_flight).fetchall()[0][0] > 200,
            within_s=30,
            what="calls in flight",
        )
        seen = []
        for _ in range(20):
            seen.append(connections())
            time.sleep(0.05)
    forked.calm()
    forked.wait_until_final(within_s=90)
    row.tries = 300
    most = max(count for count, _ in seen)
    row.why = f"{most} connections of the relay, none of them in a transaction"
    # One for each part, whatever is in flight.
    assert most <= 20
    assert max(held for _, held in seen) == 0


async def _post_all(stack: Stack, events: Iterator[dict[str, Any]]) -> None:
    async with PooledTransport(total_timeout_s=180.0) as transport:
        flood = Flood(stack, transport)
        for batch in _batches(events):
            await flood.batch(batch)
    assert set(flood.batches) == {202}


def _drain(stack: Stack, row: Scenario, *, count: int, alerts: int, within_s: float) -> None:
    """All of it is due when the first relay comes; alerts came last."""
    stack.start_edge()
    asyncio.run(_post_all(stack, day("drain", count - alerts, alerts_per_hundred=0)))
    asyncio.run(_post_all(stack, _alerts("drain", count - alerts, alerts)))
    began = time.monotonic()
    for n in range(_RELAYS):
        stack.start_relay(f"relay-{n}")
    most, connections = 0, 0
    with psycopg.connect(stack.database_url, autocommit=True) as watcher:
        busy = "SELECT count(*) FILTER (WHERE owner IS NOT NULL), count(*) FROM due"
        left = count
        while left:
            assert time.monotonic() < began + within_s, f"{left} left"
            held, left = watcher.execute(busy).fetchall()[0]
            most = max(most, held)
            connections = max(connections, watcher.execute(_RELAY_CONNECTIONS).fetchall()[0][0])
            time.sleep(0.1)
    took = time.monotonic() - began
    order = [entry["to"] for entry in stack.entries("twilio")]
    urgent = {number(n) for n in range(count - alerts, count)}
    last = max(place for place, to in enumerate(order) if to in urgent)
    row.tries = count
    row.lost = count - len(set(order))
    verdict = judge(stack)
    doubled = verdict.doubled.get("twilio", {})
    row.duplicated = sum(doubled.values())
    row.explained = min(doubled.get("checkin.missed", 0), stack.query(_UNKNOWN_ALERTS)[0][0])
    row.recovered_s = took
    row.why = (
        f"{alerts} alerts, which came last, were out when {100 * last / count:.0f} % of all were;"
        f" {count / took:.0f}/s; at most {most} claims and {connections} connections at once;"
        f" {len(order) - len(set(order)) - row.duplicated} told by a second text, as no receipt"
        " came in time"
    )
    print(f"\n{row.name}: {row.why}")
    assert verdict.agrees(), verdict
    assert last < count / 2
    assert most <= _SLOTS * _RELAYS
    assert connections <= 20 * _RELAYS


def test_what_is_due_after_an_outage_drains_alerts_first(forked: Stack, scenario: Begin) -> None:
    row = scenario(number=15, name="3,000 due after an outage")
    _drain(forked, row, count=3_000, alerts=150, within_s=120)


@pytest.mark.long
def test_a_great_many_due_after_an_outage_drain_alerts_first(
    forked: Stack, scenario: Begin
) -> None:
    """PRUUF_DRAIN_EVENTS says how many."""
    count = int(os.environ.get("PRUUF_DRAIN_EVENTS", "100000"))
    row = scenario(number=15, name=f"{count:,} due after an outage")
    _drain(forked, row, count=count, alerts=count // 50, within_s=count / 50)
