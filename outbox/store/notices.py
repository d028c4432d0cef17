"""Notices to the person on call that are about the service, not about one alert; told now and then.

A thousand notifications that park for one reason are one page, not a thousand.
"""

from __future__ import annotations

from outbox.domain.intake import NewEvent
from outbox.store.connect import Connection
from outbox.store.intake_rows import due_row, event_row, notification_row
from outbox.store.sql import rows, statement

AGAIN_AFTER_S = 3600
"""A reason that goes on is told again after this."""


async def insert(connection: Connection, event: NewEvent) -> None:
    """Store an event of our own, with its notifications, in the open transaction."""
    notifications = [
        notification_row(each, shard=event.shard, event=event.id, subject=event.subject)
        for each in event.notifications
    ]
    due = [due_row(each, shard=event.shard) for each in event.notifications]
    for name, values in (
        ("intake_events", [event_row(event)]),
        ("intake_notifications", notifications),
        ("intake_due", due),
    ):
        await connection.execute(statement(name), {"rows": rows(values)})


async def tell(connection: Connection, key: str, event: NewEvent) -> bool:
    """Store a page for the operator, unless this key was told within the hour; whether it was."""
    async with connection.transaction():
        cursor = await connection.execute(
            "INSERT INTO notice AS n (shard, key) VALUES (0, %(key)s)"
            " ON CONFLICT (shard, key) DO UPDATE SET times = n.times + 1, told_at ="
            " CASE WHEN n.told_at < now() - %(again)s * interval '1 second'"
            " THEN now() ELSE n.told_at END RETURNING told_at = now()",
            {"key": key, "again": AGAIN_AFTER_S},
        )
        row = await cursor.fetchone()
        if row is None or not row[0]:
            return False
        await insert(connection, event)
        return True
