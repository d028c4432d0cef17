"""Recorded series for each alert: such that make it fire, and near misses that must not.

One case holds series for many alerts, which do not know of each other: promtool then evaluates them
all at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from msgspec import Struct

from observability.rules import span
from observability.slos import Burn, Condition, Definitions

_RATE = 100_000
"""Things counted in each interval: enough for the smallest share to be several."""
_STEPS = 10
"""Intervals in the short window."""
_SHORT_S = 30


class Case(Struct, frozen=True, kw_only=True):
    """One test of promtool."""

    name: str
    interval_s: int
    series: Mapping[str, str]
    """By its selector: its values as promtool writes them."""
    at_s: int
    expected: Mapping[str, Mapping[str, str] | None]
    """By alert: the labels that it fires with; null: it does not."""

    def text(self, told: Mapping[str, tuple[str, str, str]]) -> str:
        """The case in promtool's form; ``told``: severity, title and runbook by alert."""
        lines = [f"  - interval: {span(self.interval_s)}", f"    name: {json.dumps(self.name)}"]
        lines.append("    input_series:")
        for selector, values in self.series.items():
            lines.append(f"      - series: '{selector}'")
            lines.append(f"        values: '{values}'")
        lines.append("    alert_rule_test:")
        for alert, labels in self.expected.items():
            lines.append(f"      - eval_time: {span(self.at_s)}")
            lines.append(f"        alertname: {alert}")
            if labels is None:
                lines.append("        exp_alerts: []")
                continue
            severity, title, runbook = told[alert]
            lines.append("        exp_alerts:")
            lines.append(f"          - exp_labels: {json.dumps({'severity': severity, **labels})}")
            lines.append("            exp_annotations:")
            lines.append(f"              summary: {json.dumps(title)}")
            lines.append(f"              runbook_url: {json.dumps(runbook)}")
        return "\n".join(lines)


def _counter(slo: str, verdict: str) -> str:
    return f'pruuf_slo_outcomes_total{{slo="{slo}",outcome="{verdict}",verdict="{verdict}"}}'


def burn_cases(defined: Definitions, burn: Burn) -> Iterator[Case]:
    """All above the rate of a pair; just below the lowest; only until, and only since lately.

    What lies before the first sample is in no rate, so that hours stand for days.
    """
    slos = {key: slo for key, slo in defined.slo.items() if slo.allowed}
    alerts = {key: slo.burn_alert(burn.severity) for key, slo in slos.items()}
    same = [each for each in defined.burn if each.severity == burn.severity]
    interval = burn.short_s // _STEPS
    steps = _STEPS + 2
    for factor, fires in (
        (burn.factor * 1.2, True),
        (min(each.factor for each in same) * 0.95, False),
    ):
        series = {}
        for key, slo in slos.items():
            bad = factor * slo.allowed * _RATE
            series[_counter(key, "good")] = f"0+{_RATE - bad:g}x{steps}"
            series[_counter(key, "bad")] = f"0+{bad:g}x{steps}"
        yield Case(
            name=f"the budgets burn {factor:g} times too fast",
            interval_s=interval,
            series=series,
            at_s=interval * steps,
            expected={alert: {"slo": key} if fires else None for key, alert in alerts.items()},
        )
    quiet = max(each.short_s for each in same) // interval + 2
    yield Case(
        name="the long window still burns, the short one does not",
        interval_s=interval,
        series={
            selector: values
            for key in slos
            for selector, values in (
                (_counter(key, "good"), f"0+{_RATE}x{_STEPS + quiet}"),
                (_counter(key, "bad"), f"0+{_RATE}x{_STEPS} {_RATE * _STEPS}x{quiet}"),
            )
        },
        at_s=interval * (_STEPS + quiet),
        expected=dict.fromkeys(alerts.values()),
    )
    before = 3 * _STEPS
    series = {}
    for key, slo in slos.items():
        bad = burn.factor * 1.2 * slo.allowed * _RATE
        good = _RATE * before
        series[_counter(key, "good")] = f"0+{_RATE}x{before} {good}+{_RATE - bad:g}x{_STEPS}"
        series[_counter(key, "bad")] = f"0x{before} {bad:g}+{bad:g}x{_STEPS}"
    yield Case(
        name="the short window burns, the long one does not",
        interval_s=interval,
        series=series,
        at_s=interval * (before + _STEPS),
        expected=dict.fromkeys(alerts.values()),
    )


def any_bad_cases(defined: Definitions) -> Iterator[Case]:
    """One bad one, and none."""
    slos = {key: slo for key, slo in defined.slo.items() if slo.any_bad_within_s is not None}
    for values, fires in (("0x9 1x10", True), ("0x20", False)):
        yield Case(
            name="one is bad" if fires else "none is bad",
            interval_s=_SHORT_S,
            series={
                selector: told
                for key in slos
                for selector, told in (
                    (_counter(key, "bad"), values),
                    (_counter(key, "good"), "0+5x20"),
                )
            },
            at_s=_SHORT_S * 18,
            expected={slo.bad_alert: {"slo": key} if fires else None for key, slo in slos.items()},
        )


def condition_cases(defined: Definitions) -> Iterator[Case]:
    """Beyond the bound for long enough; on it; and beyond it for too short a time."""
    ordinary = {
        condition.name: condition
        for condition in defined.condition.values()
        if defined.measure[condition.measure].promql is None
    }
    hold = max(condition.for_s for condition in ordinary.values()) + 2 * _SHORT_S
    steps = hold // _SHORT_S + 1
    for name in ("beyond", "on the bound", "for a moment"):
        series, expected = {}, {}
        for condition in ordinary.values():
            if name == "for a moment" and not condition.for_s:
                continue
            selector, labels = _series(defined, condition)
            beyond, bound = _values(condition)
            series[selector] = {
                "beyond": f"{beyond:g}x{steps}",
                "on the bound": f"{bound:g}x{steps}",
                "for a moment": f"{bound:g}x{steps - 2} {beyond:g} {beyond:g}",
            }[name]
            expected[condition.name] = labels if name == "beyond" else None
        at_s = _SHORT_S * (steps if name == "for a moment" else steps - 1)
        if name == "for a moment":
            # So short is only what has to hold for longer.
            long = {n for n, condition in ordinary.items() if condition.for_s > _SHORT_S}
            expected = {alert: told for alert, told in expected.items() if alert in long}
        yield Case(name=name, interval_s=_SHORT_S, series=series, at_s=at_s, expected=expected)
    yield Case(
        name="nobody tells of relays",
        interval_s=_SHORT_S,
        series={"up": "1x20"},
        at_s=_SHORT_S * 10,
        expected={
            condition.name: {} if condition.absent_is_zero else None
            for condition in ordinary.values()
        },
    )
    for values, fires in (("0x20", True), (f"0+{_SHORT_S}x20", False)):
        yield Case(
            name=f"the database was last read {'long ago' if fires else 'now'}",
            interval_s=_SHORT_S,
            series={"pruuf_pulse_timestamp_seconds": values},
            at_s=_SHORT_S * 10,
            expected={"DatabaseAway": {} if fires else None},
        )


def _series(defined: Definitions, condition: Condition) -> tuple[str, dict[str, str]]:
    measure = defined.measure[condition.measure]
    if measure.label is None:
        return measure.metric, {}
    value = next(iter(condition.only), "one")
    labels = {measure.label: value}
    return f'{measure.metric}{{{measure.label}="{value}",instance="relay-1"}}', labels


def _values(condition: Condition) -> tuple[float, float]:
    if condition.above is not None:
        return condition.above + 1, condition.above
    bound = condition.below or 0.0
    return bound - 1, bound
