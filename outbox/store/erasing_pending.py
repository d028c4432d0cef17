"""What is pending for somebody who is erased: withdrawn, and never in silence.

An alert about them goes on: it tells others, and is emptied when it is over. Commands to Stripe and
FCM go on too: one may be what ends a subscription, or what a device follows.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from outbox.domain.announcements import TOPICS
from outbox.domain.erasure import ERASED, LAST_CONTACT
from outbox.domain.ids import new_id, shard_of_id
from outbox.domain.intake import NewNotification
from outbox.domain.states import Lane
from outbox.store import actions
from outbox.store.actions import Result
from outbox.store.alerts import insert_page, nobody_is_left, states_of
from outbox.store.all_clear import delete_unclaimed, flag
from outbox.store.connect import Connection
from outbox.store.erasures import Erasure

Page = Callable[[int, str, str], NewNotification]
"""Makes an operator page: shard, summary and reason."""

AT_ONCE = 100

_OURS = "kind <> %(topics)s AND (kind NOT LIKE 'billing.%%' OR kind LIKE 'billing.notice.%%')"
# What is withdrawn already ends by itself; each is looked for in an index of its own.
_PENDING = f"""
SELECT found.id FROM (
  SELECT shard, id FROM notification
  WHERE recipient = %(recipient)s AND final_at IS NULL AND {_OURS}
    AND (created_at <= %(asked_at)s OR id = ANY(%(stale)s))
  UNION
  SELECT shard, id FROM notification
  WHERE shard = %(shard)s AND subject = %(recipient)s AND final_at IS NULL AND {_OURS}
    AND lane <> %(safety)s AND created_at <= %(asked_at)s
  UNION
  SELECT shard, id FROM notification
  WHERE phone_hash = ANY(%(numbers)s) AND recipient LIKE 'phone:%%' AND final_at IS NULL
    AND created_at <= %(asked_at)s) found
JOIN due d ON d.shard = found.shard AND d.notification = found.id AND NOT d.cancel
ORDER BY found.id LIMIT %(limit)s
"""  # noqa: S608 - our own words


async def pending(connection: Connection, erasure: Erasure, stale: list[UUID]) -> list[UUID]:
    """Some of what is to be withdrawn; ``stale``: later ones that hold what was known before."""
    cursor = await connection.execute(
        _PENDING.encode(),
        {
            "recipient": erasure.recipient,
            "asked_at": erasure.asked_at,
            "stale": stale,
            "shard": erasure.shard,
            "numbers": list(erasure.numbers),
            "topics": TOPICS,
            "safety": int(Lane.SAFETY),
            "limit": AT_ONCE,
        },
    )
    return [row[0] for row in await cursor.fetchall()]


async def withdraw(connection: Connection, notification: UUID, page: Page) -> bool:
    """Withdraw one, recorded like what a person withdraws; whether somebody has to be paged.

    The last Contact of an open alert who might still be reached does not go unheard: the person on
    call is told at once, whatever becomes of a call in flight.
    """
    shard = shard_of_id(notification)
    async with connection.transaction():
        seen = await actions.lock(connection, shard, notification)
        if seen is None or seen.seq is None:
            return False
        if seen.fence == 0:
            await delete_unclaimed(connection, shard, {seen.seq: notification}, reason=ERASED)
            result = Result.CANCELLED
        else:
            await flag(connection, shard, [seen.seq])
            await actions.reopen(connection, shard, notification, extend_s=0)
            result = Result.IN_FLIGHT
        await connection.execute(
            "SELECT pruuf_record_erasure(%s::smallint, %s, %s, %s)",
            (shard, new_id(shard), notification, result),
        )
        if seen.kind != "checkin.missed" or not seen.alert_is_open:
            return False
        paged = await _page_for_the_last(connection, shard, notification, page)
        if result is Result.CANCELLED:
            await _untold(connection, shard, notification)
        return paged


async def _untold(connection: Connection, shard: int, notification: UUID) -> None:
    """Take one that was never begun off the alert, whose row is locked.

    Somebody who comes back by the next missed check-in is then told of it.
    """
    await connection.execute(
        "UPDATE alert a SET notifications = array_remove(a.notifications, n.id),"
        " told = array_remove(a.told, n.recipient) FROM notification n"
        " WHERE n.shard = %s AND n.id = %s AND a.shard = n.shard AND a.member = n.subject",
        (shard, notification),
    )


async def _page_for_the_last(
    connection: Connection, shard: int, notification: UUID, page: Page
) -> bool:
    """Page unless others of the alert, whose row is locked, may still hear of it, or have."""
    cursor = await connection.execute(
        "SELECT a.member, a.open_event, a.notifications, a.page FROM notification n"
        " JOIN alert a ON a.shard = n.shard AND a.member = n.subject"
        " WHERE n.shard = %s AND n.id = %s",
        (shard, notification),
    )
    alert = await cursor.fetchone()
    if alert is None or alert[3] is not None:
        return False
    member, event, notifications, _ = alert
    others = [each for each in notifications if each != notification]
    if others and not nobody_is_left(await states_of(connection, shard, others)):
        return False
    summary = (
        f"Missed check-in of {member} (event {event}): its last Contact asked to be forgotten, and"
        " nobody was reached before."
    )
    await insert_page(
        connection, shard, member=member, event=event, page=page(shard, summary, LAST_CONTACT)
    )
    return True
