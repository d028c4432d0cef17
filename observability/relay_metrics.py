"""Metrics of one relay process: bounded labels, never an id or a number; units in the names."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_CALL_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_FIRST_CALL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)


class RelayMetrics:
    """All that a relay counts; one registry per process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register everything."""
        self.registry = registry
        self.attempts = Counter(
            "pruuf_attempts",
            "Calls to providers by class of outcome.",
            ("provider", "channel", "what", "result"),
            registry=registry,
        )
        self.attempt_seconds = Histogram(
            "pruuf_attempt_seconds",
            "Duration of calls to providers.",
            ("provider",),
            buckets=_CALL_BUCKETS,
            registry=registry,
        )
        self.first_call_seconds = Histogram(
            "pruuf_first_call_seconds",
            "From acceptance to the first call of a provider, by the clock of this machine.",
            ("lane",),
            buckets=_FIRST_CALL_BUCKETS,
            registry=registry,
        )
        self.claimed = Counter("pruuf_claims", "Rows claimed.", ("lane",), registry=registry)
        self.unknown = Counter(
            "pruuf_unknown_outcomes",
            "Claims whose previous owner never settled.",
            ("lane",),
            registry=registry,
        )
        self.finals = Counter(
            "pruuf_notifications_final",
            "Notifications finished by a settle, by state and channel.",
            ("kind", "state", "channel"),
            registry=registry,
        )
        self.receipts = Counter(
            "pruuf_receipts",
            "Receipts applied.",
            ("source", "status"),
            registry=registry,
        )
        self.in_flight = Gauge(
            "pruuf_in_flight",
            "Claims in this process's hands.",
            ("lane",),
            registry=registry,
        )
        self.depth = Gauge(
            "pruuf_outbox_depth",
            "Rows in due, by lane; as this relay last counted.",
            ("lane",),
            registry=registry,
        )
        self.oldest_seconds = Gauge(
            "pruuf_outbox_oldest_seconds",
            "Age of the oldest row that is due, by lane; 0 when none is.",
            ("lane",),
            registry=registry,
        )
        self.pages = Counter(
            "pruuf_operator_pages",
            "Alerts that reached nobody: pages made.",
            registry=registry,
        )
        self.reconnects = Counter(
            "pruuf_database_reconnects",
            "Database connections that had to be opened again.",
            ("part",),
            registry=registry,
        )
        self.faults = Counter(
            "pruuf_relay_faults",
            "Unexpected exceptions: each one is a bug to be mended.",
            ("part",),
            registry=registry,
        )
