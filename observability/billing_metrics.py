"""Metrics of billing's watchers, the same on every relay: bounded labels, times as Unix seconds."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge


class BillingMetrics:
    """What the newest passes found, whichever relay made them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register everything."""
        self.errors = Gauge(
            "pruuf_billing_errors",
            "Rows about billing that break a rule, by rule; none when all is well.",
            ("rule",),
            registry=registry,
        )
        self.drift = Gauge(
            "pruuf_billing_drift",
            "Differences between Stripe's books and ours, by cause; none when all is well.",
            ("cause",),
            registry=registry,
        )
        self.looked_at = Gauge(
            "pruuf_billing_watch_timestamp_seconds",
            "When the newest whole pass was done, by what it looked at.",
            ("source",),
            registry=registry,
        )
