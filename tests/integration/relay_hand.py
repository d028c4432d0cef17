"""A relay that works by hand: each claim, call, settle and second passes when a test says so.

The parts are the real ones, wired as in a process, on a real database; nothing runs by itself.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import UUID

import psycopg
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from observability.relay_metrics import RelayMetrics
from outbox.domain.breaker import Breaker
from outbox.domain.callbacks import Callback
from outbox.domain.policy import parse
from outbox.domain.references import ReferenceSigner
from outbox.domain.states import Lane
from outbox.providers.stripe import StripeBilling
from outbox.providers.wiring import Providers
from outbox.relay.assigning import assign
from outbox.relay.auditor import PART as AUDIT
from outbox.relay.caller import Assignment
from outbox.relay.clock import LEASE_S, boot_time
from outbox.relay.lanes import LaneWorker
from outbox.relay.parts import Parts
from outbox.sealing import Sealer
from outbox.settings import Settings
from outbox.store import inbox
from outbox.store.claims import claim, peek
from outbox.store.connect import Connection, Role, connect
from outbox.store.settle import Settlement
from tests.integration.relay_backend import DUE_AT, Backend, person

from .relay_fakes import SENDERS, FakeFcm, FakePager, FakeTwilio, Made

_NOBODY = "http://127.0.0.1:9"

__all__ = ["DUE_AT", "Hand", "hand", "person", "stand_in"]


class Hand(Backend):
    """One relay, its providers and its database, moved by hand."""

    def __init__(
        self,
        settings: Settings,
        *,
        senders: Sequence[str] = SENDERS,
        stripe: StripeBilling | None = None,
    ) -> None:
        self.settings = settings
        signer = ReferenceSigner(settings.keys)
        self.twilio, self.fcm, self.pager = FakeTwilio(signer), FakeFcm(signer), FakePager()
        self.sealer = Sealer(settings.keys, settings.lookup_keys)
        self.metrics = RelayMetrics(CollectorRegistry())
        made = cast("Providers", Made(self.twilio, self.fcm, self.pager, tuple(senders), stripe))
        url = settings.require_database()
        self._url = url

        async def open_connection(part: str) -> Connection:
            role = Role.AUDITOR if part == AUDIT else Role.RELAY
            return await connect(url, role, application=f"tests-{part}")

        self.parts = Parts(settings, made, self.metrics, open_connection)
        self._ahead_s = 0.0
        self._late_s = 0.0
        self.timezone = "UTC"
        self.parts.gate._clock = self.parts._gate_sync._clock = self.clock
        self._gateway: Connection | None = None
        self._owner = psycopg.connect(url, autocommit=True)

    async def gateway(self) -> Connection:
        """A connection with the gateway's rights."""
        if self._gateway is None:
            self._gateway = await connect(self._url, Role.GATEWAY, application="tests-gateway")
        return self._gateway

    def clock(self) -> float:
        """The relay's own clock, as far ahead as the database's."""
        return boot_time() + self._ahead_s

    async def close(self) -> None:
        for session in self.parts.sessions:
            await session.drop()
        if self._gateway is not None:
            await self._gateway.close()
        self._owner.close()

    # What the relay does.

    def _worker(self, lane: int) -> LaneWorker:
        return next(worker for worker in self.parts.workers if lane in worker.lanes)

    async def claim(self, *lanes: int) -> list[Assignment]:
        """Claim everything that is due."""
        assignments: list[Assignment] = []
        for worker in self.parts.workers:
            wanted = [lane for lane in worker.lanes if not lanes or lane in lanes]
            if not wanted:
                continue
            connection = await worker._session.get()
            queues = await peek(connection, wanted)
            at = boot_time()
            claims = await claim(connection, [(queue, 100) for queue in queues], lease_s=LEASE_S)
            assignments += await assign(connection, self.sealer, claims, at)
        return assignments

    async def call(self, assignment: Assignment) -> Settlement:
        """Make the call of a claim, or whatever it asks for."""
        worker = self._worker(assignment.claim.lane)
        await worker._carry_out(assignment)
        assert worker.settler is not None
        settlement = worker.settler._waiting.get_nowait()
        assert settlement is not None
        return settlement

    async def settle(self, *settlements: Settlement) -> None:
        """Write what came of claims."""
        for settlement in settlements:
            settler = self._worker(settlement.claim.lane).settler
            assert settler is not None
            await settler._write([settlement])

    async def hear(self, *callbacks: Callback) -> None:
        """Store callbacks and apply the inbox."""
        connection = await self.gateway()
        items = [inbox.sealed(self.sealer, one, lane=int(Lane.SAFETY)) for one in callbacks]
        async with connection.transaction():
            await inbox.store(connection, items)
        await self.apply()

    async def apply(self) -> int:
        """Apply the inbox."""
        applier, billing = self.parts.applier, self.parts.billing_applier
        applied = await applier._session.persist(applier._round)
        return applied + await billing._session.persist(billing._round)

    async def share(self) -> None:
        """Share breakers, wishes and rates with the other relays, once."""
        sync = self.parts._gate_sync
        await sync._session.persist(sync._round)

    async def once(self) -> int:
        """Do once what is due; how much that was."""
        applied = await self.apply()
        unreachable = self.parts._unreachable
        followed = await unreachable._session.persist(unreachable._round)
        assignments = await self.claim()
        for assignment in assignments:
            await self.settle(await self.call(assignment))
        return applied + followed + len(assignments)

    async def work(self, *, at_most: int = 100) -> None:
        """Do what is due until nothing is."""
        for _ in range(at_most):
            if not await self.once():
                return
        msg = f"after {at_most} rounds there is still something due: a loop"
        raise AssertionError(msg)

    async def skip(self, seconds: float) -> None:
        """Let time pass at the database: everything that it knows of is older by so much."""
        self._ahead_s += seconds
        by = f"interval '{seconds} seconds'"
        self._owner.execute(
            f"UPDATE breaker SET probe_until = probe_until - {by}, closed_at = closed_at - {by},"
            f" hold_until = hold_until - {by}"
        )
        self._owner.execute(
            f"UPDATE breaker_vote SET opened_at = opened_at - {by}, open_until = open_until - {by}"
        )
        self._owner.execute(f"UPDATE notice SET told_at = told_at - {by}")
        self._owner.execute(
            f"UPDATE due SET due_at = due_at - {by}, step_at = step_at - {by},"
            f" receipt_until = receipt_until - {by}"
        )
        self._owner.execute(
            f"UPDATE notification SET expires_at = expires_at - {by},"
            f" created_at = created_at - {by} WHERE state IN ('open', 'parked')"
        )

    async def pass_(self, seconds: float, *, step: float = 1.0) -> None:
        """Let time pass, and do at each of its steps what is due.

        The work itself takes time on a busy machine: that is part of the seconds, and what it took
        too much is part of the next ones.
        """
        until = self.clock() + seconds - self._late_s
        await self.work()
        while (left := until - self.clock()) > 0:
            await self.skip(min(step, left))
            await self.work()
        self._late_s = self.clock() - until

    async def to_the_end(self, *, within_s: float = 400_000.0) -> None:
        """Work, and jump to what is due next, until nothing is."""
        while within_s > 0:
            await self.work()
            wait = self.next_in_s()
            if wait is None:
                return
            within_s -= wait
            await self.skip(wait)
        msg = f"not at its end: {self.rows('SELECT * FROM due')}"
        raise AssertionError(msg)

    def calm(self) -> None:
        """Forget what the providers did: every way is open to calls."""
        for way in self.parts.gate.ways:
            way.breaker = Breaker(random.random)
            way.held_until = 0.0

    # What can be seen.

    def next_in_s(self) -> float | None:
        """Until something is due; null when nothing ever is."""
        query = "SELECT extract(epoch FROM min(due_at) - now()) FROM due WHERE due_at < 'infinity'"
        ((wait,),) = self.rows(query)
        return None if wait is None else max(0.05, float(wait) + 0.01)

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Rows by the owner's own connection."""
        # The query is the tests' own.
        return self._owner.execute(query.encode(), values or None).fetchall()

    def state(self, notification: UUID) -> tuple[str, str | None]:
        """State and reason as stored."""
        query = "SELECT state, reason FROM notification WHERE id = %s"
        state, reason = self.rows(query, (notification,))[0]
        return state, reason

    def proof(self, notification: UUID) -> tuple[str | None, str | None]:
        """Proof and channel of what was delivered."""
        query = "SELECT proof, channel FROM notification WHERE id = %s"
        proof, channel = self.rows(query, (notification,))[0]
        return proof, channel

    def due(self, notification: UUID) -> dict[str, Any] | None:
        """Its due row, with seconds until it is due; null when it is final."""
        columns = ("step", "work", "attempt", "fence", "cancel", "suspect", "best_rank")
        query = (
            f"SELECT {', '.join(columns)}, owner IS NOT NULL, due_at = 'infinity',"
            " CASE WHEN due_at < 'infinity' THEN extract(epoch FROM due_at - now())::float8 END"
            " FROM due WHERE notification = %s"
        )
        found = self.rows(query, (notification,))
        names = (*columns, "claimed", "parked", "in_s")
        return dict(zip(names, found[0], strict=True)) if found else None

    def attempts(self, notification: UUID) -> list[tuple[Any, ...]]:
        """Step, what, channel, result and code of each attempt, oldest first."""
        query = (
            "SELECT step, what, channel, result, code FROM attempt WHERE notification = %s"
            " ORDER BY fence, ordinal"
        )
        return self.rows(query, (notification,))


def stand_in(settings: Settings, policy: str | None = None) -> Settings:
    """Settings whose senders have no rate, and perhaps other plans."""
    changed = replace(settings, twilio_api_base=_NOBODY, fcm_api_base=_NOBODY)
    return changed if policy is None else replace(changed, policy=parse(policy))


@asynccontextmanager
async def hand(
    settings: Settings,
    *,
    policy: str | None = None,
    senders: Sequence[str] = SENDERS,
    stripe: StripeBilling | None = None,
) -> AsyncIterator[Hand]:
    """A relay by hand, closed at the end."""
    made = Hand(stand_in(settings, policy), senders=senders, stripe=stripe)
    try:
        yield made
    finally:
        await made.close()
