"""The end of an alert: what was not begun is withdrawn, and those who were alerted are told.

Runs in the intake's transaction, after the Member's row was locked. What was claimed may be in
flight, so it is only flagged, and its all-clear waits until the outcome of that is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from outbox.domain.intake import Alerted, NewNotification
from outbox.domain.states import Work
from outbox.store.connect import Connection
from outbox.store.sql import id_range

CHECKED_IN = "checked_in"
"""Reason of what was withdrawn because the Member checked in."""


ClearDraft = Callable[[Alerted, int, datetime], NewNotification]
"""Makes the all-clear: for whom, their shard, and when the Member checked in."""


class Ending(Struct, frozen=True):
    """An alert that an event ends."""

    shard: int
    notifications: tuple[UUID, ...]
    """Of the alert, its page included."""
    at: datetime
    """Of the check-in."""


class Ended(Struct, frozen=True):
    """What the end of one alert comes to."""

    withdrawn: frozenset[UUID]
    """Never begun: nothing of them is at any provider."""
    all_clears: tuple[NewNotification, ...]


async def end(connection: Connection, ending: Ending, *, draft: ClearDraft) -> Ended:
    """End one alert in the open transaction; rows that were stored before it."""
    withdrawn = await _withdraw(connection, ending)
    alerted = [each for each in ending.notifications if each not in withdrawn]
    if not alerted:
        return Ended(withdrawn, ())
    cursor = await connection.execute(
        "SELECT id, kind, recipient, locale, content, subject FROM notification"
        " WHERE shard = %(shard)s AND id = ANY(%(ids)s) AND id BETWEEN %(low_id)s AND %(high_id)s"
        # Nobody knows any more to whom it went: they get the note of the check-in, if they still
        # belong to it.
        " AND (content_dropped_at IS NULL OR kind = 'operator.page') ORDER BY id",
        {"shard": ending.shard, "ids": alerted, **id_range(alerted)},
        binary=True,
    )
    names = Alerted.__struct_fields__
    found = [Alerted(**dict(zip(names, row, strict=True))) for row in await cursor.fetchall()]
    # One for each person, however many notifications of one alert they had.
    by_recipient = {each.recipient: each for each in found}
    all_clears = tuple(draft(each, ending.shard, ending.at) for each in by_recipient.values())
    return Ended(withdrawn, all_clears)


async def _withdraw(connection: Connection, ending: Ending) -> frozenset[UUID]:
    """Delete what was never claimed, flag the rest; returns what was deleted.

    The rows are locked first, in the order of all statements on them; what is decided is read
    from the locked rows.
    """
    cursor = await connection.execute(
        "SELECT seq, notification, fence, owner IS NULL, work FROM due"
        " WHERE shard = %s AND notification = ANY(%s) ORDER BY seq FOR UPDATE",
        (ending.shard, list(ending.notifications)),
    )
    rows = await cursor.fetchall()
    never = {seq: notification for seq, notification, fence, _, _ in rows if fence == 0}
    flagged = [seq for seq, _, fence, _, _ in rows if fence > 0]
    if never:
        await delete_unclaimed(connection, ending.shard, never, reason=CHECKED_IN)
    if flagged:
        await flag(connection, ending.shard, flagged)
    return frozenset(never.values())


async def delete_unclaimed(
    connection: Connection,
    shard: int,
    rows: dict[int, UUID],
    *,
    reason: str,
) -> None:
    """Cancel notifications whose locked due rows nobody ever claimed."""
    await connection.execute(
        "DELETE FROM due WHERE shard = %s AND seq = ANY(%s)",
        (shard, list(rows)),
    )
    ids = list(rows.values())
    await connection.execute(
        "UPDATE notification SET state = 'cancelled', reason = %(reason)s, final_at = now()"
        " WHERE shard = %(shard)s AND id = ANY(%(ids)s) AND id BETWEEN %(low_id)s AND %(high_id)s",
        {"shard": shard, "ids": ids, "reason": reason, **id_range(ids)},
    )


async def flag(connection: Connection, shard: int, seqs: Sequence[int]) -> None:
    """Ask for the end of claimed rows, which are locked; what waits for a send ends at once."""
    await connection.execute(
        "UPDATE due SET cancel = true,"
        " due_at = CASE WHEN owner IS NULL AND work = ANY(%s) THEN now() ELSE due_at END"
        " WHERE shard = %s AND seq = ANY(%s)",
        ([int(Work.SEND), int(Work.HOLD)], shard, list(seqs)),
    )
