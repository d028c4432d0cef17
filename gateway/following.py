"""Commands that make FCM agree with what devices follow, stored with the change they follow from.

What changes it: a topic that is followed or no longer, a new address, another language, and the
end of a device or a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.resources import Resources
from outbox.domain.announcements import TOPICS
from outbox.domain.content import Content
from outbox.domain.ids import shard_of
from outbox.domain.intake import NewNotification
from outbox.domain.states import Lane
from outbox.drafts import draft, own_event
from outbox.store import notices
from outbox.store.connect import Connection
from outbox.store.topics import Change


async def issue(
    resources: Resources,
    connection: AsyncConnection,
    recipient: str,
    changes: Sequence[Change],
) -> tuple[NewNotification, ...]:
    """Store one command for each change, in the open transaction; `wake` after its commit."""
    if not changes:
        return ()
    commands = tuple(
        draft(
            resources.sealer,
            kind=TOPICS,
            recipient=recipient,
            locale="en",
            content=Content(
                address=change.address.value,
                address_kind=change.address.kind,
                topic=change.topic,
            ),
            shard=shard_of(recipient),
            policy=resources.settings.policy,
        )
        for change in changes
    )
    event = own_event(
        resources.sealer,
        type_=TOPICS,
        subject=recipient,
        notifications=commands,
    )
    raw = await connection.get_raw_connection()
    await notices.insert(cast("Connection", raw.driver_connection), event)
    return commands


def wake(resources: Resources, commands: Sequence[NewNotification]) -> None:
    """Tell the relays, once the commands are committed."""
    if commands:
        resources.waker.wake(Lane.BULK)
