"""Metrics of the audit's passes, the same on every relay: bounded labels, times as Unix seconds."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge


class AuditMetrics:
    """What the newest pass found, whichever relay made it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register everything."""
        self.offenders = Gauge(
            "pruuf_audit_offenders",
            "Rows of the ledger that break a rule, by rule; none when all is well.",
            ("check",),
            registry=registry,
        )
        self.notifications = Gauge(
            "pruuf_audit_notifications",
            "Notifications: accepted = final + pending + parked.",
            ("standing",),
            registry=registry,
        )
        self.passed_at = Gauge(
            "pruuf_audit_pass_timestamp_seconds",
            "When the newest pass looked.",
            registry=registry,
        )
        self.clean_at = Gauge(
            "pruuf_audit_clean_timestamp_seconds",
            "When the newest pass that found nothing looked: its age is the time since.",
            registry=registry,
        )
        self.pass_seconds = Gauge(
            "pruuf_audit_pass_seconds",
            "How long the newest pass took.",
            registry=registry,
        )
        self.proven_until = Gauge(
            "pruuf_audit_roots_timestamp_seconds",
            "What was stored before is in a root.",
            registry=registry,
        )
