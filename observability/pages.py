"""The reference pages of objectives, metrics, traces and logs, made from their definitions.

``python -m observability.pages`` writes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from observability import signals
from observability.audit_metrics import AuditMetrics
from observability.billing_metrics import BillingMetrics
from observability.metrics import GatewayMetrics
from observability.outcomes import OutcomeCounter
from observability.relay_metrics import RelayMetrics
from observability.rules import span
from observability.slos import Condition, Slo, definitions

FOLDER = Path(__file__).parents[1] / "runbooks" / "reference"


def pages() -> Mapping[str, str]:
    """Every page, by its file name."""
    return {
        "slos.md": "\n".join(_slos()).rstrip() + "\n",
        "metrics.md": "\n".join(_metrics()).rstrip() + "\n",
        "traces-and-logs.md": "\n".join(signals.page()).rstrip() + "\n",
    }


def _slos() -> Iterator[str]:
    defined = definitions()
    yield "# Objectives and alerts\n"
    yield "Made from `observability/slos.toml` by `python -m observability.pages`; a test compares"
    yield "them. From the same file come Prometheus' rules (`observability/prometheus/`), `pruuf"
    yield "slo` and `pruuf watch`.\n"
    yield f"Each objective is a share over {defined.window_days} days: good / (good + bad). Each"
    yield "thing is counted once, in the minute in which it began, when the time that it has is"
    yield "over; what is not known by then is bad. A word that comes later is counted as `late` in"
    yield "its own minute. The raw rate has the recipients' faults in it as bad, the adjusted one"
    yield "does not. Minutes are kept for 400 days (`rollup_minute`). What a gateway answered is"
    yield "counted by the gateway, in the minute in which it could write that.\n"
    rows = [
        (
            slo.title,
            "no error" if slo.target == 1 else f"≥ {slo.target * 100:g} %",
            slo.unit,
            span(slo.counted_after_s),
            f"[{slo.runbook}](../{slo.runbook})",
        )
        for slo in defined.slo.values()
    ]
    yield from _table(("objective", "target", "one is", "counted after", "runbook"), rows)
    for key, slo in defined.slo.items():
        yield f"\n## {slo.title} (`{key}`)\n"
        yield from _table(("outcome", "counts as", "meaning"), _outcomes(slo))
    yield "\n## Burn rates\n"
    yield "How many times faster than allowed the budget goes, in both windows of a pair; and never"
    yield "by fewer bad ones than stand behind the objective's alert.\n"
    yield from _table(
        ("severity", "long window", "short window", "faster than"),
        (
            (burn.severity, span(burn.long_s), span(burn.short_s), f"{burn.factor:g}×")
            for burn in defined.burn
        ),
    )
    yield "\n## Alerts\n"
    yield "`page` wakes somebody; `ticket` waits for the working day."
    yield "What follows from another alert is not told while that one fires, nor while its figures"
    yield "can still come from that time: a burn rate looks back. `pruuf watch` does so;"
    yield "Alertmanager knows only what fires at the same moment. Of `relays page` whoever is on"
    yield "call hears from a relay, the moment that it happens, and neither of those two calls"
    yield "again.\n"
    yield from _table(("alert", "severity", "when", "hides", "runbook"), _alerts())


def _outcomes(slo: Slo) -> Iterator[Sequence[str]]:
    for meanings, counts in ((slo.good, "good"), (slo.bad, "bad"), (slo.shown, "shown")):
        for name, meaning in meanings.items():
            fault = "; bad in the raw rate" if name in slo.faults else ""
            yield f"`{name}`", f"{counts}{fault}", meaning
    for name, why in slo.left_out.items():
        yield name, "left out", why


def _alerts() -> Iterator[Sequence[str]]:
    defined = definitions()
    for slo in defined.slo.values():
        page = f"[{slo.runbook}](../{slo.runbook})"
        if slo.any_bad_within_s is not None:
            when = f"one is bad, for {span(slo.any_bad_within_s)}"
            yield f"`{slo.bad_alert}`", "page", when, _hides(slo.bad_alert), page
        if slo.allowed:
            when = f"the budget burns, by at least {slo.least} bad ones"
            name = slo.burn_alert("page")
            yield f"`{name}`", "page", when, _hides(name), page
            yield f"`{slo.burn_alert('ticket')}`", "ticket", when, "", page
    for condition in defined.condition.values():
        page = f"[{condition.runbook}](../{condition.runbook})"
        told = f"{condition.severity}{'; relays page' if condition.told_by_relays else ''}"
        yield f"`{condition.name}`", told, _when(condition), _hides(condition.name), page


def _hides(alert: str) -> str:
    follow = definitions().follow.get(alert, {})
    return "; ".join(
        f"{'' if value == 'any' else f'{value}: '}{', '.join(names)}"
        for value, names in follow.items()
        if names
    )


def _when(condition: Condition) -> str:
    bound = (
        f"below {condition.below or 0:g}"
        if condition.above is None
        else f"above {condition.above:g}"
    )
    only = f" ({', '.join(condition.only)})" if condition.only else ""
    held = f" for {span(condition.for_s)}" if condition.for_s else ""
    return f"`{definitions().measure[condition.measure].metric}`{only} {bound}{held}"


def _metrics() -> Iterator[str]:
    yield "# Metrics\n"
    yield "Made from the registries by `python -m observability.pages`; a test compares them."
    yield "Labels are bounded: never an id, a number or a text. Each process shows its own, at the"
    yield "gateways' `/metrics` and at the relays' `PRUUF_RELAY_METRICS_PORT`: sum counters over"
    yield "processes; of what all relays read from the database, take the largest. Who asks for"
    yield "OpenMetrics (`Accept: application/openmetrics-text`) gets exemplars with it: the trace"
    yield "of one request or call in each bucket of a duration, where that trace was exported.\n"
    gateway, relay = CollectorRegistry(), CollectorRegistry()
    GatewayMetrics(gateway)
    OutcomeCounter(gateway, "events", "webhooks")
    RelayMetrics(relay)
    AuditMetrics(relay)
    BillingMetrics(relay)
    for title, registry in (("Gateway", gateway), ("Relay", relay)):
        yield f"## {title}\n"
        yield from _table(("name", "type", "labels", "what"), _rows(registry))
        yield ""
    yield "A gateway also shows its process's memory, processor time and open files (`process_…`,"
    yield "`python_…`)."


def _rows(registry: CollectorRegistry) -> Iterator[Sequence[str]]:
    found = [
        each
        for each in dict.fromkeys(registry._names_to_collectors.values())  # noqa: SLF001 - no other way
        if isinstance(each, MetricWrapperBase)
    ]
    for metric in found:
        (family,) = metric.describe()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = ", ".join(f"`{label}`" for label in metric._labelnames)  # noqa: SLF001 - as above
        yield f"`{name}`", family.type, labels, family.documentation


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def main() -> None:
    """Write the pages."""
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
