"""What the pages add to the common wording: marks of states, figures, times for their reader."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from outbox.wording import UNKNOWN, age, state

_MARKS = {
    "pending": "○",
    "sending": "◔",
    "awaiting_receipt": "◑",
    "parked": "▲",
    "delivered": "✓",
    "undeliverable": "✗",
    "suppressed": "✗",
    "cancelled": "–",
    "expired": "✗",
}


def marked(name: str) -> str:
    """A state with its mark, so that colour need not carry it."""
    return f"{_MARKS.get(name, '?')} {state(name)}"


def number(value: int) -> str:
    """With thousands apart."""
    return f"{value:,}"


def percent(part: int, whole: int) -> str:
    """Rounded down, so that 100 % means all; unknown when there is nothing to divide by."""
    if whole == 0:
        return UNKNOWN
    hundredths = part * 10_000 // whole
    if part and not hundredths:
        return "< 0.01 %"
    shown = f"{hundredths / 100:.2f}".rstrip("0").rstrip(".")
    return f"{shown} %"


def clock(moment: datetime, zone: str | None, *, fine: bool = False) -> str:
    """The time in the reader's zone, with the day unless it is today's."""
    local = moment.astimezone(ZoneInfo(zone) if zone else UTC)
    shown = f"{local:%H:%M:%S}" + (f".{local.microsecond // 1000:03d}" if fine else "")
    return shown if datetime.now(local.tzinfo).date() == local.date() else f"{local:%d %b} {shown}"


def ago(moment: datetime, now: datetime) -> str:
    """The age of a moment."""
    return age((now - moment).total_seconds())


def since(moment: datetime, start: datetime) -> str:
    """Time after the start of a story."""
    passed = max(timedelta(), moment - start).total_seconds()
    return f"+{passed:.3f} s" if passed < 60 else f"+{passed:,.0f} s"  # noqa: PLR2004 - a minute
