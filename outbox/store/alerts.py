"""Alerts that reach nobody: judged under the Member's lock, and paged once.

Lock order as everywhere: the alert, then due rows, then notifications; what is decided is read
in a later statement than the one that took the lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

from outbox.domain.decide import Final
from outbox.domain.intake import NewNotification
from outbox.domain.states import FINAL, State
from outbox.store.connect import Connection
from outbox.store.intake_rows import due_row, notification_row
from outbox.store.settle import Settlement, run_shard
from outbox.store.sql import id_range, rows, statement

_FAILED = FINAL - {State.DELIVERED, State.CANCELLED}

_STRANDED = {
    "provider_held": "somebody holds the last provider that is left; it waits until that is"
    " released. See who and why: pruuf stats",
}
_STRANDED_OTHERWISE = "no provider works now; it is tried until one does."

PageDraft = Callable[[int, str, str], NewNotification]
"""Makes an operator page: shard, summary and reason."""


async def settle_alert(
    connection: Connection,
    settlement: Settlement,
    page: PageDraft,
) -> UUID | None:
    """Settle one alert notification that failed for good, or that nobody can deliver now.

    Returns the page if one was made. A missed check-in whose alert was closed meanwhile (the
    Member checked in) pages nobody; the same alert never pages twice.
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
        what = f"Missed check-in of {claim.subject} (event {alert[0]})"
        if isinstance(settlement.move, Final):
            states = await states_of(connection, claim.shard, ids)
            if len(states) < len(ids) or not is_lost(states):
                return None
            contacts = "Contact" if len(ids) == 1 else "Contacts"
            summary = f"{what}: none of {len(ids)} {contacts} could be reached."
            reason = "no_contact_reached"
        else:
            reason = settlement.page or "no_provider"
            summary = f"{what}: {_STRANDED.get(reason, _STRANDED_OTHERWISE)}"
        notification = page(claim.shard, summary, reason)
        await insert_page(
            connection, claim.shard, member=claim.subject, event=alert[0], page=notification
        )
        return notification.id


def is_lost(states: Iterable[str]) -> bool:
    """Whether an alert whose notifications have these states reaches nobody.

    Any that may still succeed, or did: nobody needs to be woken. What a person withdrew tells
    nobody either, but one whose every notification was withdrawn has not failed.
    """
    found = set(states)
    return bool(found & _FAILED) and found <= _FAILED | {State.CANCELLED}


def nobody_is_left(states: Iterable[str]) -> bool:
    """Whether none of these has reached, or may still reach, anybody."""
    return set(states) <= _FAILED | {State.CANCELLED}


async def states_of(connection: Connection, shard: int, ids: Sequence[UUID]) -> list[str]:
    """States of notifications, as stored."""
    cursor = await connection.execute(
        "SELECT state FROM notification WHERE shard = %(shard)s AND id = ANY(%(ids)s)"
        " AND id BETWEEN %(low_id)s AND %(high_id)s",
        {"shard": shard, "ids": list(ids), **id_range(ids)},
    )
    return [row[0] for row in await cursor.fetchall()]


async def insert_page(
    connection: Connection, shard: int, *, member: str, event: UUID, page: NewNotification
) -> None:
    """Store the page of a Member's open alert, which is locked."""
    row = notification_row(page, shard=shard, event=event, subject=member)
    await connection.execute(statement("intake_notifications"), {"rows": rows([row])})
    due = [due_row(page, shard=shard)]
    await connection.execute(statement("intake_due"), {"rows": rows(due)})
    await connection.execute(
        "UPDATE alert SET page = %s WHERE shard = %s AND member = %s",
        (page.id, shard, member),
    )
