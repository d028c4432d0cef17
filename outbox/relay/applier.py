"""Applies the inbox: verified callbacks become receipts and move what they move."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import msgspec

from observability.relay_metrics import RelayMetrics
from observability.tracing import Tracer
from outbox.domain import callbacks
from outbox.domain.callbacks import Callback
from outbox.domain.outcomes import Result
from outbox.domain.receipts import RANKS, is_failure, rank_of
from outbox.providers.codes import classify_receipt, is_of_one_route
from outbox.relay.database import Session
from outbox.relay.inbound import InboundTexts
from outbox.relay.inbox_rounds import InboxRounds
from outbox.relay.traces import hear
from outbox.sealing import Sealer, UnsealError
from outbox.store.connect import Connection
from outbox.store.inbox import TEXTS
from outbox.store.receipts import (
    UNREADABLE,
    Taken,
    apply,
    done,
    senders_of,
    shards_waiting,
    take,
)

_log = logging.getLogger(__name__)


def _refuses_sender(callback: Callback) -> bool:
    if callback.source != "twilio" or not is_failure(rank_of("twilio", callback.status)):
        return False
    fault = classify_receipt(callback.status, callback.code) is Result.SENDER_FAULT
    return fault and not is_of_one_route(callback.code)


class Applier(InboxRounds):
    """One connection, woken by the gateway's word or by its own poll."""

    _AT_ONCE = 64
    _FAULTS = "inbox"

    def __init__(  # noqa: PLR0913 - all that it needs is passed in
        self,
        *,
        session: Session,
        sealer: Sealer,
        metrics: RelayMetrics,
        texts: InboundTexts,
        wake_lane: Callable[[int], None],
        on_texts: Callable[[], None],
        on_sender_fault: Callable[[int], None],
        poll_s: float = 0.5,
        tracer: Tracer | None = None,
    ) -> None:
        """``wake_lane`` is told which lanes have rows that became due, ``on_texts`` of texts.

        ``on_sender_fault`` is told the place of a sender that a carrier refused as such.
        """
        self._on_texts = on_texts
        self._on_sender_fault = on_sender_fault
        super().__init__(session=session, metrics=metrics, poll_s=poll_s)
        self._sealer = sealer
        self._texts = texts
        self._wake_lane = wake_lane
        self._tracer = tracer

    async def _waiting(self, connection: Connection) -> Sequence[int]:
        return await shards_waiting(connection)

    async def _set_aside(self, connection: Connection, shard: int, why: str) -> None:
        _log.error("a callback of shard %d cannot be applied: %s", shard, why)
        async with connection.transaction():
            for taken in await take(connection, shard, 1):
                await connection.execute(
                    "UPDATE inbox SET done_at = now(), note = %s WHERE shard = %s AND id = %s",
                    (f"cannot be applied: {why}", shard, taken.id),
                )

    async def _shard(self, connection: Connection, shard: int, limit: int) -> int:
        async with connection.transaction():
            batch = await take(connection, shard, limit)
            if not batch:
                return 0
            heard = [(taken, self._open(taken)) for taken in batch if taken.provider != TEXTS]
            texts = [taken for taken in batch if taken.provider == TEXTS]
            spans = await hear(self._tracer, connection, shard, heard) if self._tracer else ()
            result = await apply(connection, shard, heard, classify=classify_receipt)
            notes = {taken.id: await self._texts.apply(connection, taken) for taken in texts}
            await done(connection, shard, notes)
            refused = [callback for _, callback in heard if _refuses_sender(callback)]
            places = await senders_of(connection, shard, refused) if refused else frozenset()
        for span in spans:
            span.end()
        for place in places:
            self._on_sender_fault(place)
        for _, callback in heard:
            known = (callback.source, callback.status) in RANKS
            status = callback.status if known else "other"
            self._metrics.receipts.labels(callback.source, status).inc()
        if texts:
            self._on_texts()
        for lane in result.lanes:
            self._wake_lane(lane)
        return len(batch)

    def _open(self, taken: Taken) -> Callback:
        try:
            plain = self._sealer.unseal(
                taken.body,
                table="inbox",
                row=str(taken.id),
                field="body",
            )
            return callbacks.decode(plain)
        except (UnsealError, msgspec.DecodeError) as error:
            self._metrics.faults.labels(self._FAULTS).inc()
            _log.error("callback %s cannot be read: %s", taken.id, type(error).__name__)
            return Callback(source=UNREADABLE, status=UNREADABLE)
