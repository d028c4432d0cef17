"""Which devices want an address to follow a topic: looked up anew for every command to FCM.

By the address and not by the device that asked: the same app may be registered for two people,
and one who leaves must not take the other's topics along.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from msgspec import Struct

from outbox.sealing import Sealer
from outbox.store.connect import Connection
from outbox.store.recipients import Device
from outbox.store.sql import rows

_WANTING = (
    "SELECT r.notification, d.recipient, d.id, d.address_kind, d.platform, d.token_hash"
    " FROM json_to_recordset(%(rows)s::json) AS r (notification uuid, hash text, topic text)"
    " JOIN device d ON d.token_hash = decode(r.hash, 'hex') AND d.dead_at IS NULL"
    " JOIN topic_device t ON t.shard = d.shard AND t.recipient = d.recipient AND t.device = d.id"
    " AND t.topic = r.topic"
)


class Wish(Struct, frozen=True):
    """What a command is about."""

    notification: UUID
    address: str
    topic: str


async def wanting(
    connection: Connection,
    sealer: Sealer,
    wishes: Sequence[Wish],
) -> Mapping[UUID, list[Device]]:
    """Live devices with the address of a command that follow its topic, by notification."""
    asked = [
        # Rows of before a change of the look-up key are found by the older hashes.
        {"notification": wish.notification, "hash": found.hex(), "topic": wish.topic}
        for wish in wishes
        for found in sealer.lookups(wish.address)
    ]
    addresses = {wish.notification: wish.address for wish in wishes}
    cursor = await connection.execute(_WANTING, {"rows": rows(asked)}, binary=True)
    devices: defaultdict[UUID, list[Device]] = defaultdict(list)
    for notification, recipient, device, kind, platform, token_hash in await cursor.fetchall():
        devices[notification].append(
            Device(
                id=device,
                recipient=recipient,
                address=addresses[notification],
                address_kind=kind,
                platform=platform,
                token_hash=token_hash,
            ),
        )
    return devices
