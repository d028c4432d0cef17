"""Quiet hours: when somebody is not to be disturbed by what can wait, in their own time zone."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_FORM = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@lru_cache(maxsize=64)
def parse(text: str) -> tuple[time, time] | None:
    """Begin and end of ``21:00-08:00``; null when it is not of this form, or empty."""
    form = _FORM.fullmatch(text)
    if form is None:
        return None
    hours = [int(part) for part in form.groups()]
    begin, end = time(hours[0], hours[1]), time(hours[2], hours[3])
    return None if begin == end else (begin, end)


def wait_s(hours: str | None, timezone: str, now: datetime) -> float:
    """Seconds until the quiet hours of a person end; 0 when it is not quiet now.

    By the clock on their wall, so that a change to summer time moves nothing.
    """
    bounds = None if hours is None else parse(hours)
    if bounds is None:
        return 0.0
    begin, end = bounds
    zone = ZoneInfo(timezone)
    local = now.astimezone(zone)
    clock = local.time()
    quiet = begin <= clock < end if begin < end else clock >= begin or clock < end
    if not quiet:
        return 0.0
    day = local.date() + timedelta(days=1 if clock >= end else 0)
    until = datetime.combine(day, end, tzinfo=zone)
    return max(1.0, until.timestamp() - now.timestamp())
