"""Metrics of one relay process: bounded labels, never an id or a number; units in the names."""

from __future__ import annotations

import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from observability.exporting import SpanCounts
from observability.outcomes import OutcomeCounter
from observability.slos import definitions

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
            "Receipts applied; other: a status that we do not know.",
            ("source", "status"),
            registry=registry,
        )
        self.billing_webhooks = Counter(
            "pruuf_billing_webhooks",
            "Stripe's webhooks by what became of them; failed: set aside for a person.",
            ("type", "result"),
            registry=registry,
        )
        self.billing_caught_up = Counter(
            "pruuf_billing_events_caught_up",
            "Stripe's events that came from its list, not by webhook.",
            registry=registry,
        )
        self.billing_versions = Counter(
            "pruuf_billing_webhook_versions",
            "Stripe's webhooks by whether they were told by the pinned API version.",
            ("version",),
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
        self.breaker_open = Gauge(
            "pruuf_breaker_open",
            "1 while calls to a sender are stopped; senders by their position.",
            ("provider", "sender"),
            registry=registry,
        )
        self.provider_held = Gauge(
            "pruuf_provider_held",
            "1 while a person holds a sender; senders by their position.",
            ("provider", "sender"),
            registry=registry,
        )
        self.headroom = Gauge(
            "pruuf_rate_headroom",
            "Messages that a limited sender may take at once, in this relay's hands.",
            ("provider", "sender"),
            registry=registry,
        )
        self.blocked = Counter(
            "pruuf_calls_blocked",
            "Calls that were not made: down, returning, held (by the provider's wish), on_hold (by"
            " a person) or rate.",
            ("lane", "why"),
            registry=registry,
        )
        self.codes_conversion = Gauge(
            "pruuf_codes_conversion",
            "Share of the one-time codes of an hour that were used; of the hour that ended as the"
            " last of them was over.",
            ("country",),
            registry=registry,
        )
        self.codes_stopped = Gauge(
            "pruuf_codes_stopped",
            "1 while no one-time code goes to a country, as hardly any was used.",
            ("country",),
            registry=registry,
        )
        self.codes_hour = Gauge(
            "pruuf_codes_hour",
            "One-time codes of that hour.",
            ("country",),
            registry=registry,
        )
        self.devices = Gauge(
            "pruuf_devices",
            "Devices: fresh, stale (no contact for a month) or dead; as this relay last counted.",
            ("state",),
            registry=registry,
        )
        self.retained_until = Gauge(
            "pruuf_retention_until_timestamp_seconds",
            "What was finished before is dropped; as this relay last looked.",
            ("what",),
            registry=registry,
        )
        self.erasures_waiting = Gauge(
            "pruuf_erasures_waiting",
            "People who asked to be forgotten, and are not yet; as this relay last looked.",
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
        self.spans = SpanCounts(registry)
        self.outcomes = OutcomeCounter(registry)
        self.pulse_at = Gauge(
            "pruuf_pulse_timestamp_seconds",
            "When this relay last read how things stand, by its own clock.",
            registry=registry,
        )
        self._measures = {
            key: Gauge(
                measure.metric,
                measure.help,
                () if measure.label is None else (measure.label,),
                registry=registry,
            )
            for key, measure in definitions().measure.items()
            if measure.promql is None
        }

    def show(self, readings: Iterable[tuple[str, str, float]]) -> None:
        """Set the measures of this moment: name, label and value; what is not told is gone."""
        found = list(readings)
        for key, gauge in self._measures.items():
            if definitions().measure[key].label is None:
                continue
            gauge.clear()
        for name, label, value in found:
            gauge = self._measures[name]
            (gauge.labels(label) if definitions().measure[name].label else gauge).set(value)
        self.pulse_at.set(time.time())
