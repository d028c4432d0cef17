"""Facts made by a relay by hand, moved into the past, and counted."""

from __future__ import annotations

from collections import Counter
from functools import partial

from outbox.store import rollup
from tests.integration.relay_hand import Hand

_FACTS = {
    "event": ("accepted_at",),
    "notification": ("created_at", "final_at"),
    "attempt": ("stored_at", "at"),
    "receipt": ("stored_at", "at"),
    "inbox": ("received_at", "done_at"),
    "rollup_head": ("until",),
}


class Counting:
    """What the relay counts, and how far."""

    def __init__(self, hand: Hand) -> None:
        self.hand = hand
        self._owner = hand._owner
        for slo in rollup.waits():
            self._owner.execute(
                "INSERT INTO rollup_head (shard, slo, until)"
                " VALUES (0, %s, date_trunc('minute', now()) - interval '1 hour')",
                (slo,),
            )

    def age(self, minutes: int) -> None:
        """Everything that is stored becomes older, what was counted too."""
        by = f"interval '{minutes} minutes'"
        for table, columns in _FACTS.items():
            moved = ", ".join(f"{column} = {column} - {by}" for column in columns)
            self._owner.execute(f"UPDATE {table} SET {moved}".encode())
        for (minute,) in self.hand.rows("SELECT DISTINCT minute FROM rollup_minute ORDER BY 1"):
            self._owner.execute(
                f"UPDATE rollup_minute SET minute = minute - {by} WHERE minute = %s".encode(),
                (minute,),
            )

    def called_after(self, seconds: float) -> None:
        """Every call was made so long after its notification was accepted, however busy we are."""
        self._owner.execute(
            "UPDATE attempt a SET at = n.created_at + %s * interval '1 second' FROM notification n"
            " WHERE n.shard = a.shard AND n.id = a.notification",
            (seconds,),
        )

    async def count(self) -> None:
        """Count all minutes that can be."""
        measuring = self.hand.parts.measuring
        for slo in rollup.waits():
            while await measuring._session.persist(partial(measuring.count, slo)):
                pass

    def outcomes(self, slo: str) -> dict[str, int]:
        """All outcomes of an objective."""
        found: Counter[str] = Counter()
        for outcome, n in self.hand.rows(
            "SELECT outcome, n FROM rollup_minute WHERE slo = %s", (slo,)
        ):
            found[outcome] += int(n)
        return dict(found)
