"""Words for where an objective stands: the same in the terminal and on the pages."""

from __future__ import annotations

from observability.judging import Standing
from observability.slos import definitions

_MOST_DIGITS = 5


def percent(rate: float | None) -> str:
    """A rate with the digits that matter: never rounded up to a hundred."""
    if rate is None:
        return "–"
    if rate == 1:
        return "100 %"
    digits = 2
    while digits < _MOST_DIGITS and f"{rate * 100:.{digits}f}".startswith("100"):
        digits += 1
    shown = f"{rate * 100:.{digits}f}"
    return "99.99999 %" if shown.startswith("100") else f"{shown} %"


def target(of: float) -> str:
    """What is promised."""
    return "no error" if of == 1 else f"≥ {of * 100:g} %"


def budget(each: Standing) -> str:
    """What is left of what may go wrong within the window."""
    if each.rate is None:
        return "–"
    if each.target == 1:
        return "–" if each.met else "overdrawn"
    return f"{each.budget_left * 100:,.0f} %".replace("-", "−")  # noqa: RUF001 - typeset


def burning(burn: float) -> str:
    """How many times too fast the budget goes; a dash for not at all."""
    if burn == 0:
        return "–"
    return "∞" if burn == float("inf") else f"{burn:,.1f}×"


def bad(each: Standing) -> str:
    """What went wrong, and of how many."""
    known = definitions().slo[each.key]
    parts = [
        f"{n:,} {name.replace('_', ' ')}"
        for name, n in each.outcomes.items()
        if name not in known.good and name not in known.shown
    ]
    return f"{', '.join(parts)} of {each.good + each.bad:,}"
