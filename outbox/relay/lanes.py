"""A lane worker: claims for its lanes, keeps their slots, and hands what was called to its settler.

The safety lane has a worker, connections and slots of its own; nothing the others do can take
them.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from observability import logs, tracing
from observability.relay_metrics import RelayMetrics
from outbox.domain.outcomes import Result
from outbox.domain.states import Lane
from outbox.relay import faults
from outbox.relay.assigning import assign
from outbox.relay.caller import Assignment, Caller
from outbox.relay.clock import LEASE_S, Clock
from outbox.relay.database import AGAIN, Session, pause
from outbox.relay.gate import Gate
from outbox.relay.settler import Settler
from outbox.relay.traces import ClaimSpans
from outbox.sealing import Sealer
from outbox.store.claims import Claim, Queue, claim, peek
from outbox.store.connect import Connection
from outbox.store.settle import Settlement

_log = logging.getLogger(__name__)

_SUSPECT = 3
"""Claims in a row that nobody settled, from which on a row is carried out alone."""

_BEYOND = 8
"""Claims beyond the tokens at hand: some may be for another provider."""

_REST_S = 0.25
"""Between such claims, unless one of them was: a long queue behind a slow sender would else be
claimed and given back all the time. The safety lane does not rest."""

_LIMITED_BY = "twilio"
"""Whose rates bound the claims: its senders are the slow ones."""


class LaneWorker:
    """Runs the lanes of ``slots`` (lane → claims in hand at most)."""

    def __init__(  # noqa: PLR0913 - all that it needs is passed in
        self,
        *,
        name: str,
        slots: Mapping[Lane, int],
        session: Session,
        caller: Caller,
        gate: Gate,
        sealer: Sealer,
        metrics: RelayMetrics,
        clock: Clock,
        poll_s: float,
        refill_at: float,
        wake_inbox: Callable[[], None],
        spans: ClaimSpans | None = None,
    ) -> None:
        """``refill_at`` is the free share of a lane's slots from which on a claim is worth it."""
        self.name = name
        self._slots = dict(slots)
        self._busy: defaultdict[int, int] = defaultdict(int)
        self._session = session
        self._caller = caller
        self._gate = gate
        self._sealer = sealer
        self._metrics = metrics
        self._clock = clock
        self._poll_s = poll_s
        self._refill_at = refill_at
        self._wake_inbox = wake_inbox
        self._spans = spans
        self._wake = asyncio.Event()
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._rests_until: defaultdict[int, float] = defaultdict(float)
        self.settler: Settler | None = None

    @property
    def lanes(self) -> Sequence[int]:
        """Lanes that this worker serves."""
        return list(self._slots)

    def busy(self) -> dict[int, int]:
        """Claims in hand, by lane."""
        return {lane: self._busy[lane] for lane in self._slots}

    def wake(self) -> None:
        """Something may be due now."""
        self._wake.set()

    def stop(self) -> None:
        """Claim no more."""
        self._stopping = True
        self._wake.set()

    async def drain(self) -> None:
        """Wait until all that was claimed has been called."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def run(self) -> None:
        """Claim until stopped."""
        while not self._stopping:
            self._wake.clear()
            try:
                more = await self._round()
            except AGAIN as error:
                _log.warning("%s: claim failed (%s)", self.name, type(error).__name__)
                await self._session.drop()
                await pause()
                continue
            if not more:
                await self._pause()

    async def _pause(self) -> None:
        """Until somebody wakes us, slots come free, or a rest or the poll interval is over."""
        pause = self._poll_s * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
        now = self._clock()
        rests = [until - now for until in self._rests_until.values() if until > now]
        try:
            async with asyncio.timeout(min([pause, *rests])):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _room(self, lane: int) -> int:
        """Free slots of a lane; none while too few are free for a claim to be worth its commit."""
        slots = self._slots[Lane(lane)]
        free = slots - self._busy[lane]
        return free if free >= max(1, int(slots * self._refill_at)) else 0

    def _wanted(self, queues: Sequence[Queue]) -> list[tuple[Queue, int]]:
        """Share the free slots of each lane among its queues; claim only what can start soon."""
        by_lane: defaultdict[int, list[Queue]] = defaultdict(list)
        for queue in queues:
            by_lane[queue.lane].append(queue)
        wanted = []
        for lane, of_lane in by_lane.items():
            room = self._room(lane)
            tokens = self._gate.budget(_LIMITED_BY, lane, room)
            if tokens is not None:
                room = min(room, tokens + self._beyond(lane))
            share, rest = divmod(room, len(of_lane))
            for index, queue in enumerate(of_lane):
                limit = share + (1 if index < rest else 0)
                if limit:
                    wanted.append((queue, limit))
        return wanted

    def _beyond(self, lane: int) -> int:
        now = self._clock()
        if now < self._rests_until[lane]:
            return 0
        if lane != Lane.SAFETY:
            self._rests_until[lane] = now + _REST_S
        return _BEYOND

    async def _round(self) -> bool:
        """Claim once; false when nothing was due, or nothing of it could start."""
        lanes = [lane for lane in self._slots if self._room(lane)]
        if not lanes:
            return False
        connection = await self._session.get()
        queues = await peek(connection, lanes)
        wanted = self._wanted(queues)
        if not wanted:
            return False
        claimed_at, began_ns = self._clock(), time.time_ns()
        claims = await claim(connection, wanted, lease_s=LEASE_S)
        assignments = await self._assigned(connection, claims, claimed_at, began_ns)
        suspects = []
        for assignment in assignments:
            if assignment.claim.suspect >= _SUSPECT:
                suspects.append(assignment)
            else:
                self._start(assignment)
        if suspects:
            await self._one_alone(suspects)
        return bool(claims)

    async def _assigned(
        self, connection: Connection, claims: Sequence[Claim], claimed_at: float, began_ns: int
    ) -> Sequence[Assignment]:
        """What was claimed, with all that its calls need; raises like the database."""
        for claimed in claims:
            # Counted before anything can fail: a claim in hand is a slot taken.
            self._busy[claimed.lane] += 1
            self._metrics.claimed.labels(Lane(claimed.lane).name.lower()).inc()
            if claimed.abandoned:
                self._metrics.unknown.labels(Lane(claimed.lane).name.lower()).inc()
        try:
            assignments = await assign(connection, self._sealer, claims, claimed_at)
            if self._spans is not None:
                await self._spans.begin(connection, claims, began_ns=began_ns)
        except AGAIN:
            for claimed in claims:
                # The leases run out and the rows come back: nothing was called.
                self._busy[claimed.lane] -= 1
            raise
        return assignments

    async def _one_alone(self, suspects: Sequence[Assignment]) -> None:
        """Carry the first out with nothing else in our hands: it may be what kills relays.

        The others must not be held meanwhile. They would be counted as having died with it, and
        the innocent be quarantined one claim after the guilty.
        """
        alone, *others = suspects
        for other in others:
            self._put(faults.not_now(other.claim))
        await self.drain()
        while sum(self._busy.values()) > 1:
            self._wake.clear()
            await self._wake.wait()
        if self._stopping:
            self._put(faults.not_now(alone.claim))
            return
        self._start(alone)
        await self.drain()

    def _start(self, assignment: Assignment) -> None:
        task = asyncio.create_task(self._carry_out(assignment))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _put(self, settlement: Settlement) -> None:
        if self.settler is None:
            msg = "a lane worker needs its settler before it claims"
            raise RuntimeError(msg)
        self.settler.put(settlement)

    async def _carry_out(self, assignment: Assignment) -> None:
        logs.about(assignment.claim.event, assignment.claim.notification)
        if self._spans is not None:
            self._spans.enter(assignment.claim)
        try:
            settlement = await self._caller.run(assignment)
        except Exception as error:  # noqa: BLE001 - whatever it is, the row must not block others
            self._metrics.faults.labels("call").inc()
            notification = assignment.claim.notification
            # Not its text: that may quote what it met.
            _log.error("call for %s failed: %s", notification, faults.places(error))
            settlement = self._caller.failed(assignment.claim, error)
            if (span := tracing.current()) is not None:
                span.fail(type(error).__name__)
        self._count(settlement)
        self._put(settlement)

    def _count(self, settlement: Settlement) -> None:
        claim_ = settlement.claim
        lane = Lane(claim_.lane).name.lower()
        span = tracing.current()
        exemplar = None if span is None else span.exemplar
        if settlement.blocked is not None:
            self._metrics.blocked.labels(lane, settlement.blocked).inc()
        for attempt in settlement.attempts:
            outcome = attempt.outcome
            self._metrics.attempts.labels(
                outcome.provider,
                attempt.channel,
                attempt.what,
                outcome.result,
            ).inc()
            if outcome.result is not Result.CHANNEL_FINAL or outcome.latency_ms:
                self._metrics.attempt_seconds.labels(outcome.provider).observe(
                    outcome.latency_ms / 1000,
                    exemplar,
                )
        if settlement.attempts and claim_.step == 0 and claim_.fence == 1:
            waited = (settlement.attempts[0].at - claim_.created_at).total_seconds()
            self._metrics.first_call_seconds.labels(lane).observe(waited, exemplar)

    def written(self, settlements: Sequence[Settlement]) -> None:
        """Free the slots, and look again: for those, or for what became due by the settle."""
        if self._spans is not None:
            self._spans.settled(settlements)
        for settlement in settlements:
            claim_ = settlement.claim
            self._busy[claim_.lane] -= 1
            if settlement.blocked is None and not _took_a_token(settlement):
                self._rests_until[claim_.lane] = 0.0
            if settlement.heard:
                self._wake_inbox()
        self._wake.set()


def _took_a_token(settlement: Settlement) -> bool:
    return any(a.outcome.provider == _LIMITED_BY and a.what == "send" for a in settlement.attempts)
