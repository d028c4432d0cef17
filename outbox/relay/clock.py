"""The process's clock for deadlines: runs on while the machine sleeps or the process is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds since an arbitrary start."""


def boot_time() -> float:
    """Seconds since boot, suspended time included; monotonic where the system has no such clock."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


LEASE_S = 20.0
"""How long a claim lasts, by the database's clock."""

TOTAL_TIMEOUT_S = 8.0
"""A provider call from connect to last byte."""

SETTLE_MARGIN_S = 3.0
"""Kept for the settle, so that a call never outlives its lease."""

START_WITHIN_S = LEASE_S - TOTAL_TIMEOUT_S - SETTLE_MARGIN_S
"""Counted from before the claim was sent; later than that a call is not started."""
