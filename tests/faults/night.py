"""A night on call: real processes, the real watcher and its pager; minutes pass in a moment.

Time passes for what is stored, which becomes older, and for the watcher's clocks. Processes live on
by the real time: their signs of life stay young, until a test ends one.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import count

import psycopg

from gateway.cli.supervisor import Process
from gateway.cli.watch import Watcher
from observability.judging import Firing, hidden
from observability.slos import definitions
from outbox.domain.canaries import EVERY_S
from outbox.providers.transport import PooledTransport
from outbox.providers.wiring import operator
from outbox.settings import load
from outbox.simulators import magic
from outbox.store import rollup
from outbox.store.connect import Role, connect
from tests.faults import altered
from tests.faults.stack import Stack, number
from tests.faults.traffic import Backend, backend, contact, event
from tests.faults.windows import LOOK_S, MINUTE_S, window_s

_BEFORE_MIN = 12
"""Minutes of an ordinary night before anything happens."""
_CANARY = "canary"
_REST_S = 0.4
"""Real time that processes get to do what is due, while a fault keeps them from it."""
_PATIENCE_S = 60.0

_FACTS = {
    # In the order in which everybody locks.
    "inbox": ("received_at", "done_at"),
    "due": ("due_at", "step_at", "receipt_until"),
    # Nobody looks for what is due before the mark.
    "lane": ("low",),
    "notification": ("created_at", "final_at", "expires_at"),
    "event": ("accepted_at",),
    "event_key": ("created_at", "expires_at"),
    "attempt": ("stored_at", "at"),
    "receipt": ("stored_at", "at"),
    "notice": ("told_at",),
    "billing_watch": ("looked_at",),
    "billing_cursor": ("read_at",),
}
_ALIVE = "(slo, outcome) = ('events', 'alive')"
_AT_REST = (
    "SELECT (SELECT count(*) FROM due WHERE owner IS NOT NULL OR due_at <= now())"
    " + (SELECT count(*) FROM inbox WHERE done_at IS NULL)"
    " + (SELECT CASE WHEN count(*) = 0 THEN 1 ELSE 0 END FROM notification"
    f" WHERE kind LIKE 'canary.%' AND created_at > now() - interval '{EVERY_S} seconds')"
)


class Night:
    """One night of one test."""

    def __init__(self, stack: Stack, caller: Backend, transport: PooledTransport) -> None:
        self.stack = stack
        self.caller = caller
        self._numbers = count(1)
        self._database = psycopg.connect(stack.database_url, autocommit=True)
        self._uncounted_s = 0
        self.processes: dict[str, Process] = {}
        self.passed_s = 0
        """Since the night began, by the clocks that are moved."""
        self.traffic = 1
        """Check-ins in a minute."""
        self.restless = False
        """A fault keeps what is due from being done: it is given a moment only."""
        self.unheard = False
        """Callbacks are refused, and come again for a while: nobody waits for those."""
        self.dead: set[str] = set()
        """Of gateway and relay: what lives no more, so that its signs of life grow old."""
        settings = load(stack.environ, cwd=stack.folder)
        self.watcher = Watcher(
            settings,
            pager=operator(settings, transport),
            pings=transport,
            say=lambda *_: None,
            clock=lambda: 1_000.0 + self.passed_s,
            wall=lambda: datetime.now(UTC) + timedelta(seconds=self.passed_s),
        )

    def start(self) -> None:
        """Providers, gateway and relay."""
        _, gateway = self.stack.start_edge()
        self.processes = {"gateway": gateway, "relay": self.stack.start_relay("relay")}

    def close(self) -> None:
        self._database.close()

    # How time passes.

    async def pass_(self, minutes: int, *, tick_s: int = LOOK_S) -> None:
        """Let minutes pass: at each tick what fell due is done, and the watcher looks.

        Check-ins come once a minute, or at each tick if that is longer.
        """
        for passed_s in range(0, minutes * MINUTE_S, tick_s):
            if passed_s % MINUTE_S == 0 and "gateway" not in self.dead:
                await self.confirm(self.traffic)
                await self._rest()
            await self.tick(tick_s)

    async def paged(self, alert: str, *, tick_s: int = LOOK_S) -> str:
        """Let time pass until somebody is called, within the window of an alert.

        One page, and the newest look has nothing else to tell a person.
        """
        known, began_s = len(self.pages()), self.passed_s
        while not (told := self.pages()[known:]):
            assert self.passed_s - began_s < window_s(alert), f"{alert}: {self.firing()}"
            if self.passed_s % MINUTE_S == 0 and "gateway" not in self.dead:
                await self.confirm(self.traffic)
                await self._rest()
            await self.tick(tick_s)
        assert len(told) == 1, told
        assert self.telling() == {alert}, self.firing()
        return told[0]

    async def tick(self, seconds: int = LOOK_S) -> None:
        """Let some time pass and look once."""
        await self.until(lambda: self._age(seconds), what="everything is made older")
        self.passed_s += seconds
        self._uncounted_s += seconds
        whole_s = self._uncounted_s - self._uncounted_s % MINUTE_S
        if whole_s:
            await asyncio.to_thread(self._age_minutes, whole_s)
            self._uncounted_s -= whole_s
            await self._count()
        await self._rest()
        await self.watcher.look()

    def _age(self, seconds: int) -> bool:
        """Make everything older; false: somebody waited for us as we did for them."""
        try:
            self._move(seconds)
        except psycopg.errors.DeadlockDetected:
            return False
        return True

    def _move(self, seconds: int) -> None:
        by = f"interval '{seconds} seconds'"
        with self._database.transaction():
            for table, columns in _FACTS.items():
                moved = ", ".join(f"{column} = {column} - {by}" for column in columns)
                # A claim has its lease by the real time.
                where = "WHERE owner IS NULL" if table == "due" else ""
                self._database.execute(f"UPDATE {table} SET {moved} {where}".encode())
            if "relay" in self.dead:
                self._database.execute(f"UPDATE relay SET seen_at = seen_at - {by}".encode())

    def _age_minutes(self, seconds: int) -> None:
        by = f"interval '{seconds} seconds'"
        kept = "false" if "gateway" in self.dead else _ALIVE
        with self._database.transaction():
            self._database.execute(f"UPDATE rollup_head SET until = until - {by}".encode())
            rows = self._database.execute(
                f"DELETE FROM rollup_minute WHERE NOT ({kept}) RETURNING *".encode()
            ).fetchall()
            into = f"INSERT INTO rollup_minute VALUES (%s, %s - {by}, %s, %s, %s, %s, %s)"
            with self._database.cursor() as cursor:
                cursor.executemany(into.encode(), rows)
        # What the watcher remembers of them is as old as they are.
        older = timedelta(seconds=seconds)
        self.watcher._counted = deque(
            (at, {slo: moment - older for slo, moment in until.items()})
            for at, until in self.watcher._counted
        )

    async def _count(self) -> None:
        if "relay" in self.dead:
            return
        url = self.stack.database_url
        async with await connect(url, Role.RELAY, application="tests-count") as connection:
            for key in rollup.waits():
                while (await rollup.count(connection, key, most=timedelta(hours=1))).behind:
                    pass

    async def _rest(self) -> None:
        if not self.restless and not self.dead:
            await self.until(self._rests, what="everything that is due is done")
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_REST_S):
                await self.until(self._rests, what="rest")

    def _rests(self) -> bool:
        if not self.unheard and self.stack.stats()["callbacks"]["waiting"]:
            return False
        return "relay" in self.dead or self.query(_AT_REST)[0][0] == 0

    async def until_gone(self, alert: str) -> None:
        """Look on until an alert does not fire any more: what ends it may take its real time.

        Of a provider that was down the next call tells that it is back, so there has to be one.
        """
        until = time.monotonic() + _PATIENCE_S
        while alert in self.firing():
            assert time.monotonic() < until, f"after {_PATIENCE_S:.0f} s still: {alert}"
            await self.pass_(1)

    async def until(self, condition: Callable[[], bool], *, what: str) -> None:
        """Wait by the real time, in which processes live; the night stands still."""
        until = time.monotonic() + _PATIENCE_S
        while not await asyncio.to_thread(condition):
            assert time.monotonic() < until, f"not within {_PATIENCE_S:.0f} s: {what}"
            await asyncio.sleep(0.02)

    # What the backend says.

    async def confirm(self, times: int, *, outcome: str = "delivered") -> None:
        """So many check-ins, each told to one Contact who has the app."""
        await self._post("checkin.confirmed", times, outcome)

    async def miss(self, times: int, *, outcome: str = "delivered") -> None:
        """So many missed check-ins, each to be told to one Contact who has the app."""
        await self._post("checkin.missed", times, outcome)

    async def _post(self, kind: str, times: int, outcome: str) -> None:
        who = [next(self._numbers) for _ in range(times)]
        if not who:
            return
        await self.caller.devices((f"c{n}", magic.token("delivered", n)) for n in who)
        phones = [number(n) if outcome == "delivered" else magic.number(outcome, n) for n in who]
        people = [contact(n, phone) for n, phone in zip(who, phones, strict=True)]
        await self.caller.post_all(
            [event(kind, n, person) for n, person in zip(who, people, strict=True)]
        )

    # What can be seen.

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Rows by the owner's own connection."""
        return self._database.execute(sql.encode()).fetchall()

    def finds(self, rows: str) -> bool:
        """Whether there are such rows: a table, and what has to hold."""
        return bool(self.query(f"SELECT FROM {rows}"))

    def pages(self) -> Sequence[str]:
        """Everything that came to the pager, by whomever it was sent."""
        return [entry["text"] for entry in self.stack.entries("operator")]

    def telling(self) -> set[str]:
        """Of what fires, what follows from nothing else that does."""
        firing = self.watcher.judged.firing
        follows = hidden(definitions(), firing)
        return {_name(each) for each in firing if each.key not in follows}

    def firing(self) -> set[str]:
        """What the newest look of the watcher saw, by name and label."""
        return {_name(each) for each in self.watcher.judged.firing}


def _name(each: Firing) -> str:
    return f"{each.name}/{each.label}".rstrip("/")


@asynccontextmanager
async def night(stack: Stack) -> AsyncIterator[Night]:
    """Everything runs, canaries come back, minutes were counted, and nobody has been called."""
    stack.environ |= {altered.AGED: "1", "PRUUF_CANARY": _CANARY}
    async with PooledTransport() as pages, backend(stack) as caller:
        made = Night(stack, caller, pages)
        try:
            await asyncio.to_thread(made.start)
            await caller.recipient(_CANARY, number(0))
            await caller.devices([(_CANARY, magic.token("delivered", 0))])
            await made.pass_(_BEFORE_MIN, tick_s=240)
            assert made.firing() == set()
            yield made
        finally:
            made.close()
