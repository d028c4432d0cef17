"""The parts of a relay, wired: who claims, calls, settles, applies, listens and looks after it."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from observability.relay_metrics import RelayMetrics
from observability.tracing import Tracer
from outbox.domain.ids import new_id
from outbox.domain.references import ReferenceSigner
from outbox.domain.states import Lane
from outbox.drafts import notice_draft, page_draft
from outbox.providers.wiring import Providers
from outbox.relay import billing, texting
from outbox.relay.applier import Applier
from outbox.relay.auditor import PART as AUDIT
from outbox.relay.auditor import Auditor
from outbox.relay.billing import Commands
from outbox.relay.billing_applier import BillingApplier
from outbox.relay.billing_catch_up import BillingCatchUp
from outbox.relay.billing_watch import BillingWatch
from outbox.relay.caller import Caller
from outbox.relay.canary import Canary
from outbox.relay.clock import boot_time
from outbox.relay.database import Session
from outbox.relay.gate import Gate
from outbox.relay.gate_sync import GateSync
from outbox.relay.housekeeping import Housekeeping
from outbox.relay.inbound import InboundTexts
from outbox.relay.lanes import LaneWorker
from outbox.relay.listener import Listener
from outbox.relay.measuring import Measuring
from outbox.relay.pushing import Pusher
from outbox.relay.resolver import Resolver
from outbox.relay.settler import Settler
from outbox.relay.suppressed import Suppressed
from outbox.relay.texting import Texter
from outbox.relay.topics import Follower
from outbox.relay.traces import ClaimSpans
from outbox.relay.unreachable import Unreachable
from outbox.relay.upkeep import Upkeep
from outbox.relay.ways import ways
from outbox.sealing import Sealer
from outbox.settings import Settings
from outbox.store.connect import Connection

_SAFETY_SLOTS = {Lane.SAFETY: 96}
_OTHER_SLOTS = {Lane.CODES: 32, Lane.TRANSACTIONAL: 256, Lane.BULK: 128}

Open = Callable[[str], Awaitable[Connection]]
"""Opens a database connection for the part of this name."""


class Part(Protocol):
    """Something that runs until it is stopped."""

    async def run(self) -> None:
        """Work until stopped."""
        ...

    def stop(self) -> None:
        """Ask for the end of `run`."""
        ...


class Parts:
    """All parts of one relay; nothing runs yet."""

    def __init__(
        self,
        settings: Settings,
        made: Providers,
        metrics: RelayMetrics,
        open_connection: Open,
        tracer: Tracer | None = None,
    ) -> None:
        """Wire everything."""
        self._settings = settings
        self._metrics = metrics
        self._open = open_connection
        self._tracer = tracer
        self.sessions: list[Session] = []
        self._relay = new_id(0)
        self._sealer = Sealer(settings.keys, settings.lookup_keys)
        self.gate = Gate(ways(settings, made, self._sealer), clock=boot_time, jitter=random.random)
        stripe_is_held = partial(self.gate.is_held, billing.PROVIDER)
        self.suppressed = Suppressed(session=self._session("suppressed"), sealer=self._sealer)
        self._caller = self._wire_caller(made)
        # The safety lane shares nothing with the others but the process.
        self.workers = [
            self._worker("safety", _SAFETY_SLOTS, poll_s=0.25, refill_at=0.02),
            self._worker("others", _OTHER_SLOTS, poll_s=1.0, refill_at=0.15),
        ]
        self._unreachable = Unreachable(
            session=self._session("unreachable"),
            sealer=self._sealer,
            policy=settings.policy,
            wake_lane=self._wake_lane,
        )
        self.applier = Applier(
            session=self._session("inbox"),
            sealer=self._sealer,
            metrics=metrics,
            texts=InboundTexts(
                sealer=self._sealer,
                suppressed=self.suppressed,
                policy=settings.policy,
            ),
            wake_lane=self._wake_lane,
            on_texts=self._unreachable.wake,
            on_sender_fault=lambda place: self.gate.doubt(texting.PROVIDER, place),
            tracer=tracer,
        )
        self.billing_applier = BillingApplier(
            session=self._session("billing-inbox"),
            sealer=self._sealer,
            policy=settings.policy,
            metrics=metrics,
            wake_lane=self._wake_lane,
        )
        self.auditor = Auditor(
            session=self._session(AUDIT),
            lookup_keys=settings.lookup_keys,
            metrics=metrics,
        )
        self.billing_catch_up = BillingCatchUp(
            session=self._session("billing-list"),
            stripe=made.stripe,
            held=stripe_is_held,
            sealer=self._sealer,
            metrics=metrics,
        )
        self.billing_watch = BillingWatch(
            settings,
            made.stripe,
            self._sealer,
            metrics,
            held=stripe_is_held,
            part=self._session,
            wake=self._wake_lane,
        )
        self.upkeep = Upkeep(
            session=self._session("upkeep"),
            relay=self._relay,
            metrics=metrics,
            in_flight=self._in_flight,
        )
        self.housekeeping = Housekeeping(
            settings, self._sealer, metrics, part=self._session, wake=self._wake_lane
        )
        self.canary = Canary(
            session=self._session("canary"),
            sealer=self._sealer,
            policy=settings.policy,
            metrics=metrics,
            recipient=settings.canary,
            wake_lane=self._wake_lane,
        )
        self.measuring = Measuring(session=self._session("measuring"), metrics=metrics)
        self._gate_sync = GateSync(
            self.gate,
            session=self._session("gate"),
            relay=self._relay,
            shares=settings.policy.shares,
            clock=boot_time,
            metrics=metrics,
        )
        self._listener = Listener(
            session=self._session("listen"),
            wake_lane=self._wake_lane,
            wake_inbox=self._wake_inboxes,
        )

    @property
    def running(self) -> list[Part]:
        """All that runs beside the settlers."""
        return [
            self.applier,
            self.billing_applier,
            self.billing_catch_up,
            *self.billing_watch.running,
            self._listener,
            self.upkeep,
            self.auditor,
            self._gate_sync,
            self.suppressed,
            self._unreachable,
            *self.housekeeping.running,
            self.measuring,
            self.canary,
            *self.workers,
        ]

    @property
    def settlers(self) -> list[Settler]:
        """One for each worker; they end after all others."""
        return [worker.settler for worker in self.workers if worker.settler is not None]

    def _session(self, part: str) -> Session:
        session = Session(partial(self._open, part), part=part, metrics=self._metrics)
        self.sessions.append(session)
        return session

    def _wire_caller(self, made: Providers) -> Caller:
        signer = ReferenceSigner(self._settings.keys)
        return Caller(
            texter=Texter(
                sms=made.sms,
                senders=made.senders,
                gate=self.gate,
                signer=signer,
                suppressed=self.suppressed,
            ),
            pusher=Pusher(push=made.push, gate=self.gate, signer=signer),
            follower=Follower(topics=made.push, gate=self.gate),
            pager=made.pager,
            commands=Commands(
                stripe=made.stripe,
                gate=self.gate,
                session=self._session("billing"),
                sealer=self._sealer,
                policy=self._settings.policy,
                jitter=random.random,
            ),
            gate=self.gate,
            sealer=self._sealer,
            resolver=Resolver(
                sms=made.sms, gate=self.gate, sealer=self._sealer, jitter=random.random
            ),
            clock=boot_time,
            jitter=random.random,
        )

    def _worker(
        self,
        name: str,
        slots: dict[Lane, int],
        *,
        poll_s: float,
        refill_at: float,
    ) -> LaneWorker:
        sealer, policy = self._sealer, self._settings.policy
        spans = None if self._tracer is None else ClaimSpans(self._tracer, name)
        worker = LaneWorker(
            name=name,
            slots=slots,
            session=self._session(name),
            caller=self._caller,
            gate=self.gate,
            sealer=sealer,
            metrics=self._metrics,
            clock=boot_time,
            poll_s=poll_s,
            refill_at=refill_at,
            wake_inbox=self._wake_inboxes,
            spans=spans,
        )
        worker.settler = Settler(
            session=self._session(f"{name}-settle"),
            page=lambda shard, summary, reason: page_draft(
                sealer, shard=shard, summary=summary, reason=reason, policy=policy
            ),
            notice=lambda summary, reason: notice_draft(
                sealer, summary=summary, reason=reason, policy=policy
            ),
            written=worker.written,
            metrics=self._metrics,
            linger_s=0.0 if Lane.SAFETY in slots else 0.003,
            spans=spans,
        )
        return worker

    def _wake_lane(self, lane: int) -> None:
        for worker in self.workers:
            if lane in worker.lanes:
                worker.wake()

    def _wake_inboxes(self) -> None:
        self.applier.wake()
        self.billing_applier.wake()

    def _in_flight(self) -> dict[int, int]:
        held: dict[int, int] = {}
        for worker in self.workers:
            held |= worker.busy()
        return held
