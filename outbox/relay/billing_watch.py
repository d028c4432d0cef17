"""What looks after billing beside commands and webhooks: rules, reconciler, and what is told."""

from __future__ import annotations

from collections.abc import Callable

from observability.relay_metrics import RelayMetrics
from outbox.domain.billing_requests import BillingProvider
from outbox.relay.billing_notices import BillingNotices
from outbox.relay.billing_reconciler import BillingReconciler
from outbox.relay.billing_rules import BillingRules
from outbox.relay.database import Session
from outbox.sealing import Sealer
from outbox.settings import Settings


class BillingWatch:
    """Its parts; nothing runs yet."""

    def __init__(  # noqa: PLR0913 - all that they need is passed in
        self,
        settings: Settings,
        stripe: BillingProvider | None,
        sealer: Sealer,
        metrics: RelayMetrics,
        *,
        held: Callable[[], bool],
        part: Callable[[str], Session],
        wake: Callable[[int], None],
    ) -> None:
        """``part`` gives each its own session; ``wake`` is told which lanes have something due.

        ``held``: a person keeps everybody from calling Stripe just now.
        """
        price = None if settings.stripe is None else settings.stripe.price_id
        self.rules = BillingRules(session=part("billing-rules"), price=price, metrics=metrics)
        self.reconciler = BillingReconciler(
            session=part("billing-books"), stripe=stripe, price=price, metrics=metrics, held=held
        )
        self.notices = BillingNotices(
            session=part("billing-notices"),
            sealer=sealer,
            policy=settings.policy,
            metrics=metrics,
            wake_lane=wake,
        )

    @property
    def running(self) -> tuple[BillingRules, BillingReconciler, BillingNotices]:
        """All of them."""
        return self.rules, self.reconciler, self.notices
