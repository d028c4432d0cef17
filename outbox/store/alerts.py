"""The end of an alert that reached nobody: judged under the Member's lock, paged once.

Lock order as everywhere: the alert, then due rows, then notifications; what is decided is read
in a later statement than the one that took the lock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from outbox.domain.intake import NewNotification
from outbox.domain.states import FINAL, State
from outbox.store.claims import Claim
from outbox.store.connect import Connection
from outbox.store.settle import Settlement, run_shard
from outbox.store.sql import id_range

_FAILED = FINAL - {State.DELIVERED, State.CANCELLED}

PageDraft = Callable[[int, str], NewNotification]
"""Makes the operator page: shard and summary."""


async def settle_failure(
    connection: Connection,
    settlement: Settlement,
    page: PageDraft,
) -> UUID | None:
    """Settle one alert notification that failed for good; return the page if it was the last.

    A missed check-in whose alert was closed meanwhile (the Member checked in) pages nobody.
    """
    claim = settlement.claim
    async with connection.transaction():
        cursor = await connection.execute(
            "SELECT open_event, notifications, page FROM alert"
            " WHERE shard = %s AND member = %s FOR UPDATE",
            (claim.shard, claim.subject),
        )
        alert = await cursor.fetchone()
        await run_shard(connection, claim.shard, [settlement])
        if alert is None or alert[2] is not None or claim.notification not in alert[1]:
            return None
        ids: Sequence[UUID] = alert[1]
        states = await _states(connection, claim.shard, ids)
        # Any that may still succeed, or did: nobody needs to be woken yet.
        if len(states) < len(ids) or not all(state in _FAILED for state in states):
            return None
        summary = (
            f"Missed check-in of {claim.subject} (event {alert[0]}): "
            f"none of {len(ids)} Contact{'s' if len(ids) > 1 else ''} could be reached."
        )
        notification = page(claim.shard, summary)
        await _insert_page(connection, claim, alert[0], notification)
        return notification.id


async def _states(connection: Connection, shard: int, ids: Sequence[UUID]) -> list[str]:
    cursor = await connection.execute(
        "SELECT state FROM notification WHERE shard = %(shard)s AND id = ANY(%(ids)s)"
        " AND id BETWEEN %(low_id)s AND %(high_id)s",
        {"shard": shard, "ids": list(ids), **id_range(ids)},
    )
    return [row[0] for row in await cursor.fetchall()]


async def _insert_page(
    connection: Connection,
    claim: Claim,
    event: UUID,
    page: NewNotification,
) -> None:
    shard, subject = claim.shard, claim.subject
    await connection.execute(
        "INSERT INTO notification (shard, id, event, subject, recipient, kind, lane, plan,"
        " template, locale, content, expires_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s,"
        " %s, now() + %s * interval '1 second')",
        (
            shard,
            page.id,
            event,
            subject,
            page.recipient,
            page.kind,
            page.lane,
            page.plan,
            page.template,
            page.locale,
            page.content,
            page.expires_after_s,
        ),
    )
    await connection.execute(
        "INSERT INTO due (shard, notification, lane) VALUES (%s, %s, %s)",
        (shard, page.id, page.lane),
    )
    await connection.execute(
        "UPDATE alert SET page = %s WHERE shard = %s AND member = %s",
        (page.id, shard, subject),
    )
