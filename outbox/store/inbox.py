"""The inbox: verified callbacks are stored before anybody acts on them, each once."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from outbox.domain.callbacks import Callback, encode
from outbox.domain.ids import new_id, shard_of_id
from outbox.domain.inbound import Inbound
from outbox.domain.inbound import encode as encode_text
from outbox.domain.states import Lane
from outbox.sealing import Sealer
from outbox.store.connect import Connection
from outbox.store.sql import rows, statement
from outbox.store.suppressions import shard_of_hash

TEXTS = "twilio_inbound"
"""The ``provider`` of texts from people; all others are receipts."""


class InboxItem(Struct, frozen=True, kw_only=True):
    """One callback, sealed."""

    shard: int
    id: UUID
    provider: str
    said: str
    lane: int
    body: bytes


def sealed(sealer: Sealer, callback: Callback, *, lane: int) -> InboxItem:
    """Seal a callback for the shard of its notification; without one it goes to shard 0."""
    shard = 0 if callback.notification is None else shard_of_id(callback.notification)
    row = new_id(shard)
    return InboxItem(
        shard=shard,
        id=row,
        provider=callback.source,
        said=f"{callback.notification or ''}:{callback.said}",
        lane=lane,
        body=sealer.seal(encode(callback), table="inbox", row=str(row), field="body"),
    )


def sealed_text(sealer: Sealer, text: Inbound) -> InboxItem:
    """Seal a text from somebody; texts of one number stay in one shard."""
    shard = shard_of_hash(sealer.lookup(text.phone))
    row = new_id(shard)
    return InboxItem(
        shard=shard,
        id=row,
        provider=TEXTS,
        said=text.provider_id,
        lane=int(Lane.SAFETY),
        body=sealer.seal(encode_text(text), table="inbox", row=str(row), field="body"),
    )


async def store(connection: Connection, items: Sequence[InboxItem]) -> list[bool]:
    """Store in the open transaction; whether each is new."""
    unique: dict[tuple[int, str, str], InboxItem] = {}
    for entry in items:
        unique.setdefault((entry.shard, entry.provider, entry.said), entry)
    values = [
        {
            "shard": entry.shard,
            "id": entry.id,
            "provider": entry.provider,
            "said": entry.said,
            "lane": entry.lane,
            "body": base64.b64encode(entry.body).decode("ascii"),
        }
        for _, entry in sorted(unique.items())
    ]
    cursor = await connection.execute(statement("inbox_store"), {"rows": rows(values)})
    new = {row[0] for row in await cursor.fetchall()}
    return [entry.id in new for entry in items]
