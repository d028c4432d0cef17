"""The relay's spans: what was claimed, carried out and settled, and what callbacks said of it.

None of this is made where nothing is traced. Contexts are read beside the claims; whoever is far
from the event that it follows from is a trace of its own, linked with it (`Tracer.follow`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from observability import tracing
from observability.tracing import Kind, Span, Tracer
from outbox.domain.callbacks import Callback
from outbox.domain.decide import Final
from outbox.domain.states import Lane, Work
from outbox.store.claims import Claim
from outbox.store.connect import Connection
from outbox.store.receipts import Taken
from outbox.store.settle import Settlement
from outbox.store.traces import of_events, of_notifications

_SYSTEM = "pruuf"


class ClaimSpans:
    """The spans of the claims that one lane worker has in hand."""

    def __init__(self, tracer: Tracer, worker: str) -> None:
        """``worker`` names the queues that it serves."""
        self._tracer = tracer
        self._worker = worker
        self._held: dict[tuple[UUID, int], Span] = {}

    async def begin(
        self, connection: Connection, claims: Sequence[Claim], *, began_ns: int
    ) -> None:
        """Begin a span for each claim, and one for the round in which they were claimed."""
        if not claims:
            return
        contexts = await of_events(connection, [(claim.shard, claim.event) for claim in claims])
        now = datetime.now(UTC)
        spans = []
        for claim in claims:
            lane = Lane(claim.lane).name.lower()
            span = self._tracer.follow(
                contexts.get(claim.event),
                f"process {lane}",
                Kind.CONSUMER,
                age_s=(now - claim.created_at).total_seconds(),
                start_ns=began_ns,
            )
            if claim.lane == Lane.SAFETY:
                span.keep()
            span.set(_of_claim(claim, lane))
            self._held[claim.token, claim.seq] = span
            spans.append(span)
        self._batch("receive", spans, began_ns).end()

    def enter(self, claim: Claim) -> None:
        """What this task does from now on is done for the claim."""
        tracing.enter(self._held.get((claim.token, claim.seq)))

    def settling(self, settlements: Sequence[Settlement]) -> Span | None:
        """The span of a batch that is about to be written."""
        found = [self._held.get((s.claim.token, s.claim.seq)) for s in settlements]
        spans = [span for span in found if span is not None]
        return self._batch("settle", spans, None) if spans else None

    def settled(self, settlements: Sequence[Settlement]) -> None:
        """These are written: their claims are over."""
        for settlement in settlements:
            span = self._held.pop((settlement.claim.token, settlement.claim.seq), None)
            if span is not None:
                span.set(_of_settlement(settlement))
                span.end()

    def _batch(self, operation: str, spans: Sequence[Span], start_ns: int | None) -> Span:
        name = f"{operation} {self._worker}"
        made = self._tracer.batch(name, Kind.CLIENT, spans, start_ns=start_ns)
        made.set(
            {
                "messaging.system": _SYSTEM,
                "messaging.operation.name": operation,
                "messaging.operation.type": operation,
                "messaging.destination.name": self._worker,
                "messaging.batch.message_count": len(spans),
                "db.system.name": "postgresql",
            },
        )
        return made


def _of_claim(claim: Claim, lane: str) -> dict[str, tracing.Value | None]:
    return {
        "messaging.system": _SYSTEM,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": lane,
        "messaging.message.id": str(claim.notification),
        "pruuf.event_id": str(claim.event),
        "pruuf.kind": claim.kind,
        "pruuf.work": Work(claim.work).name.lower(),
        "pruuf.step": claim.step,
        "pruuf.attempt": claim.attempt,
    }


def _of_settlement(settlement: Settlement) -> dict[str, tracing.Value | None]:
    move = settlement.move
    if isinstance(move, Final):
        return {"pruuf.state": str(move.state), "pruuf.reason": move.reason}
    waits = "parked" if move.parked else Work(move.work).name.lower()
    return {"pruuf.next": waits, "pruuf.reason": move.parked or settlement.blocked}


async def hear(
    tracer: Tracer, connection: Connection, shard: int, heard: Sequence[tuple[Taken, Callback]]
) -> list[Span]:
    """Begin a span for each callback that is applied, within what it is about."""
    notifications = [each.notification for _, each in heard if each.notification is not None]
    origins = await of_notifications(connection, shard, notifications)
    spans = []
    for taken, callback in heard:
        origin = None if callback.notification is None else origins.get(callback.notification)
        came = tracing.parse(callback.traceparent)
        span = tracer.follow(
            came if origin is None or origin.context is None else origin.context,
            "process inbox",
            Kind.CONSUMER,
            age_s=0.0 if origin is None else origin.age_s,
        )
        span.link(came)
        span.set(
            {
                "messaging.system": _SYSTEM,
                "messaging.operation.name": "process",
                "messaging.operation.type": "process",
                "messaging.destination.name": "inbox",
                "messaging.message.id": str(taken.id),
                "pruuf.event_id": None if origin is None else str(origin.event),
                "pruuf.notification_id": str(callback.notification or "") or None,
                "pruuf.source": callback.source,
                "pruuf.status": callback.status,
                "pruuf.code": callback.code,
            },
        )
        spans.append(span)
    return spans
