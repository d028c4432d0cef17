"""A soak: people, apps and backends at work while providers, processes and connections fail."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec import Struct

from gateway.cli.supervisor import Process
from outbox.providers.transport import TransportFault
from outbox.simulators import magic
from tests.faults.stack import Stack
from tests.faults.traffic import Backend, UnavailableError, backend, contact

_START = datetime(2026, 11, 23, 9, tzinfo=UTC)
_MEMBERS = 300
_CALM_S = (4.0, 10.0)
"""Between two changes of what the providers do."""
_BLOWS_S = (12.0, 25.0)
"""Between two blows to a process or to connections."""
_STOPPED_S = 24.0
"""Longer than a lease."""

# Short, so that the end comes soon after the traffic's.
POLICY = """
["checkin.missed"]
steps = [
  { channel = "sms", receipt_within_s = 20, retry_within_s = 15 },
  { channel = "push", receipt_within_s = 10, retry_within_s = 20 },
  { channel = "sms", receipt_within_s = 20, retry_within_s = 60, sender = "other" },
]
["checkin.all_clear"]
steps = [
  { channel = "sms", receipt_within_s = 20, retry_within_s = 30 },
  { channel = "push", retry_within_s = 60 },
]
["checkin.confirmed"]
steps = [
  { channel = "sms", receipt_within_s = 45, retry_within_s = 90 },
  { channel = "push", retry_within_s = 90 },
]
["member.invited"]
steps = [{ channel = "sms", receipt_within_s = 45, retry_within_s = 120 }]
["contact.unreachable"]
steps = [
  { channel = "sms", receipt_within_s = 45, retry_within_s = 90 },
  { channel = "push", retry_within_s = 90 },
]
"""

_LAGGING = {"lag_ms": 3000, "fail": 0.1}
_TWILIO: tuple[dict[str, Any], ...] = (
    {"rate": 0.0},
    {"rate": 0.2, "drop": True, "lists": _LAGGING},
    {"rate": 0.2, "drop": True, "callbacks": {"lose": 0.5}},
    {"rate": 0.5, "status": 503},
    {"rate": 1.0, "status": 503},
    {"rate": 0.3, "latency_ms": 2500, "lists": _LAGGING},
    {"rate": 0.3, "status": 429, "retry_after": 3},
    {"rate": 0.0, "callbacks": {"lose": 0.3, "duplicate": 0.3, "shuffle": True}},
    {"rate": 0.1, "drop": True, "callbacks": {"delay_ms": 8000, "shuffle": True}},
)
_FCM: tuple[dict[str, Any], ...] = (
    {"rate": 0.0},
    {"rate": 0.5, "status": 503},
    {"rate": 0.5, "status": 429, "retry_after": 3},
    {"rate": 0.2, "drop": True},
    {"rate": 0.0, "callbacks": {"lose": 0.3, "duplicate": 0.3, "delay_ms": 3000}},
)
_OUTCOMES = {
    "delivered": 60,
    "drop": 4,
    "early": 4,
    "shuffled": 4,
    "contradicted": 3,
    "flaky": 4,
    "slow": 1,
    "no_receipt": 3,
    "sent_only": 3,
    "undelivered_30003": 3,
    "undelivered_30005": 2,
    "undelivered_30007": 2,
    "undelivered_30008": 2,
    "landline": 3,
    "opted_out": 2,
}
_DEVICES = {"": 50, "delivered": 35, "silent": 5, "unregistered": 5, "flaky": 5}


class Person(Struct):
    """A Contact."""

    id: str
    phone: str
    outcome: str


class Played(Struct):
    """What was done and what came of it."""

    events: int = 0
    promised: dict[UUID, str] = {}
    """Notifications of every 202, with their recipient."""
    refused: int = 0
    blows: Counter[str] = Counter()
    in_flight: int = 0
    """Claims in the hands of relays at their kills and stops."""
    actions: Counter[str] = Counter()


class Soak:
    """One soak of a stack that runs with two relays."""

    def __init__(self, stack: Stack, relays: list[Process], *, seed: int) -> None:
        self._stack = stack
        self._relays = relays
        self._chance = random.Random(seed)
        self._used: Counter[str] = Counter()
        self._circles = [self._circle(n) for n in range(_MEMBERS)]
        self._until = 0.0
        self._stopped: Process | None = None
        self.played = Played()

    def _pick(self, weights: dict[str, int]) -> str:
        return self._chance.choices(list(weights), weights=list(weights.values()))[0]

    def _circle(self, member: int) -> list[Person]:
        circle = []
        for place in range(self._chance.randint(1, 3)):
            outcome = self._pick(_OUTCOMES)
            phone = magic.number(outcome, self._used[outcome])
            self._used[outcome] += 1
            circle.append(Person(f"c{member}-{place}", phone, outcome))
        return circle

    async def play(self, minutes: float) -> None:
        """Play so long; afterwards everything runs and nothing fails."""
        self._until = time.monotonic() + minutes * 60
        async with backend(self._stack) as caller:
            await caller.devices(self._tokens())
            async with asyncio.TaskGroup() as group:
                group.create_task(self._providers_fail())
                group.create_task(self._processes_fail())
                for worker in range(4):
                    group.create_task(self._people(caller, worker))
        await asyncio.to_thread(self._stack.calm)

    def _tokens(self) -> list[tuple[str, str]]:
        people = [person for circle in self._circles for person in circle]
        kinds = [(person.id, self._pick(_DEVICES), n) for n, person in enumerate(people)]
        return [(one, magic.token(kind, n)) for one, kind, n in kinds if kind]

    def _going_on(self) -> bool:
        return time.monotonic() < self._until

    async def _pause(self, bounds: tuple[float, float]) -> None:
        left = max(0.0, self._until - time.monotonic())
        await asyncio.sleep(min(self._chance.uniform(*bounds), left))

    # Faults.

    async def _providers_fail(self) -> None:
        while self._going_on():
            for provider, kinds in (("twilio", _TWILIO), ("fcm", _FCM)):
                fault = {"provider": provider, **self._chance.choice(kinds)}
                await asyncio.to_thread(self._stack.faults, **fault)
            await self._pause(_CALM_S)

    async def _processes_fail(self) -> None:
        while self._going_on():
            await self._pause(_BLOWS_S)
            blow = self._chance.choice(["kill", "stop", "connections"])
            self.played.blows[blow] += 1
            await getattr(self, f"_{blow}")()

    def _held(self) -> int:
        query = "SELECT count(*) FROM due WHERE owner IS NOT NULL"
        return int(self._stack.query(query)[0][0])

    async def _kill(self) -> None:
        place = self._chance.randrange(len(self._relays))
        await asyncio.to_thread(self._relays[place].kill)
        self.played.in_flight += await asyncio.to_thread(self._held)
        name = f"relay-{place}-{self.played.blows['kill']}"
        self._relays[place] = await asyncio.to_thread(self._stack.start_relay, name)

    async def _stop(self) -> None:
        relay = self._chance.choice(self._relays)
        os.kill(relay.pid, signal.SIGSTOP)
        self.played.in_flight += await asyncio.to_thread(self._held)
        try:
            await asyncio.sleep(_STOPPED_S)
        finally:
            os.kill(relay.pid, signal.SIGCONT)

    async def _connections(self) -> None:
        query = (
            "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity"
            " WHERE application_name LIKE 'pruuf%' AND datname = current_database()"
            " ORDER BY random() LIMIT 4) chosen"
        )
        await asyncio.to_thread(self._stack.query, query)

    # People.

    async def _people(self, caller: Backend, worker: int) -> None:
        while self._going_on():
            what = self._pick(
                {"confirm": 45, "miss": 25, "invite": 10, "cancel": 6, "redrive": 2, "text": 4}
            )
            try:
                await getattr(self, f"_{what}")(caller)
            except (TransportFault, UnavailableError):
                # An action of a person, who would try again; events are tried until they are in.
                self.played.refused += 1
            await asyncio.sleep(self._chance.uniform(0.1, 0.3))

    def _now(self) -> str:
        """The backend's time: it passes a second with each event."""
        return (_START + timedelta(seconds=self.played.events)).isoformat()

    async def _event(self, caller: Backend, kind: str, subject: str, data: dict[str, Any]) -> None:
        self.played.events += 1
        one = {
            "specversion": "1.0",
            "id": f"soak-{self.played.events}",
            "source": "soak",
            "type": kind,
            "time": _START.isoformat(),
            "subject": subject,
            "data": data,
        }
        while True:
            try:
                accepted = await caller.post(one)
            except (TransportFault, UnavailableError):
                self.played.refused += 1
                await asyncio.sleep(0.3)
                continue
            self.played.promised |= {i: who for who, i in accepted.notifications.items()}
            return

    async def _checkin(self, caller: Backend, kind: str, when: str) -> None:
        n = self._chance.randrange(_MEMBERS)
        await self._event(
            caller,
            kind,
            f"m{n}",
            {
                "member": {"id": f"m{n}", "name": "Alice", "phone": "+12025550123"},
                "contacts": [
                    {**contact(0, person.phone), "id": person.id} for person in self._circles[n]
                ],
                when: self._now(),
            },
        )

    async def _confirm(self, caller: Backend) -> None:
        await self._checkin(caller, "checkin.confirmed", "at")

    async def _miss(self, caller: Backend) -> None:
        await self._checkin(caller, "checkin.missed", "due_at")

    async def _invite(self, caller: Backend) -> None:
        outcome = self._pick(_OUTCOMES)
        phone = magic.number(outcome, self._used[outcome])
        self._used[outcome] += 1
        data = {
            "inviter": {"id": "c0", "name": "Bob"},
            "invitee": {"name": "Carol", "phone": phone},
            "code": "HX7-2QK",
        }
        await self._event(caller, "member.invited", f"i{self.played.events}", data)

    def _recent(self) -> UUID | None:
        known = list(self.played.promised)[-40:]
        return self._chance.choice(known) if known else None

    async def _cancel(self, caller: Backend) -> None:
        one = self._recent()
        if one is not None:
            self.played.actions[await caller.cancel(one)] += 1

    async def _redrive(self, caller: Backend) -> None:
        one = self._recent()
        if one is not None:
            self.played.actions[await caller.redrive(one)] += 1

    async def _text(self, _: Backend) -> None:
        circle = self._chance.choice(self._circles)
        body = self._chance.choice(["STOP", "START", "START", "please stop texting me", "ok"])
        await asyncio.to_thread(self._stack.text_us, circle[0].phone, body)
