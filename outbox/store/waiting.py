"""What waits for its commit: the urgent before the others, bounded in weight and in time.

The bound in weight sheds load before memory runs out; the others may use a part of it only, so that
no flood of them keeps an alert out. The bound in time lets nobody wait for a commit that nobody
makes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from observability.tracing import Span

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_OTHERS = 0.75
"""Part of the weight that may be taken by what is not urgent."""


class Entry(NamedTuple, Generic[Item, Answer]):
    """One item, and who waits for it."""

    item: Item
    future: asyncio.Future[Answer]
    weight: int
    first: bool
    since: float
    """When it came, by the loop's clock."""
    span: Span | None = None
    """For what it waits; null where nothing is traced."""

    def refuse(self, error: Exception) -> None:
        """Tell who waits, unless he has gone."""
        if not self.future.done():
            self.future.set_exception(error)


class Waiting(Generic[Item, Answer]):
    """Two queues; the urgent one goes first."""

    def __init__(self, most: int) -> None:
        """``most`` is the weight that may wait."""
        self._most = most
        self._first: deque[Entry[Item, Answer]] = deque()
        self._others: deque[Entry[Item, Answer]] = deque()
        self.weight = 0
        """Of all that waits."""

    def has_room(self, weight: int, *, first: bool) -> bool:
        """Whether something of this weight may wait too."""
        return self.weight + weight <= (self._most if first else self._most * _OTHERS)

    def put(self, entry: Entry[Item, Answer]) -> None:
        """Add one at its end of the line."""
        self._queue(entry).append(entry)
        self.weight += entry.weight

    def put_back(self, batch: Sequence[Entry[Item, Answer]]) -> None:
        """Add what was taken, where it stood."""
        for entry in reversed(batch):
            self._queue(entry).appendleft(entry)
            self.weight += entry.weight

    def any(self, *, first_only: bool = False) -> bool:
        """Whether something waits."""
        return bool(self._next(first_only=first_only))

    def take(self, most: int, *, first_only: bool = False) -> list[Entry[Item, Answer]]:
        """The next batch: up to this weight, or a single one that is heavier."""
        batch: list[Entry[Item, Answer]] = []
        weight = 0
        while (queue := self._next(first_only=first_only)) and (
            not batch or weight + queue[0].weight <= most
        ):
            batch.append(queue.popleft())
            weight += batch[-1].weight
        self.weight -= weight
        return batch

    def take_all(self) -> list[Entry[Item, Answer]]:
        """Everything."""
        return self.take_older(float("inf"))

    def take_older(self, than: float) -> list[Entry[Item, Answer]]:
        """What came before this moment."""
        late: list[Entry[Item, Answer]] = []
        for queue in (self._first, self._others):
            while queue and queue[0].since < than:
                late.append(queue.popleft())
        self.weight -= sum(entry.weight for entry in late)
        return late

    def _queue(self, entry: Entry[Item, Answer]) -> deque[Entry[Item, Answer]]:
        return self._first if entry.first else self._others

    def _next(self, *, first_only: bool) -> deque[Entry[Item, Answer]]:
        return self._first if self._first or first_only else self._others
