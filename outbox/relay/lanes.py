"""A lane worker: claims for its lanes, keeps their slots, and hands what was called to its settler.

The safety lane has a worker, connections and slots of its own; nothing the others do can take
them.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from observability.relay_metrics import RelayMetrics
from outbox.domain import plans
from outbox.domain.decide import History, Move
from outbox.domain.outcomes import Result
from outbox.domain.plans import Channel
from outbox.domain.states import Lane, Work
from outbox.relay.caller import Assignment, Caller
from outbox.relay.clock import LEASE_S, Clock
from outbox.relay.database import AGAIN, Session
from outbox.relay.settler import Settler
from outbox.sealing import Sealer
from outbox.store.claims import Claim, Queue, claim, peek
from outbox.store.connect import Connection
from outbox.store.history import histories
from outbox.store.recipients import Device, devices
from outbox.store.settle import Settlement

_log = logging.getLogger(__name__)

_REFILL_S = 0.004
"""A few freed slots wait this long for more, so that a claim is worth its commit."""


class LaneWorker:
    """Runs the lanes of ``slots`` (lane → claims in hand at most)."""

    def __init__(  # noqa: PLR0913 - all that it needs is passed in
        self,
        *,
        name: str,
        slots: Mapping[Lane, int],
        session: Session,
        caller: Caller,
        sealer: Sealer,
        metrics: RelayMetrics,
        clock: Clock,
        poll_s: float,
        refill_at: float,
    ) -> None:
        """``refill_at`` is the free share of the slots at which to claim without lingering."""
        self.name = name
        self._slots = dict(slots)
        self._busy: defaultdict[int, int] = defaultdict(int)
        self._session = session
        self._caller = caller
        self._sealer = sealer
        self._metrics = metrics
        self._clock = clock
        self._poll_s = poll_s
        self._refill = max(1, int(sum(slots.values()) * refill_at))
        self._wake = asyncio.Event()
        self._freed = asyncio.Event()
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
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
        self._freed.set()

    async def drain(self) -> None:
        """Wait until all that was claimed has been called."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def run(self) -> None:
        """Claim until stopped."""
        while not self._stopping:
            if self._free() < self._refill:
                self._freed.clear()
                await self._wait(self._freed, _REFILL_S)
                if self._free() <= 0:
                    await self._wait(self._freed, self._poll_s)
                    continue
            self._wake.clear()
            try:
                more = await self._round()
            except AGAIN as error:
                _log.warning("%s: claim failed (%s)", self.name, type(error).__name__)
                await self._session.drop()
                continue
            if not more:
                pause = self._poll_s * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
                await self._wait(self._wake, pause)

    @staticmethod
    async def _wait(event: asyncio.Event, at_most_s: float) -> None:
        try:
            async with asyncio.timeout(at_most_s):
                await event.wait()
        except TimeoutError:
            pass

    def _free(self) -> int:
        return sum(slots - self._busy[lane] for lane, slots in self._slots.items())

    def _wanted(self, queues: Sequence[Queue]) -> list[tuple[Queue, int]]:
        """Share the free slots of each lane among its queues."""
        by_lane: defaultdict[int, list[Queue]] = defaultdict(list)
        for queue in queues:
            by_lane[queue.lane].append(queue)
        wanted = []
        for lane, of_lane in by_lane.items():
            free = self._slots[Lane(lane)] - self._busy[lane]
            share, rest = divmod(max(0, free), len(of_lane))
            for index, queue in enumerate(of_lane):
                limit = share + (1 if index < rest else 0)
                if limit:
                    wanted.append((queue, limit))
        return wanted

    async def _round(self) -> bool:
        """Claim once; false when nothing was due."""
        connection = await self._session.get()
        queues = await peek(connection, self.lanes)
        wanted = self._wanted(queues)
        if not wanted:
            return bool(queues)
        claimed_at = self._clock()
        claims = await claim(connection, wanted, lease_s=LEASE_S)
        for claimed in claims:
            # Counted before anything can fail: a claim in hand is a slot taken.
            self._busy[claimed.lane] += 1
            self._metrics.claimed.labels(Lane(claimed.lane).name.lower()).inc()
            if claimed.abandoned:
                self._metrics.unknown.labels(Lane(claimed.lane).name.lower()).inc()
        try:
            assignments = await self._read(connection, claims, claimed_at)
        except AGAIN:
            for claimed in claims:
                # The leases run out and the rows come back: nothing was called.
                self._busy[claimed.lane] -= 1
            raise
        for assignment in assignments:
            task = asyncio.create_task(self._carry_out(assignment))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return bool(claims)

    async def _read(
        self,
        connection: Connection,
        claims: Sequence[Claim],
        claimed_at: float,
    ) -> list[Assignment]:
        """What the claims need beside themselves; most need nothing."""
        by_shard: defaultdict[int, list[UUID]] = defaultdict(list)
        pairs: list[tuple[int, str]] = []
        for claimed in claims:
            if claimed.step > 0 or claimed.work == Work.RESOLVE:
                by_shard[claimed.shard].append(claimed.notification)
            if _is_push(claimed):
                pairs.append((claimed.shard, claimed.recipient))
        history = await histories(connection, by_shard) if by_shard else {}
        addresses: Mapping[str, Sequence[Device]] = {}
        if pairs:
            recipients = sorted({recipient for _, recipient in pairs})
            addresses = await devices(connection, self._sealer, recipients)
        return [
            Assignment(
                claim=claimed,
                claimed_at=claimed_at,
                history=history.get(claimed.notification, History()),
                devices=tuple(addresses.get(claimed.recipient, ())) if _is_push(claimed) else (),
            )
            for claimed in claims
        ]

    async def _carry_out(self, assignment: Assignment) -> None:
        settler = self.settler
        if settler is None:
            msg = "a lane worker needs its settler before it claims"
            raise RuntimeError(msg)
        try:
            settlement = await self._caller.run(assignment)
        except Exception:
            # A bug, not a provider's fault. The claim is not settled: its lease runs out, and the
            # next claim treats the outcome as unknown, which is what it is.
            self._metrics.faults.labels("call").inc()
            _log.exception("call for %s failed", assignment.claim.notification)
            self._busy[assignment.claim.lane] -= 1
            self._freed.set()
            return
        self._count(settlement)
        settler.put(settlement)

    def _count(self, settlement: Settlement) -> None:
        claim_ = settlement.claim
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
                )
        if settlement.attempts and claim_.step == 0 and claim_.fence == 1:
            waited = (settlement.attempts[0].at - claim_.created_at).total_seconds()
            self._metrics.first_call_seconds.labels(Lane(claim_.lane).name.lower()).observe(waited)

    def written(self, settlements: Sequence[Settlement]) -> None:
        """Free the slots; look again at once if something became due by the settle itself."""
        for settlement in settlements:
            self._busy[settlement.claim.lane] -= 1
            move = settlement.move
            if isinstance(move, Move) and move.delay_s == 0:
                self._wake.set()
        self._freed.set()


def _is_push(claimed: Claim) -> bool:
    plan = plans.decode(claimed.plan)
    return (
        claimed.work == Work.SEND
        and claimed.step < len(plan.steps)
        and plan.steps[claimed.step].channel is Channel.PUSH
    )
