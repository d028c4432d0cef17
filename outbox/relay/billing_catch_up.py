"""Fetches from Stripe's list what its webhooks did not bring: after an outage of ours or theirs.

Every event goes into the inbox as if it had been delivered; what is there already changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from observability.relay_metrics import RelayMetrics
from outbox.domain.billing_requests import Answered, BillingProvider
from outbox.domain.billing_webhooks import MalformedEventError, decode
from outbox.domain.outcomes import SENT
from outbox.relay.database import Session
from outbox.relay.duty import Duty
from outbox.sealing import Sealer
from outbox.store import inbox
from outbox.store.billing_cursor import Cursor, put, take
from outbox.store.billing_inbox import sealed_event
from outbox.store.connect import Connection

_log = logging.getLogger(__name__)

_EVERY_S = 300.0
_GONE = "resource_missing"


class BillingCatchUp(Duty):
    """One relay of all reads at a time."""

    every_s = 5.0

    def __init__(  # noqa: PLR0913 - all that it needs is passed in
        self,
        *,
        session: Session,
        stripe: BillingProvider | None,
        sealer: Sealer,
        metrics: RelayMetrics,
        list_every_s: float = _EVERY_S,
        held: Callable[[], bool] = lambda: False,
    ) -> None:
        """``stripe`` is null where billing is off: there is nothing to do then.

        ``held``: a person keeps everybody from calling Stripe just now.
        """
        super().__init__(session)
        self._held = held
        self._stripe = stripe
        self._sealer = sealer
        self._metrics = metrics
        self._list_every_s = list_every_s

    async def turn(self) -> bool:
        """Read one page; whether there is another one to read now."""
        if self._stripe is None or self._held():
            return False
        every_s = self._list_every_s
        cursor = await self._session.persist(lambda c: take(c, every_s=every_s))
        if cursor is None:
            return False
        # No connection is held while Stripe is asked: the lease keeps the others away.
        answered = await self._stripe.events_after(cursor.newest, cursor.page)
        following, whole = _following(cursor, answered)
        events = [] if answered.object is None else list(answered.object.get("data") or [])
        found = await self._session.persist(
            lambda c: self._store(c, events, following, whole=whole)
        )
        self._metrics.billing_caught_up.inc(found)
        if found:
            _log.warning("%d events of Stripe had not come by webhook", found)
        return not whole

    async def _store(
        self,
        connection: Connection,
        events: list[dict[str, Any]],
        following: Cursor,
        *,
        whole: bool,
    ) -> int:
        items = []
        for value in events:
            raw = msgspec.json.encode(value)
            try:
                items.append(sealed_event(self._sealer, decode(raw), raw))
            except MalformedEventError:
                self._metrics.faults.labels("billing_catch_up").inc()
        async with connection.transaction():
            new = await inbox.store(connection, items) if items else []
            await put(connection, following, whole=whole)
        return sum(new)


def _following(cursor: Cursor, answered: Answered) -> tuple[Cursor, bool]:
    """Where to go on after an answer, and whether all was read for now."""
    page = answered.object
    if answered.outcome.result not in SENT or page is None:
        if answered.outcome.code == _GONE:
            # It is older than the list: from its newest end back to the beginning.
            return Cursor(newest=None, page=None, goal=None), False
        return cursor, True
    rows = page.get("data") or []
    more = bool(page.get("has_more")) and bool(rows)
    if cursor.newest is not None:
        newest = rows[0]["id"] if rows else cursor.newest
        return Cursor(newest=newest, page=None, goal=None), not more
    goal = cursor.goal or (rows[0]["id"] if rows else None)
    if more:
        return Cursor(newest=None, page=rows[-1]["id"], goal=goal), False
    return Cursor(newest=goal, page=None, goal=None), True
