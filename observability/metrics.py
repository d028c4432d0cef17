"""Metrics of a gateway process: bounded labels, never an id or a number; units in the names."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from observability.exporting import SpanCounts

_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


def new_registry() -> CollectorRegistry:
    """A registry of its own for one process, with the figures of that process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class GatewayMetrics:
    """All that a gateway counts; one registry per process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register everything."""
        self.registry = registry
        self.requests = Counter(
            "pruuf_http_requests",
            "Requests answered, by route template.",
            ("route", "method", "status"),
            registry=registry,
        )
        self.request_seconds = Histogram(
            "pruuf_http_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ("route", "method"),
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self.connections = Gauge(
            "pruuf_http_connections",
            "Connections that are open.",
            registry=registry,
        )
        self.connections_cut = Counter(
            "pruuf_http_connections_cut",
            "Connections closed by the gateway: a slow head or body, or no place for all.",
            ("why",),
            registry=registry,
        )
        self.events_accepted = Counter(
            "pruuf_events_accepted",
            "Events committed for the first time.",
            ("type",),
            registry=registry,
        )
        self.intake_batch = Histogram(
            "pruuf_intake_batch_size",
            "Events per intake transaction.",
            buckets=_BATCH_BUCKETS,
            registry=registry,
        )
        self.inbox_stored = Counter(
            "pruuf_inbox_stored",
            "Callbacks and receipts stored for the first time.",
            ("provider",),
            registry=registry,
        )
        self.forged = Counter(
            "pruuf_forged_callbacks",
            "Callbacks and receipts refused because their signature does not fit.",
            ("provider",),
            registry=registry,
        )
        self.codes = Counter(
            "pruuf_codes",
            "One-time codes asked for: sent, or why not.",
            ("outcome",),
            registry=registry,
        )
        self.code_checks = Counter(
            "pruuf_code_checks",
            "Guesses of one-time codes, by the answer.",
            ("status",),
            registry=registry,
        )
        self.spans = SpanCounts(registry)
