"""Every metric there is: named by convention, with few labels that have few values."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from observability.audit_metrics import AuditMetrics
from observability.billing_metrics import BillingMetrics
from observability.metrics import GatewayMetrics
from observability.outcomes import OutcomeCounter
from observability.relay_metrics import RelayMetrics

_LABELS = {
    "route": "templates of our routes",
    "method": "HTTP's, or other",
    "status": "HTTP's, or a word that is known",
    "type": "kinds of events; Stripe's types that we listen to, or unlisted",
    "version": "pinned or other",
    "provider": "twilio, fcm, stripe, operator, app",
    "sender": "place of a sender in the settings",
    "country": "ISO's codes",
    "slo": "observability/slos.toml",
    "outcome": "the same, or what became of a code",
    "verdict": "the same",
    "lane": "four",
    "channel": "those of plans",
    "kind": "those of plans",
    "state": "of a notification, or of a device",
    "what": "send, ask, skip",
    "result": "classes of outcomes",
    "why": "why no call was made",
    "part": "of a relay",
    "source": "who sends receipts; whose books",
    "check": "rules of the audit",
    "rule": "rules of billing",
    "cause": "of a difference from Stripe",
    "standing": "final, pending, parked",
}
"""Every label that a metric may have, and what bounds its values; never an id or a text."""


def _metrics() -> Iterator[MetricWrapperBase]:
    gateway, relay = CollectorRegistry(), CollectorRegistry()
    GatewayMetrics(gateway)
    OutcomeCounter(gateway)
    RelayMetrics(relay)
    AuditMetrics(relay)
    BillingMetrics(relay)
    for registry in (gateway, relay):
        for found in dict.fromkeys(registry._names_to_collectors.values()):
            if isinstance(found, MetricWrapperBase):
                yield found


_ALL = list(_metrics())


def test_all_labels_are_known_and_bounded() -> None:
    used = {label for metric in _ALL for label in metric._labelnames}
    assert used == set(_LABELS)


@pytest.mark.parametrize("metric", _ALL, ids=lambda metric: str(metric._name))
def test_names_and_units_are_those_of_the_convention(metric: MetricWrapperBase) -> None:
    (family,) = metric.describe()
    assert re.fullmatch(r"pruuf(_[a-z0-9]+)+", family.name)
    # Base units only, and at the end.
    assert not re.search(r"_(ms|millis\w*|minutes|hours|days_\w+|percent|kb|mb)$", family.name)
    assert "seconds" not in family.name or family.name.endswith("_seconds")
    assert "timestamp" not in family.name or family.name.endswith("_timestamp_seconds")
    if family.type == "histogram":
        assert re.search(r"_(seconds|bytes|size)$", family.name)
    assert family.documentation.endswith(".")
    assert len(metric._labelnames) <= 4
