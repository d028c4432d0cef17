"""One relay's own judgement of one sender of a provider: closed, open, probing, returning.

Pure: the time is passed in, in seconds of a clock that only goes forward.
"""

from __future__ import annotations

from collections import deque

from outbox.domain.backoff import Jitter

WITHIN_S = 10.0
"""Results older than this say nothing about now."""

LEAST = 5
"""Failures before it opens; with fewer calls than that it stays closed."""

SHARE = 0.5
"""Of the recent results that failed, from which on it opens."""

COOL_S = (5.0, 30.0)
"""First and longest time until a probe; doubled by each probe that fails."""

RETURN_S = 20.0
"""From the probe that went well until all calls go this way again."""

_LEAST_SHARE = 0.1
_KEPT = 64


class Breaker:
    """Counts results, opens, and lets calls back in step by step."""

    def __init__(self, jitter: Jitter) -> None:
        """Closed."""
        self._jitter = jitter
        self._recent: deque[tuple[float, bool]] = deque(maxlen=_KEPT)
        self._cool_s = COOL_S[0]
        self._closed_at: float | None = None
        self.turned_at = float("-inf")
        """When it last opened or closed."""
        self.open_until: float | None = None
        """When a probe may be made; null while it is closed."""

    @property
    def is_open(self) -> bool:
        """Whether calls are stopped but for a probe."""
        return self.open_until is not None

    def share(self, now: float) -> float:
        """Share of the calls that may go this way: 0 open, then rising to 1."""
        if self.open_until is not None:
            return 0.0
        if self._closed_at is None:
            return 1.0
        passed = (now - self._closed_at) / RETURN_S
        if passed >= 1.0:
            self._closed_at = None
            return 1.0
        return max(_LEAST_SHARE, passed)

    def heard(self, *, ok: bool, now: float, began: float | None = None) -> bool:
        """Take the result of a call that ``began`` then; true when it opened the breaker."""
        if self.is_open or (began is not None and began < self.turned_at):
            # Of a call that was under way when it opened: its time-out may come long after.
            return False
        self._recent.append((now, ok))
        while self._recent[0][0] < now - WITHIN_S:
            self._recent.popleft()
        failed = sum(not good for _, good in self._recent)
        if ok or failed < LEAST or failed < SHARE * len(self._recent):
            return False
        self.open(now)
        return True

    def open(self, now: float, *, for_s: float | None = None) -> None:
        """Stop calls; ``for_s`` in place of the usual time until a probe."""
        self._recent.clear()
        self._closed_at = None
        self.turned_at = now
        # Spread, so that relays do not probe as one.
        wait = self._cool_s * (0.8 + 0.4 * self._jitter())
        self.open_until = now + (wait if for_s is None else for_s)

    def probed(self, *, ok: bool, now: float) -> None:
        """Take the result of the probe."""
        if ok:
            self.close(now)
            return
        self._cool_s = min(self._cool_s * 2, COOL_S[1])
        self.open(now)

    def close(self, now: float) -> None:
        """Let calls back in, a few at first."""
        self._recent.clear()
        self._cool_s = COOL_S[0]
        self.open_until = None
        self._closed_at = self.turned_at = now
