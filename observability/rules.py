"""Prometheus' rules, made from the definitions: ``python -m observability.rules`` writes them.

They say what `observability.judging` says, about the same outcomes and measures; a test compares
what is committed with what is made here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from observability.slos import Condition, Definitions, Severity, Slo, definitions

FOLDER = Path(__file__).parent / "prometheus"

_HEAD = "# Made from observability/slos.toml by `python -m observability.rules`: change it there.\n"
_COUNTER = "pruuf_slo_outcomes_total"
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


class _Alert(Struct, frozen=True, kw_only=True):
    name: str
    expr: str
    for_s: int
    severity: Severity
    title: str
    runbook: str


def span(seconds: int) -> str:
    """A length of time as Prometheus writes it."""
    for size, unit in _UNITS:
        if seconds % size == 0 and seconds >= size:
            return f"{seconds // size}{unit}"
    return "0s"


def files(defined: Definitions) -> Mapping[str, str]:
    """Every file that is made, by its name."""
    burns = [alert for slo in defined.slo.values() for alert in _burns(defined, slo)]
    low = [_any_bad(slo) for slo in defined.slo.values() if slo.any_bad_within_s is not None]
    low += [_condition(defined, each) for each in defined.condition.values()]
    return {
        "objectives.rules.yml": _HEAD
        + "groups:\n"
        + _group("pruuf-objectives", [*_records(defined)])
        + _group("pruuf-burn-rates", [_alert(defined, alert) for alert in burns]),
        "low_traffic.rules.yml": _HEAD
        + "groups:\n"
        + _group("pruuf-low-traffic", [_alert(defined, alert) for alert in low]),
        "alertmanager.yml": _alertmanager(defined),
    }


def _records(defined: Definitions) -> Iterator[str]:
    for window in defined.windows_s:
        bad = f'sum by (slo) (rate({_COUNTER}{{verdict="bad"}}[{span(window)}]))'
        ours = f'sum by (slo) (rate({_COUNTER}{{verdict=~"good|bad"}}[{span(window)}]))'
        yield _rule({"record": f"pruuf:slo_bad:ratio_{span(window)}", "expr": f"{bad} / {ours}"})
    for window in sorted({burn.long_s for burn in defined.burn}):
        counted = f'sum by (slo) (increase({_COUNTER}{{verdict="bad"}}[{span(window)}]))'
        yield _rule({"record": f"pruuf:slo_bad:increase_{span(window)}", "expr": counted})


def _burns(defined: Definitions, slo: Slo) -> Iterator[_Alert]:
    if not slo.allowed:
        return
    key = next(key for key, each in defined.slo.items() if each is slo)
    severities: tuple[Severity, ...] = ("page", "ticket")
    for severity in severities:
        pairs = []
        for burn in defined.burn:
            if burn.severity != severity:
                continue
            bound = f"{round(burn.factor * slo.allowed, 9):g}"
            ratio = 'pruuf:slo_bad:ratio_{}{{slo="{}"}} > {}'
            counted = f'pruuf:slo_bad:increase_{span(burn.long_s)}{{slo="{key}"}}'
            parts = (
                ratio.format(span(burn.long_s), key, bound),
                ratio.format(span(burn.short_s), key, bound),
                # increase() is no whole number.
                f"{counted} > {slo.least - 0.5:g}",
            )
            pairs.append(f"({' and '.join(parts)})")
        yield _Alert(
            name=slo.burn_alert(severity),
            expr=" or ".join(pairs),
            for_s=0,
            severity=severity,
            title=f"{slo.title}: the budget burns too fast",
            runbook=slo.runbook,
        )


def _any_bad(slo: Slo) -> _Alert:
    key = next(key for key, each in definitions().slo.items() if each.name == slo.name)
    within = span(slo.any_bad_within_s or 0)
    return _Alert(
        name=slo.bad_alert,
        expr=f'sum by (slo) (increase({_COUNTER}{{verdict="bad",slo="{key}"}}[{within}])) > 0.5',
        for_s=0,
        severity="page",
        title=slo.bad_title,
        runbook=slo.runbook,
    )


def _condition(defined: Definitions, condition: Condition) -> _Alert:
    measure = defined.measure[condition.measure]
    series = measure.metric
    if condition.only:
        series += f'{{{measure.label}=~"{"|".join(condition.only)}"}}'
    # Of several relays that tell, the worst counts.
    most = "max" if condition.above is not None else "min"
    by = "" if measure.label is None else f" by ({measure.label})"
    value = measure.promql or f"{most}{by} ({series})"
    if condition.absent_is_zero:
        value = f"({value} or vector(0))"
    bound = f"> {condition.above:g}" if condition.above is not None else f"< {condition.below:g}"
    return _Alert(
        name=condition.name,
        expr=f"{value} {bound}",
        for_s=condition.for_s,
        severity=condition.severity,
        title=condition.title,
        runbook=condition.runbook,
    )


def _alert(defined: Definitions, alert: _Alert) -> str:
    rule: dict[str, object] = {"alert": alert.name, "expr": alert.expr}
    if alert.for_s:
        rule["for"] = span(alert.for_s)
    rule["labels"] = {"severity": alert.severity}
    rule["annotations"] = {
        "summary": alert.title,
        "description": "{{ $value | humanize }} {{ $labels }}",
        "runbook_url": f"{defined.runbook_base}{alert.runbook}",
    }
    return _rule(rule)


def _group(name: str, rules: list[str]) -> str:
    return f"  - name: {name}\n    interval: 30s\n    rules:\n{''.join(rules)}"


def _rule(fields: Mapping[str, object]) -> str:
    lines = []
    for name, value in fields.items():
        if isinstance(value, dict):
            lines.append(f"{name}:")
            lines += [f"  {key}: {json.dumps(text)}" for key, text in value.items()]
        else:
            lines.append(f"{name}: {json.dumps(value)}")
    return "      - " + "\n        ".join(lines) + "\n"


def _alertmanager(defined: Definitions) -> str:
    labels = {
        condition.name: defined.measure[condition.measure].label or ""
        for condition in defined.condition.values()
    }
    rules = []
    for cause, hides in defined.follow.items():
        for value, names in hides.items():
            source = [f"alertname = {cause}"]
            if value != "any":
                source.append(f"{labels[cause]} = {value}")
            for name, _, about in (each.partition("/") for each in names):
                target = [f"alertname = {name}"]
                if about:
                    target.append(f"{labels[name]} = {about}")
                rules.append(
                    f"  - source_matchers: [{', '.join(source)}]\n"
                    f"    target_matchers: [{', '.join(target)}]\n"
                )
    return _ALERTMANAGER + "".join(rules)


_ALERTMANAGER = f"""{_HEAD}
# An example: put your own receivers in. The pager should share nothing with what it watches.
route:
  receiver: tickets
  group_by: [alertname, slo, provider, channel, lane]
  group_wait: 10s
  group_interval: 2m
  repeat_interval: 12h
  routes:
    - matchers: [severity = page]
      receiver: pager
      group_wait: 0s
      repeat_interval: 1h

receivers:
  - name: pager
    webhook_configs:
      - url: https://pager.example.com/hook
        send_resolved: true
    email_configs:
      - to: oncall@example.com
        from: prometheus@example.com
        smarthost: mail.example.com:587
        send_resolved: true
  - name: tickets
    email_configs:
      - to: team@example.com
        from: prometheus@example.com
        smarthost: mail.example.com:587

# What follows from something else that is told already.
inhibit_rules:
"""


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in files(definitions()).items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
