"""Compares Stripe's books with ours every few hours: one relay at a time, from where it was left.

It reads only. What differs is counted and named; the repair is asked for by a person.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from observability.relay_metrics import RelayMetrics
from outbox.domain.billing_books import CAUSES, Repair
from outbox.domain.billing_requests import BillingProvider
from outbox.relay.billing_books import KINDS, SCHEDULE, UnreachableError, Walk
from outbox.relay.database import Session
from outbox.relay.duty import Duty
from outbox.store import billing_books as store
from outbox.store import billing_findings
from outbox.store.billing_books import Place
from outbox.store.billing_findings import BOOKS

_log = logging.getLogger(__name__)

_EVERY_S = 6 * 3600.0
_LEASE_S = 600.0
_PAUSE_S = 0.25
"""Between calls: a small part of what Stripe allows."""

_DIFFERENCES = "differences"


class BillingReconciler(Duty):
    """One relay of all at a time, page by page."""

    every_s = 10.0

    def __init__(  # noqa: PLR0913 - all that it needs is passed in
        self,
        *,
        session: Session,
        stripe: BillingProvider | None,
        price: str | None,
        metrics: RelayMetrics,
        pause_s: float = _PAUSE_S,
        held: Callable[[], bool] = lambda: False,
    ) -> None:
        """``stripe`` is null where billing is off: there is nothing to do then.

        ``held``: a person keeps everybody from calling Stripe just now.
        """
        super().__init__(session)
        self._held = held
        self._walk = None
        if stripe is not None:
            self._walk = Walk(session=session, stripe=stripe, price=price, pause_s=pause_s)
        self._faults = metrics.faults.labels("billing_reconciler")
        self._outcomes = metrics.outcomes

    async def turn(self) -> bool:
        """Go on with what is compared just now."""
        return await self.round()

    async def round(self, *, every_s: float = _EVERY_S) -> bool:
        """Read one page, or look at what differs; whether there is more to do now."""
        if self._walk is None or self._held():
            return False
        place = await self._session.persist(
            lambda c: store.take(c, every_s=every_s, lease_s=_LEASE_S)
        )
        if place is None:
            return False
        try:
            following = await self._go_on(self._walk, place)
        except UnreachableError as error:
            # The lease is kept: somebody goes on from here when it has passed.
            self._faults.inc()
            _log.warning("Stripe's books cannot be read: %s", error.code)
            return False
        over = following.kind is None
        await self._session.persist(lambda c: store.put(c, following, over=over))
        return not over

    async def _go_on(self, walk: Walk, place: Place) -> Place:
        if place.kind == _DIFFERENCES:
            await self._look(walk)
            return Place(kind=None, page=None)
        if place.kind is None:
            await self._session.persist(lambda c: store.forget(c, SCHEDULE))
        kind = place.kind or KINDS[0]
        read = await walk.page(kind, place.page)
        if read.following is not None:
            return Place(kind=kind, page=read.following)
        later = KINDS[KINDS.index(kind) + 1 :]
        return Place(kind=later[0] if later else _DIFFERENCES, page=None)

    async def _look(self, walk: Walk) -> None:
        begun = time.monotonic()
        found = await walk.differences()
        took_s = time.monotonic() - begun
        number = await self._session.persist(lambda c: store.number_met(c, SCHEDULE))
        new = await self._session.persist(
            lambda c: billing_findings.replace(
                c, BOOKS, found, took_s=took_s, looked_at_rows=number
            )
        )
        await self._session.persist(lambda c: store.forget(c, SCHEDULE))
        # The minutes have it already, with what was found; this is for Prometheus.
        self._outcomes.add("billing", "drift", len(new))
        fresh = {(each.cause, each.object) for each in new}
        for each in found:
            if CAUSES[each.cause].repair is Repair.ASK and (each.cause, each.object) in fresh:
                # What a webhook will mend that is under way; if none does, the next pass finds it.
                _log.warning("Stripe's books are ahead of ours: %s: %s", each.cause, each.object)
            else:
                _log.error("Stripe's books and ours differ: %s: %s", each.cause, each.object)
