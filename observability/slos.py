"""Objectives and conditions as ``slos.toml`` defines them: the one source for all that judges."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import resources
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

Severity = Literal["page", "ticket"]
Meanings = Mapping[str, str]
Seconds = Annotated[int, Meta(ge=0)]


class Verdict(StrEnum):
    """How an outcome counts."""

    GOOD = "good"
    BAD = "bad"
    SHOWN = "shown"
    """Counted and shown, in no rate but the raw one where it is somebody's fault."""


class Slo(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One objective; the fields are explained in the file."""

    name: str
    title: str
    target: Annotated[float, Meta(gt=0, le=1)]
    unit: str
    counted_after_s: Seconds
    runbook: str
    good: Meanings
    bad: Meanings
    shown: Meanings = {}
    faults: tuple[str, ...] = ()
    """Those of ``shown`` that are bad in the raw rate: the recipient was not reached."""
    left_out: Meanings = {}
    least: Annotated[int, Meta(ge=1)] = 3
    any_bad_within_s: Seconds | None = None
    bad_title: str = ""
    """Of the page that a single bad one raises."""
    hides: tuple[str, ...] = ()
    """Alerts that follow from a budget that burns so fast that it pages."""

    @property
    def allowed(self) -> float:
        """The share that may be bad."""
        return 1.0 - self.target

    @property
    def bad_alert(self) -> str:
        """Name of the alert that a single bad one raises."""
        return f"{self.name}Bad"

    def burn_alert(self, severity: Severity) -> str:
        """Name of the alert that burn rates raise."""
        return f"{self.name}{'Burning' if severity == 'page' else 'Eroding'}"

    @property
    def outcomes(self) -> Mapping[str, Verdict]:
        """Every outcome, and how it counts."""
        return {
            name: verdict
            for verdict, names in (
                (Verdict.GOOD, self.good),
                (Verdict.BAD, self.bad),
                (Verdict.SHOWN, self.shown),
            )
            for name in names
        }


class Burn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pair of windows: the long one says that it matters, the short one that it goes on."""

    severity: Severity
    long_s: Seconds
    short_s: Seconds
    factor: Annotated[float, Meta(gt=0)]


class Measure(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A figure of this moment."""

    metric: str
    help: str
    says: str
    """What the figure is, before its value in a page: a few words."""
    label: str | None = None
    promql: str | None = None
    """In place of the metric as it is; null: the metric itself, set by the relays."""


class Condition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An alert about a measure; exactly one of ``above`` and ``below``."""

    name: str
    title: str
    measure: str
    above: float | None = None
    below: float | None = None
    only: tuple[str, ...] = ()
    """Values of the measure's label that it is about; empty: all."""
    absent_is_zero: bool = False
    """In Prometheus: nobody tells of it, so there is none."""
    for_s: Seconds
    severity: Severity
    told_by_relays: bool = False
    """Relays call the person on call themselves, the moment that it happens."""
    runbook: str
    hides: Mapping[str, tuple[str, ...]] = {}
    """Alerts that follow from this one, by the value of its label, or ``any``."""
    settles_s: Seconds = 0
    """How long it may still hold because of something that is over."""

    def holds(self, value: float) -> bool:
        """Whether a value is beyond the bound."""
        if self.above is not None:
            return value > self.above
        return self.below is not None and value < self.below


class Definitions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    window_days: Annotated[int, Meta(ge=1)]
    runbook_base: str
    slo: Mapping[str, Slo]
    burn: tuple[Burn, ...]
    measure: Mapping[str, Measure]
    condition: Mapping[str, Condition]

    @property
    def alerts(self) -> Mapping[str, str]:
        """Every alert there can be, with its runbook."""
        severities = {burn.severity for burn in self.burn}
        return {
            name: slo.runbook
            for slo in self.slo.values()
            for name, there in (
                (slo.bad_alert, slo.any_bad_within_s is not None),
                (slo.burn_alert("page"), slo.allowed > 0 and "page" in severities),
                (slo.burn_alert("ticket"), slo.allowed > 0 and "ticket" in severities),
            )
            if there
        } | {condition.name: condition.runbook for condition in self.condition.values()}

    @property
    def follow(self) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        """What follows from an alert, by the value of its label, or ``any``."""
        slos = {}
        for slo in self.slo.values():
            burns = (slo.burn_alert("page"), slo.burn_alert("ticket"))
            slos[slo.burn_alert("page")] = {"any": (burns[1], *slo.hides)}
            if slo.any_bad_within_s is not None:
                # One is told by itself: that its share burns a budget is no more news.
                slos[slo.bad_alert] = {"any": burns}
        there = self.alerts
        kept = {
            name: {value: tuple(each for each in names if each.partition("/")[0] in there)}
            for name, found in slos.items()
            for value, names in found.items()
            if name in there
        }
        return kept | {each.name: each.hides for each in self.condition.values() if each.hides}

    @property
    def window_s(self) -> int:
        """The window of all objectives."""
        return self.window_days * 86_400

    @property
    def windows_s(self) -> tuple[int, ...]:
        """Every window that a burn rate looks at, the shortest first."""
        return tuple(sorted({s for burn in self.burn for s in (burn.long_s, burn.short_s)}))


def parse(text: bytes) -> Definitions:
    """The definitions of a file; raises ValueError for what contradicts itself."""
    found = msgspec.toml.decode(text, type=Definitions)
    for key, slo in found.slo.items():
        outcomes = [*slo.good, *slo.bad, *slo.shown]
        if len(outcomes) != len(set(outcomes)) or not set(slo.faults) <= set(slo.shown):
            msg = f"slo.{key}: an outcome counts twice, or is no outcome"
            raise ValueError(msg)
        if (slo.any_bad_within_s is None) is not (not slo.bad_title):
            msg = f"slo.{key}: any_bad_within_s and bad_title, both or neither"
            raise ValueError(msg)
        if slo.target == 1 and slo.any_bad_within_s is None:
            msg = f"slo.{key}: without a budget nothing burns; any_bad_within_s is needed"
            raise ValueError(msg)
        _see_alerts(found, f"slo.{key}", slo.hides)
    for key, condition in found.condition.items():
        if condition.measure not in found.measure:
            msg = f"condition.{key}: no measure {condition.measure}"
            raise ValueError(msg)
        if (condition.above is None) == (condition.below is None):
            msg = f"condition.{key}: one of above and below"
            raise ValueError(msg)
        for names in condition.hides.values():
            _see_alerts(found, f"condition.{key}", names)
    _see_no_ring(found)
    return found


def _see_alerts(found: Definitions, what: str, names: tuple[str, ...]) -> None:
    if unknown := {name.partition("/")[0] for name in names} - set(found.alerts):
        msg = f"{what} hides {', '.join(sorted(unknown))}, which is no alert"
        raise ValueError(msg)


def _see_no_ring(found: Definitions) -> None:
    # Alerts that hide each other would all be hidden, and nobody told.
    hidden_by: dict[str, set[str]] = {}
    for name, hides in found.follow.items():
        for each in (one for names in hides.values() for one in names):
            hidden_by.setdefault(each.partition("/")[0], set()).add(name)
    try:
        TopologicalSorter(hidden_by).prepare()
    except CycleError as error:
        msg = f"these hide each other, so that nobody is told: {', '.join(error.args[1])}"
        raise ValueError(msg) from error


@cache
def definitions() -> Definitions:
    """What holds."""
    return parse(resources.files(__package__).joinpath("slos.toml").read_bytes())
