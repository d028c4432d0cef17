"""Billing periods: where they begin and end, and what part of one is left."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime
from typing import Any

_SECONDS = {"day": 86_400, "week": 7 * 86_400}
_MONTHS = {"month": 1, "year": 12}
_IN_A_YEAR = 12


def after(anchor: int, recurring: dict[str, Any], times: int) -> int:
    """So many intervals after the anchor; a day that a month lacks is its last one."""
    interval, count = recurring["interval"], recurring["interval_count"] * times
    if interval in _SECONDS:
        return int(anchor + _SECONDS[interval] * count)
    start = datetime.fromtimestamp(anchor, tz=UTC)
    months = start.year * _IN_A_YEAR + start.month - 1 + _MONTHS[interval] * count
    year, month = divmod(months, _IN_A_YEAR)
    day = min(start.day, monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())


def end_of(anchor: int, recurring: dict[str, Any], start: int) -> int:
    """The first end of a period after ``start``."""
    one = after(anchor, recurring, 1) - anchor
    times = max((start - anchor) // one - 1, 0)
    while (end := after(anchor, recurring, times)) <= start:
        times += 1
    return end


def unused(amount: int, start: int, end: int, now: int) -> int:
    """The part of an amount that is for what is left of its period, to the nearest cent."""
    if end <= start:
        return 0
    left = min(max(end - now, 0), end - start)
    return (2 * amount * left + (end - start)) // (2 * (end - start))
