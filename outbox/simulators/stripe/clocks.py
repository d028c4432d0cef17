"""Simulated time: one clock for the account, and test clocks that customers may belong to.

What is due is in one heap for each clock, so that moving a clock costs only what happens then.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from itertools import count

from outbox.simulators.stripe.store import Store

_META = "meta"

Due = tuple[int, int, str, str]


class Clock:
    """One line of time, in whole Unix seconds."""

    def __init__(self, name: str | None) -> None:
        """``name``: of a test clock; null: the account's."""
        self.name = name
        self.offset = 0.0
        self.frozen: int | None = None
        self._pinned: int | None = None
        self._heap: list[Due] = []
        self._order = count()
        self._next: dict[str, int] = {}

    def now(self) -> int:
        """The present; while something is done, the moment at which it was due."""
        if self._pinned is not None:
            return self._pinned
        return int(time.time() + self.offset) if self.frozen is None else self.frozen

    def call(self, at: int | None, kind: str, name: str) -> None:
        """Look at an object at this time; null: no more. Replaces what was said of it before."""
        if at is None:
            self._next.pop(name, None)
        elif self._next.get(name) != at:
            self._next[name] = at
            heapq.heappush(self._heap, (at, next(self._order), kind, name))

    def next_at(self) -> int | None:
        """When something is due; null: never."""
        self._clean()
        return self._heap[0][0] if self._heap else None

    def step(self, until: int, act: Callable[[str, str], None]) -> bool:
        """Do the first thing that is due by then; false when there is none."""
        self._clean()
        if not self._heap or self._heap[0][0] > until:
            return False
        at, _, kind, name = heapq.heappop(self._heap)
        del self._next[name]
        self._pinned = at
        try:
            act(kind, name)
        finally:
            self._pinned = None
        return True

    def _clean(self) -> None:
        while self._heap and self._next.get(self._heap[0][3]) != self._heap[0][0]:
            heapq.heappop(self._heap)


class Clocks:
    """The account's clock and the test clocks."""

    def __init__(self, store: Store) -> None:
        """Where they stood, from the store."""
        self._store = store
        self.account = Clock(None)
        kept = store.get(_META, "clock") or {}
        self.account.offset = kept.get("offset", 0.0)
        self.account.frozen = kept.get("frozen")
        self._tests: dict[str, Clock] = {}

    def of(self, name: str | None) -> Clock:
        """A clock by the id of its test clock; null: the account's."""
        if name is None:
            return self.account
        found = self._tests.get(name)
        if found is None:
            found = self._tests[name] = Clock(name)
            kept = self._store.get("test_helpers.test_clock", name)
            # Of a deleted one nothing moves any more.
            found.frozen = self.account.now() if kept is None else kept["frozen_time"]
        return found

    def move(self, to: int, *, frozen: bool) -> None:
        """Put the account's clock at a time, ticking on from there or not."""
        self.account.offset = to - time.time()
        self.account.frozen = to if frozen else None
        kept = {"offset": self.account.offset, "frozen": self.account.frozen}
        self._store.put(_META, "clock", kept)
