"""A backend that posts all the time, remembers every answer, and holds the gateway to its word."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from psycopg import errors

from outbox.providers.transport import PooledTransport, TransportFault
from outbox.relay.clock import LEASE_S
from tests.faults.judge import judge
from tests.faults.stack import Stack, day, number
from tests.faults.table import Scenario
from tests.faults.victims import LATE, LEASES, QUESTIONS, let_pass

_LONGEST_S = 60.0
_PAUSE_S = 0.1
_CALLS_S = 6.0
"""The simulator answers at once: nobody who still knows of his claim holds it for so long."""


class Load:
    """Posts events one by one, each again until it is accepted."""

    def __init__(self, stack: Stack, run: str, *, alerts_per_hundred: int, writers: int) -> None:
        self._stack = stack
        self._events = day(run, 1_000_000, alerts_per_hundred=alerts_per_hundred)
        self._writers = writers
        self._stop = threading.Event()
        self.accepted: dict[str, int] = {}
        """Number of the recipient, by the event's id."""
        self.at: dict[int, float] = {}
        """When it was accepted, by that number; Unix seconds."""
        self.answers: Counter[int | str] = Counter()
        self.wrong: list[str] = []
        """Answers that break the contract."""
        self.longest_s = 0.0
        """Until an answer of any kind."""
        self.pause_s = 0.02

    def run(self) -> None:
        """Post until told to stop."""
        asyncio.run(self._run())

    def stop(self) -> None:
        """What was begun is still brought to its 202."""
        self._stop.set()

    def accepts(self, since: float) -> float | None:
        """When the first was accepted after this moment; null: none yet."""
        return min((at for at in list(self.at.values()) if at > since), default=None)

    async def _run(self) -> None:
        async with (
            PooledTransport(total_timeout_s=_LONGEST_S) as transport,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(self._writers):
                group.create_task(self._write(transport))

    async def _write(self, transport: PooledTransport) -> None:
        for event in self._events:
            body = json.dumps(event).encode()
            while not await self._post(transport, event, body):  # noqa: ASYNC110 - posted again
                await asyncio.sleep(_PAUSE_S)
            if self._stop.is_set():
                return
            await asyncio.sleep(self.pause_s)

    async def _post(
        self,
        transport: PooledTransport,
        event: dict[str, Any],
        body: bytes,
    ) -> bool:
        began = time.monotonic()
        url = f"{self._stack.gateway}/v1/events"
        # The key of this moment: it may be rotated.
        headers = {
            "Authorization": f"Bearer {self._stack.key}",
            "Content-Type": "application/json",
        }
        try:
            answer = await transport.request("POST", url, headers=headers, body=body)
        except TransportFault as fault:
            self.answers[fault.kind] += 1
            self.wrong.append(f"no answer: {fault.kind}")
            return False
        finally:
            self.longest_s = max(self.longest_s, time.monotonic() - began)
        self.answers[answer.status] += 1
        if answer.status == 202:
            n = int(event["id"].removeprefix("e"))
            self.accepted[json.loads(answer.body)["event_id"]] = n
            self.at[n] = time.time()
            return True
        if answer.status != 503:
            self.wrong.append(f"{answer.status}: {answer.body[:200]!r}")
        elif "retry-after" not in answer.headers:
            self.wrong.append("503 without Retry-After")
        return False


@contextmanager
def loading(
    stack: Stack,
    run: str = "load",
    *,
    alerts_per_hundred: int = 20,
    writers: int = 12,
) -> Iterator[Load]:
    """Load as long as this lasts."""
    load = Load(stack, run, alerts_per_hundred=alerts_per_hundred, writers=writers)
    thread = threading.Thread(target=load.run, daemon=True)
    thread.start()
    try:
        yield load
    finally:
        load.stop()
        thread.join(_LONGEST_S + 30)
    assert not thread.is_alive(), "an event was never accepted"


def first_delivery(stack: Stack, load: Load, since: float) -> float | None:
    """Seconds from a moment until a provider accepted something that was accepted after it."""
    sent = {entry["to"]: entry["accepted_at"] for entry in stack.entries("twilio")}
    after = [n for n, at in list(load.at.items()) if at > since and number(n) in sent]
    return min((_unix(sent[number(n)]) - since for n in after), default=None)


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def recover(stack: Stack, *, within_s: float) -> float:
    """Seconds until nothing is open. Claims whose owner never learnt of them are not waited for:
    their lease is let pass once it is old, where calls are answered at once.
    """
    old = f"{LEASES} AND due_at < now() + interval '{LEASE_S - _CALLS_S} seconds'"

    def meanwhile() -> None:
        # It locks rows in no order, as relays never do; the next look does it again.
        with suppress(errors.DeadlockDetected):
            let_pass(stack, old)
            let_pass(stack, QUESTIONS)
            let_pass(stack, LATE)

    return stack.wait_until_final(within_s=within_s, meanwhile=meanwhile)


def settle_up(stack: Stack, load: Load, row: Scenario) -> None:
    """Count what was lost or done twice; asserts that the gateway kept its word."""
    assert not load.wrong, Counter(load.wrong)
    stored = {row[0] for row in stack.query("SELECT id::text FROM event")}
    ledger = stack.ledger()
    verdict = judge(stack)
    false_202 = sum(event not in stored for event in load.accepted)
    unsent = sum(ledger["twilio", number(n)] < 1 for n in load.accepted.values())
    row.lost += false_202 + unsent + len(verdict.lost)
    row.duplicated += sum(times for kinds in verdict.doubled.values() for times in kinds.values())
    assert verdict.agrees(), str(verdict)
    assert set(verdict.states) == {"delivered"}, str(verdict)
    twice = stack.query(
        "SELECT count(*) FROM (SELECT FROM attempt WHERE what = 'send' AND NOT stale AND"
        " result = 'accepted' AND provider <> 'stripe' GROUP BY shard, notification, step"
        " HAVING count(*) > 1) AS more",
    )
    assert twice == [(0,)], "a step has two results that count"
    print(f"\n{row.name}: {len(load.accepted)} accepted, answers {dict(load.answers)}, {verdict}")
