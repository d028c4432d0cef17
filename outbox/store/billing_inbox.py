"""Stripe's webhooks in the inbox: sealed as they were signed, each once, with their own reader."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from outbox.domain import cards
from outbox.domain.billing_facts import STRIPE
from outbox.domain.billing_webhooks import Event
from outbox.domain.ids import new_id, shard_of
from outbox.domain.states import Lane
from outbox.sealing import Sealer
from outbox.store.connect import Connection
from outbox.store.inbox import InboxItem


class Taken(Struct, frozen=True):
    """One webhook, locked by the open transaction."""

    id: UUID
    said: str
    body: bytes
    received_at: datetime


def sealed_event(sealer: Sealer, event: Event, raw: bytes) -> InboxItem:
    """Seal an event; all of one customer lie in one shard, each event always in the same.

    A card's number that somebody wrote into a name or a note at Stripe is not kept.
    """
    shard = shard_of(event.customer or event.about or event.id)
    row = new_id(shard)
    return InboxItem(
        shard=shard,
        id=row,
        provider=STRIPE,
        said=event.id,
        # Behind whatever an alert may wait for.
        lane=int(Lane.BULK),
        body=sealer.seal(cards.masked(raw), table="inbox", row=str(row), field="body"),
    )


async def shards_waiting(connection: Connection) -> list[int]:
    """Shards that hold webhooks of Stripe, in ascending order."""
    cursor = await connection.execute(
        "SELECT s FROM generate_series(0, 15) s WHERE EXISTS (SELECT FROM inbox"
        " WHERE shard = s AND done_at IS NULL AND provider = 'stripe') ORDER BY s",
    )
    return [row[0] for row in await cursor.fetchall()]


async def take(connection: Connection, shard: int, limit: int) -> list[Taken]:
    """Lock the oldest webhooks of one shard that nobody else holds."""
    cursor = await connection.execute(
        "SELECT id, said, body, received_at FROM inbox"
        " WHERE shard = %s AND done_at IS NULL AND provider = 'stripe'"
        " ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED",
        (shard, limit),
        binary=True,
    )
    return [Taken(*row) for row in await cursor.fetchall()]


async def done(
    connection: Connection, shard: int, notes: Sequence[tuple[UUID, str | None]]
) -> None:
    """Mark them as applied, with a note where there is something to say."""
    await connection.execute(
        "UPDATE inbox i SET done_at = now(), note = r.note"
        " FROM unnest(%(ids)s::uuid[], %(notes)s::text[]) AS r (id, note)"
        " WHERE i.shard = %(shard)s AND i.id = r.id",
        {"shard": shard, "ids": [each for each, _ in notes], "notes": [note for _, note in notes]},
    )
