"""Arithmetic of objectives: rates, budgets and burn rates of counted outcomes. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from observability.slos import Burn, Definitions, Slo

Outcomes = Mapping[str, int]
"""How often each outcome was counted."""


class Counts(Struct, frozen=True):
    """Outcomes of one window by how they count."""

    good: int = 0
    bad: int = 0
    faults: int = 0
    """The recipient's: bad in the raw rate alone."""

    @property
    def rate(self) -> float | None:
        """Share that was good, of what is ours; null when nothing was counted."""
        return _share(self.good, self.good + self.bad)

    @property
    def raw(self) -> float | None:
        """The same with the recipients' faults as bad."""
        return _share(self.good, self.good + self.bad + self.faults)


def counts(slo: Slo, outcomes: Outcomes) -> Counts:
    """Sort outcomes by how they count; what the file does not know is bad, as the unknown is."""
    shown = set(slo.shown)
    good = sum(n for name, n in outcomes.items() if name in slo.good)
    faults = sum(n for name, n in outcomes.items() if name in slo.faults)
    bad = sum(n for name, n in outcomes.items() if name not in slo.good and name not in shown)
    return Counts(good, bad, faults)


def burn_rate(slo: Slo, window: Counts) -> float:
    """How many times faster than allowed the budget goes; 0 when nothing was counted.

    Without a budget anything bad burns infinitely fast.
    """
    total = window.good + window.bad
    if not window.bad:
        return 0.0
    return window.bad / total / slo.allowed if slo.allowed else float("inf")


def budget_left(slo: Slo, window: Counts) -> float:
    """Share of the window's budget that is left: 1 untouched, 0 used up, below that overdrawn."""
    if not slo.allowed:
        return 0.0 if window.bad else 1.0
    return 1.0 - burn_rate(slo, window)


def burns(slo: Slo, burn: Burn, windows: Mapping[int, Counts]) -> bool:
    """Whether both windows of a pair burn faster than its factor, by more than a few."""
    if not slo.allowed:
        return False
    long, short = windows[burn.long_s], windows[burn.short_s]
    return (
        long.bad >= slo.least
        and burn_rate(slo, long) > burn.factor
        and burn_rate(slo, short) > burn.factor
    )


def burning(
    definitions: Definitions, slo: Slo, windows: Mapping[int, Counts]
) -> tuple[Burn, float] | None:
    """The worst pair that burns, and the long window's burn rate; null: none."""
    found = [
        (burn, burn_rate(slo, windows[burn.long_s]))
        for burn in definitions.burn
        if burns(slo, burn, windows)
    ]
    return min(found, key=lambda each: (each[0].severity != "page", -each[0].factor), default=None)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
