"""Acknowledgements: somebody who is on call knows of an alert, and need not be called again."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from msgspec import Struct

LONGEST_S = 28_800
"""Longer than a shift would be a way of not having the alert."""

PARKED = "Parked"
"""The alert whose groups are acknowledged one by one: its label is then the reason."""

OVER_AFTER = 2
"""Looks in a row without an alert before it is over: what flickers is one."""

Key = tuple[str, str]
"""Alert and label."""


class Acknowledgement(Struct, frozen=True, kw_only=True):
    """One that is in force."""

    id: UUID
    alert: str
    label: str
    """What the alert is about, as a provider; of `PARKED` a reason; empty for none."""
    actor: str
    reason: str
    at: datetime
    until: datetime

    @property
    def key(self) -> Key:
        """What it is about."""
        return self.alert, self.label


class Endings:
    """Which acknowledgements are over, as what they are about fires no more.

    Kept in memory by each who looks: what fires anew later is something else, and is told.
    """

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._absent: dict[UUID, int] = {}

    def over(self, known: Iterable[Acknowledgement], firing: Collection[Key]) -> set[UUID]:
        """Take a look; those that are over, for good."""
        looks = {}
        for each in known:
            absent = self._absent.get(each.id, 0)
            fires = each.key in firing and absent < OVER_AFTER
            looks[each.id] = 0 if fires else min(absent + 1, OVER_AFTER)
        self._absent = looks
        return {name for name, absent in looks.items() if absent >= OVER_AFTER}
