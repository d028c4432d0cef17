"""The one way into the inbox: a verified callback is sealed, committed, and only then answered."""

from __future__ import annotations

from msgspec.structs import replace

from gateway.resources import Resources
from observability import tracing
from outbox.domain.callbacks import Callback
from outbox.domain.inbound import Inbound
from outbox.domain.states import Lane
from outbox.store.inbox import TEXTS, sealed, sealed_text


async def keep_text(resources: Resources, text: Inbound) -> None:
    """Store a text from somebody once and wake the relays; like `keep`."""
    if await resources.inbox.submit(sealed_text(resources.sealer, text), first=True):
        resources.metrics.inbox_stored.labels(TEXTS).inc()
        resources.waker.wake_inbox()


async def keep(resources: Resources, callback: Callback, *, lane: int = Lane.TRANSACTIONAL) -> None:
    """Store a callback once and wake the relays; raises `NotDurableError` when it cannot.

    What was stored before changes nothing, and is answered like the first time.
    """
    span = tracing.current()
    if span is not None:
        if lane == Lane.SAFETY:
            span.keep()
        callback = replace(callback, traceparent=span.context.traceparent)
    item = sealed(resources.sealer, callback, lane=lane)
    new = await resources.inbox.submit(item, first=lane == Lane.SAFETY)
    if new:
        resources.metrics.inbox_stored.labels(callback.source).inc()
        resources.waker.wake_inbox()
