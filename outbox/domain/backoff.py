"""Full-jitter exponential backoff: spreads retries so that a recovering provider is not stormed."""

from __future__ import annotations

from collections.abc import Callable

Jitter = Callable[[], float]
"""Returns a number in [0, 1); passed in so that tests decide."""


def delay_s(
    attempt: int,
    *,
    urgent: bool,
    jitter: Jitter,
    retry_after_s: float | None = None,
) -> float:
    """Seconds until the next try of a step.

    ``attempt`` counts the tries so far, from 1. The ceiling doubles from 1 s to 120 s, for
    urgent work from 0.5 s to 8 s. A provider's Retry-After is a floor that jitter only adds to.
    """
    base, cap = (0.5, 8.0) if urgent else (1.0, 120.0)
    ceiling = min(cap, base * 2.0 ** min(max(attempt, 1) - 1, 16))
    if retry_after_s is not None:
        return max(0.0, retry_after_s) + jitter() * min(ceiling, 1.0)
    return float(jitter() * ceiling)
