"""A year of a town: its time, who works for it, and what is looked at on each day."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.cli.supervisor import Process
from outbox.domain.states import Work
from tests.faults import altered
from tests.faults.billing_books import broken
from tests.faults.billing_people import Town
from tests.faults.billing_told import Told, stamp
from tests.faults.moved_time import DAY_S, MovedTime
from tests.faults.stack import Stack

_DEAD_S, _SLOW_S = 1.5, 30.0
"""So long a lease is waited for before time passes for it: after a kill, and otherwise."""
_MORNING, _LONGEST_DAY_S = clock(9), 8 * 3600.0
"""People are told by day: each day is looked at between nine and five, in UTC as they live."""

_PARTITIONS = 21
"""Days; the audit wants to see some ahead."""
_LIST_EVERY_S = 300.0
_READ_LATELY = f"""
SELECT read_at > now() - interval '{_LIST_EVERY_S} seconds'
FROM billing_cursor WHERE name = 'events'
"""
# In one look, as work goes from one to the other. Whether an app acknowledges its push, for which
# it has days, is no matter of billing.
_OPEN = f"""
SELECT (SELECT count(*) FROM inbox WHERE done_at IS NULL),
  CASE WHEN %s THEN (
    SELECT count(*) FROM billing_told t WHERE NOT EXISTS (
      SELECT FROM billing_notice n
      WHERE (n.shard, n.account, n.what, n.period) = (t.shard, t.account, t.what, t.period)))
    ELSE 0 END,
  count(*), count(*) FILTER (WHERE owner IS NOT NULL OR due_at <= now()),
  extract(epoch FROM min(due_at) - now())::float8
