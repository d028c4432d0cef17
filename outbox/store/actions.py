"""What people do by hand to one notification: cancel, redrive; each is recorded with who and why.

Lock order as everywhere: the alert, then the due row, then the notification.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from outbox.domain import plans
from outbox.domain.ids import new_id, shard_of_id
from outbox.domain.states import State, Work
from outbox.store.alerts import is_lost, states_of
from outbox.store.all_clear import delete_unclaimed, flag
from outbox.store.connect import Connection

_ALERT = "checkin.missed"
_REDRIVABLE = frozenset({State.UNDELIVERABLE, State.EXPIRED, State.SUPPRESSED})


class What(StrEnum):
    """An action."""

    CANCEL = "cancel"
    REDRIVE = "redrive"


class Result(StrEnum):
    """What came of it."""

    CANCELLED = "cancelled"
    """Nothing of it was, or ever will be, at a provider."""
    REDRIVEN = "redriven"
    IN_FLIGHT = "in_flight"
    """A call may be under way. Cancel: no further one is started; redrive: nothing to do."""
    ALREADY_FINAL = "already_final"


class Done(Struct, frozen=True, kw_only=True):
    """The answer to an action."""

    id: UUID
    result: Result
    state: str
    """After it, as stored."""
    lane: int


class Action(Struct, frozen=True, kw_only=True):
    """A recorded action."""

    at: datetime
    what: str
    actor: str
    reason: str
    result: str


class Seen(Struct, frozen=True, kw_only=True):
    """A notification and its due row, both locked as far as they are there."""

    state: str
    kind: str
    lane: int
    plan: bytes
    alert_is_open: bool
    """It belongs to an alert that is not over, or to none."""
    last_hope: bool
    """Without it an alert has reached nobody, and no person on call knows of that."""
    seq: int | None
    fence: int
    free: bool
    """Nobody holds the due row."""
    parked: bool
    dropped: bool
    """Its texts and number are gone: there is nothing left to send."""


async def cancel(
    connection: Connection,
    notification: UUID,
    *,
    actor: str,
    reason: str,
) -> Done | None:
    """Withdraw a notification; null when there is none."""
    shard = shard_of_id(notification)
    async with connection.transaction():
        seen = await lock(connection, shard, notification)
        if seen is None:
            return None
        state, result = seen.state, Result.ALREADY_FINAL
        if seen.seq is not None and seen.fence == 0 and not seen.last_hope:
            await delete_unclaimed(connection, shard, {seen.seq: notification}, reason="cancelled")
            state, result = State.CANCELLED, Result.CANCELLED
        elif seen.seq is not None:
            # Of the last hope of an alert the relay makes the end: it pages.
            await flag(connection, shard, [seen.seq])
            state, result = State.OPEN, Result.IN_FLIGHT
            await reopen(connection, shard, notification, extend_s=0)
        await _record(connection, shard, notification, What.CANCEL, actor, reason, result)
        return Done(id=notification, result=result, state=state, lane=seen.lane)


async def redrive(
    connection: Connection,
    notification: UUID,
    *,
    actor: str,
    reason: str,
) -> Done | None:
    """Put a parked notification, or one that reached nobody, back to work; null: there is none.

    One whose alert is over stays as it is: to tell of it now would be a false alarm. So does one
    whose texts were dropped.
    """
    shard = shard_of_id(notification)
    async with connection.transaction():
        seen = await lock(connection, shard, notification)
        if seen is None:
            return None
        state, result = seen.state, Result.ALREADY_FINAL
        extend_s = plans.decode(seen.plan).expires_after_s
        if seen.seq is not None and not (seen.parked and seen.free):
            result = Result.IN_FLIGHT
        elif seen.seq is not None:
            await connection.execute(
                "UPDATE due SET work = %s, due_at = now(), attempt = 0, asked = 0, suspect = 0,"
                " cancel = false, step_at = now() WHERE shard = %s AND seq = %s",
                (int(Work.SEND), shard, seen.seq),
            )
            await reopen(connection, shard, notification, extend_s=extend_s)
            state, result = State.OPEN, Result.REDRIVEN
        elif seen.state in _REDRIVABLE and seen.alert_is_open and not seen.dropped:
            await _revive(connection, shard, notification, seen.lane)
            await reopen(connection, shard, notification, extend_s=extend_s)
            state, result = State.OPEN, Result.REDRIVEN
        await _record(connection, shard, notification, What.REDRIVE, actor, reason, result)
        return Done(id=notification, result=result, state=state, lane=seen.lane)


async def lock(connection: Connection, shard: int, notification: UUID) -> Seen | None:
    """Lock a notification with its alert and due row, in the open transaction; null: none."""
    cursor = await connection.execute(
        "SELECT kind, subject, lane, plan FROM notification WHERE shard = %s AND id = %s",
        (shard, notification),
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    kind, subject, lane, plan = row
    is_open, last_hope = True, False
    if kind == _ALERT:
        cursor = await connection.execute(
            "SELECT notifications, page FROM alert WHERE shard = %s AND member = %s FOR UPDATE",
            (shard, subject),
        )
        alert = await cursor.fetchone()
        is_open = alert is not None and notification in alert[0]
        if alert is not None and is_open and alert[1] is None:
            others = [each for each in alert[0] if each != notification]
            last_hope = bool(others) and is_lost(await states_of(connection, shard, others))
    cursor = await connection.execute(
        "SELECT seq, fence, owner IS NULL, due_at = 'infinity' FROM due"
        " WHERE shard = %s AND notification = %s FOR UPDATE",
        (shard, notification),
    )
    due = await cursor.fetchone()
    # Read again: what was read before the locks may be past.
    cursor = await connection.execute(
        "SELECT state, content_dropped_at IS NOT NULL FROM notification"
        " WHERE shard = %s AND id = %s FOR UPDATE",
        (shard, notification),
    )
    state = await cursor.fetchone()
    seq, fence, free, parked = due or (None, 0, True, False)
    return Seen(
        state=state[0] if state else "",
        kind=kind,
        lane=lane,
        plan=bytes(plan),
        alert_is_open=is_open,
        last_hope=last_hope,
        seq=seq,
        fence=fence,
        free=free,
        parked=parked,
        dropped=bool(state and state[1]),
    )


async def reopen(
    connection: Connection,
    shard: int,
    notification: UUID,
    *,
    extend_s: int,
) -> None:
    """Take a notification, locked, out of its final or parked state."""
    await connection.execute(
        "UPDATE notification SET state = 'open', reason = NULL, final_at = NULL,"
        " expires_at = greatest(expires_at, now() + %s * interval '1 second')"
        " WHERE shard = %s AND id = %s AND state <> 'open'",
        (extend_s, shard, notification),
    )


async def _revive(connection: Connection, shard: int, notification: UUID, lane: int) -> None:
    """Make a due row anew; its fences go on where attempts and receipts ended, which name them.

    Of a call whose relay died there may be nothing but its receipts.
    """
    await connection.execute(
        "INSERT INTO due (shard, notification, lane, fence, call_fence)"
        " SELECT %(shard)s, %(id)s, %(lane)s, fence, fence FROM (SELECT coalesce(max(fence), 0)"
        " AS fence FROM (SELECT fence FROM attempt WHERE shard = %(shard)s AND notification ="
        " %(id)s UNION ALL SELECT fence FROM receipt WHERE shard = %(shard)s AND notification ="
        " %(id)s) known) newest",
        {"shard": shard, "id": notification, "lane": lane},
    )


async def _record(  # noqa: PLR0913, PLR0917 - the columns of an action
    connection: Connection,
    shard: int,
    notification: UUID,
    what: What,
    actor: str,
    reason: str,
    result: Result,
) -> None:
    await connection.execute(
        "INSERT INTO action (shard, id, notification, what, actor, reason, result)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (shard, new_id(shard), notification, what, actor, reason, result),
    )
