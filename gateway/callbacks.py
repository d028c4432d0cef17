"""The one way into the inbox: a verified callback is sealed, committed, and only then answered."""

from __future__ import annotations

from gateway.resources import Resources
from outbox.domain.callbacks import Callback
from outbox.domain.states import Lane
from outbox.store.inbox import sealed


async def keep(resources: Resources, callback: Callback, *, lane: int = Lane.TRANSACTIONAL) -> None:
    """Store a callback once and wake the relays; raises `NotDurableError` when it cannot.

    What was stored before changes nothing, and is answered like the first time.
    """
    item = sealed(resources.sealer, callback, lane=lane)
    new = await resources.inbox.submit(item, first=lane == Lane.SAFETY)
    if new:
        resources.metrics.inbox_stored.labels(callback.source).inc()
        resources.waker.wake_inbox()