FROM due WHERE due_at < 'infinity' AND work NOT IN ({Work.AWAIT:d}, {Work.ASK:d})
"""


class Year:
    """Nobody is told anything before the relays know what happened, as a day passes in a moment."""

    def __init__(
        self,
        stack: Stack,
        moved: MovedTime,
        town: Town,
        rows: psycopg.Connection,
        held: Path,
        *,
        relays: int,
    ) -> None:
        """``held``: the file of `altered.HELD`."""
        self.stack, self.moved, self.town, self._held = stack, moved, town, held
        # One connection: a server under libfaketime takes its time to make one.
        self._rows = rows
        self._started = self._day = self._partitions_until = 0
        tomorrow = datetime.fromtimestamp(self.now(), UTC).date() + timedelta(days=1)
        self._first = datetime.combine(tomorrow, _MORNING, UTC).timestamp()
        self._hold()
        stack.environ[altered.HELD] = str(held)
        self.relays = [self._start() for _ in range(relays)]
        self.kills = 0
        self._died = False
        self.told = Told(town)
        self.wrong: list[str] = []
        self.took: dict[str, float] = defaultdict(float)

    def _start(self) -> Process:
        self._started += 1
        return self.stack.start_relay(f"relay-{self._started}")

    def _kill(self) -> None:
        self.relays.pop(0).kill()
        self.kills += 1
        self._died = True
        self.relays.append(self._start())

    def _hold(self) -> None:
        self._held.touch()
        altered.untold(self._held).touch()

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.took[what] += time.monotonic() - began

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows by the owner's own connection."""
        return self._rows.execute(sql.encode()).fetchall()

    def now(self) -> float:
        """By the moved clock."""
        return time.time() + self.moved.ahead_s

    def go_to(self, day: int, chance: float) -> None:
        """Let time pass until some hour of a day; ``chance`` from 0 to 1 says which."""
        if day >= self._partitions_until:
            # Relays do so every hour of their own time, of which hardly any passes here.
            ahead = day - self._day + _PARTITIONS
            self.query(f"SELECT pruuf_make_partitions({ahead})")
            self._partitions_until = day + _PARTITIONS // 3
        self._day = day
        until = self._first + day * DAY_S + chance * _LONGEST_DAY_S
        with self._timed("passing"):
            self.moved.go(until - self.now(), stripe=self.stack.simulators)

    def day(self, day: int, *, kills: str | None, informed: bool) -> None:
        """People live, relays work, and some of them die of it.

        ``kills``: while it is ``said`` or ``told``; ``informed``: whether Stripe's list is read
        and people are told today.
        """
        with self._timed("living"):
            self.town.live(day, self.now())
        if kills == "said":
            with self._timed("killing"):
                self._kill()
        with self._timed("working"):
            self.rest()
        if informed:
            with self._timed("telling"):
                self._inform(kills=kills == "told")
        with self._timed("looking"):
            for why, accounts in broken(self.query).items():
                self._note(*(f"{each}: on day {day}: {why}" for each in accounts))

    def _inform(self, *, kills: bool) -> None:
        ((lately,),) = self.query(_READ_LATELY)
        if lately:
            # By somebody who had begun before all were held: it is read every five minutes.
            self.moved.go(_LIST_EVERY_S + 1, stripe=self.stack.simulators)
        self.told.look(self.now())
        ((at,),) = self.query("SELECT now()")
        self._held.unlink()
        if kills:
            self._kill()
        self._read_since(at)
        # In a day that passes in a moment much would be told before the list is read, which in
        # life was read five minutes ago.
        altered.untold(self._held).unlink()
        if kills:
            self._kill()
        self.rest(told=True)
        self._hold()
        now = self.now()
        self._note(*(f"{each} ({stamp(now)})" for each in self.told.judge(now, killed=kills)))

    def _note(self, *wrong: str) -> None:
        self.wrong += wrong
        for each in wrong:
            # A year is long: whoever waits for it sees at once that something is wrong.
            print(each, flush=True)

    def rest(self, *, told: bool = False, within_s: float = 240.0) -> None:
        """Wait until all that was said is carried out; ``told``: and people were told of it."""
        until = time.monotonic() + within_s
        since = time.monotonic()
        while time.monotonic() < until:
            ((inbox, untold, due, claimed, wait),) = self._rows.execute(_OPEN, (told,)).fetchall()
            if not inbox and not due and not untold:
                self._died = False
                return
            # What is not claimed waits for its time; a lease ends when its relay is dead. Those who
            # live keep theirs as long as may be: time would take it away from them.
            waited_s = time.monotonic() - since
            patient = bool(claimed or not due) and waited_s < (_DEAD_S if self._died else _SLOW_S)
            # Nor does time pass while somebody is being told: it would be a lease that ends.
            if not inbox and not untold and not patient:
                if wait is not None and wait > 0:
                    self.moved.go(wait + 0.5, stripe=self.stack.simulators)
                since = time.monotonic()
            time.sleep(0.02)
        left = self.query("SELECT lane, work, due_at - now(), owner FROM due LIMIT 20")
        msg = f"does not come to rest: {inbox} webhooks, {left}"
        raise AssertionError(msg)

    def _read_since(self, at: datetime) -> None:
        """Wait until Stripe's list was read to its end by somebody who began after this."""
        until = time.monotonic() + 120
        patience = time.monotonic() + _DEAD_S
        while time.monotonic() < until:
            ((read_at, page, lease_s),) = self.query(
                "SELECT read_at, page, extract(epoch FROM lease_until - now())::float8"
                " FROM billing_cursor WHERE name = 'events'"
            )
            if page is None and read_at is not None and read_at > at:
                return
            if time.monotonic() > patience and lease_s > 0:
                # Whoever held it is dead.
                self.moved.go(lease_s + 1, stripe=self.stack.simulators)
                patience = time.monotonic() + _DEAD_S
            time.sleep(0.02)
        pytest.fail("Stripe's list was not read")

    def catch_up(self) -> None:
        """What is late comes, and all that Stripe told and nobody brought is fetched."""
        self.stack.calm()
        for _ in range(3):
            self.moved.go(2 * DAY_S, stripe=self.stack.simulators)
            self.rest()
            self._inform(kills=False)
