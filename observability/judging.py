"""Judges what was counted and read by the definitions: where each objective stands, what fires.

The one evaluator: `pruuf slo`, `pruuf watch` and the dashboard ask it, and Prometheus' rules say
the same. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from observability.burn import Outcomes, budget_left, burn_rate, burning, counts
from observability.slos import Condition, Definitions, Severity, Slo

_COUNTING_S = 120
"""From the moment at which a minute may be counted until it is: the longest transaction, the rest
of the minute, and the round of a relay."""

Windows = Mapping[int, Outcomes]
"""Outcomes by the length of the window, in seconds, each ending with the newest counted minute."""


class Firing(Struct, frozen=True, kw_only=True):
    """One alert that holds at this moment."""

    name: str
    label: str
    """What it is about, such as a provider; empty when there is one of it only."""
    title: str
    severity: Severity
    runbook: str
    detail: str
    """The figure that makes it fire: a sentence without its full stop."""
    for_s: int = 0
    """How long it must hold before somebody is told."""
    settles_s: int = 0
    """How long it may still hold because of something that is over: figures look back."""
    told_by_relays: bool = False
    """The person on call heard of it from the relays."""

    @property
    def headline(self) -> str:
        """What fires, in words."""
        return f"{self.title} ({self.label})" if self.label else self.title

    @property
    def key(self) -> tuple[str, str]:
        """What one incident is about."""
        return self.name, self.label


class Standing(Struct, frozen=True, kw_only=True):
    """Where an objective stands over its whole window."""

    key: str
    title: str
    target: float
    rate: float | None
    """Share that was good, without what is not ours to answer for; null: nothing was counted."""
    raw: float | None
    """The same with the recipients' faults as bad."""
    budget_left: float
    """1 untouched, 0 used up, below that overdrawn."""
    burn: float
    """Over the shortest of the long windows: 1 would just use up the budget."""
    good: int
    bad: int
    outcomes: Mapping[str, int]
    runbook: str

    @property
    def met(self) -> bool:
        """Whether the target is reached; so it is while nothing was counted."""
        return self.budget_left >= 0.0 and (self.target < 1 or not self.bad)


class Judgement(Struct, frozen=True, kw_only=True):
    """Everything, the worst first."""

    standings: tuple[Standing, ...]
    firing: tuple[Firing, ...]


def judge(
    definitions: Definitions,
    counted: Mapping[str, Windows],
    readings: Iterable[tuple[str, str, float]],
) -> Judgement:
    """Judge counted outcomes by objective, and readings: measure, label, value."""
    standings = [
        _standing(definitions, key, slo, counted.get(key, {}))
        for key, slo in definitions.slo.items()
    ]
    firing = [
        fired
        for key, slo in definitions.slo.items()
        for fired in _of_slo(definitions, slo, counted.get(key, {}))
    ]
    found = list(readings)
    firing += [
        _fired(definitions, condition, label, value)
        for condition in definitions.condition.values()
        for measure, label, value in found
        if measure == condition.measure
        and (not condition.only or label in condition.only)
        and condition.holds(value)
    ]
    return Judgement(
        standings=tuple(sorted(standings, key=lambda each: (each.met, each.budget_left))),
        firing=tuple(sorted(firing, key=lambda each: each.severity != "page")),
    )


def _standing(definitions: Definitions, key: str, slo: Slo, windows: Windows) -> Standing:
    outcomes = windows.get(definitions.window_s, {})
    whole = counts(slo, outcomes)
    shortest = min(burn.long_s for burn in definitions.burn)
    return Standing(
        key=key,
        title=slo.title,
        target=slo.target,
        rate=whole.rate,
        raw=whole.raw,
        budget_left=budget_left(slo, whole),
        burn=burn_rate(slo, counts(slo, windows.get(shortest, {}))),
        good=whole.good,
        bad=whole.bad,
        outcomes=dict(sorted(outcomes.items())),
        runbook=slo.runbook,
    )


def _of_slo(definitions: Definitions, slo: Slo, windows: Windows) -> list[Firing]:
    sorted_out = {window: counts(slo, windows.get(window, {})) for window in definitions.windows_s}
    fired = []
    found = burning(definitions, slo, sorted_out)
    if found is not None:
        burn, rate = found
        fired.append(
            Firing(
                name=slo.burn_alert(burn.severity),
                label="",
                title=f"{slo.title}: below {slo.target:.2%}",
                severity=burn.severity,
                runbook=slo.runbook,
                detail=_burnt(slo, windows.get(burn.long_s, {}), burn.long_s, rate),
                settles_s=slo.counted_after_s + _COUNTING_S + burn.short_s,
            )
        )
    if slo.any_bad_within_s is not None:
        recent = windows.get(slo.any_bad_within_s, {})
        bad = counts(slo, recent).bad
        if bad:
            fired.append(
                Firing(
                    name=slo.bad_alert,
                    label="",
                    title=slo.bad_title,
                    severity="page",
                    runbook=slo.runbook,
                    detail=f"{_named(slo, recent)} in {spoken(slo.any_bad_within_s)}",
                )
            )
    return fired


def _burnt(slo: Slo, outcomes: Outcomes, within_s: int, rate: float) -> str:
    counted = counts(slo, outcomes)
    named = _named(slo, outcomes)
    return f"{named} of {counted.good + counted.bad:,} in {spoken(within_s)}, {rate:,.0f}× too many"


def _named(slo: Slo, outcomes: Outcomes) -> str:
    """The bad ones by what became of them, the most first; what the file does not know is bad."""
    bad = {n: x for n, x in outcomes.items() if n not in slo.good and n not in slo.shown}
    found = sorted(bad.items(), key=lambda each: -each[1])
    return ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in found)


def spoken(seconds: float) -> str:
    """A length of time as one says it."""
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.0f} s" if seconds >= 10 else f"{seconds:,.1f} s"  # noqa: PLR2004 - two digits


def _fired(definitions: Definitions, condition: Condition, label: str, value: float) -> Firing:
    measure = definitions.measure[condition.measure]
    says = measure.says[:1].upper() + measure.says[1:]
    in_s = condition.measure.endswith("_s")
    return Firing(
        name=condition.name,
        label=label,
        title=condition.title,
        severity=condition.severity,
        runbook=condition.runbook,
        detail=f"{says}: {spoken(value) if in_s else f'{value:,.0f}'}",
        for_s=condition.for_s,
        settles_s=condition.settles_s,
        told_by_relays=condition.told_by_relays,
    )


def hidden(
    definitions: Definitions, firing: Iterable[Firing], *, also: Iterable[Firing] = ()
) -> set[tuple[str, str]]:
    """Of what fires, what follows from something else that fires too: nobody need be told.

    ``also``: what does not fire, and hides as if it did.
    """
    found = list(firing)
    follow = definitions.follow
    names = {
        name
        for each in (*found, *also)
        for value, names in follow.get(each.name, {}).items()
        if value in {"any", each.label}
        for name in names
    }
    return {each.key for each in found if {each.name, f"{each.name}/{each.label}"} & names}
