"""Devices as the app registers them: one sealed push address each.

A device's shard is that of its recipient.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from outbox.domain.ids import shard_of
from outbox.sealing import Sealer
from outbox.store import tables


class StoredDevice(Struct, frozen=True, kw_only=True):
    """A device as it may be shown: never its address."""

    id: str
    platform: str
    address_kind: str
    seen_at: datetime
    """When the app last registered it."""
    dead_at: datetime | None
    """When the provider said that the address is gone; null until then, and after a new one."""


def row_name(recipient: str, device: str) -> str:
    """What a device's address is sealed for."""
    # NUL is in no id, so two different pairs never share a row's name.
    return f"{recipient}\0{device}"


async def devices_of(connection: AsyncConnection, recipient: str) -> list[StoredDevice]:
    """All devices of a recipient as they may be shown, newest first."""
    table = tables.device
    found = await connection.execute(
        select(table.c.id, table.c.platform, table.c.address_kind, table.c.seen_at, table.c.dead_at)
        .where(table.c.shard == shard_of(recipient), table.c.recipient == recipient)
        .order_by(table.c.seen_at.desc(), table.c.id),
    )
    return [StoredDevice(**row) for row in found.mappings()]


async def put_device(  # noqa: PLR0913 - the fields of a device
    connection: AsyncConnection,
    sealer: Sealer,
    recipient: str,
    device: str,
    *,
    address: str,
    address_kind: str,
    platform: str,
) -> bool:
    """Store or replace a device, and its recipient if unknown; true when the device is new.

    An app may register before the backend tells of its user: an alert must find the device.
    """
    shard = shard_of(recipient)
    await connection.execute(
        insert(tables.recipient).values(shard=shard, id=recipient).on_conflict_do_nothing(),
    )
    table = tables.device
    values = {
        "token": sealer.seal(
            address.encode(),
            table="device",
            row=row_name(recipient, device),
            field="token",
        ),
        "token_hash": sealer.lookup(address),
        "address_kind": address_kind,
        "platform": platform,
    }
    known = await connection.execute(
        select(table.c.id)
        .where(table.c.shard == shard, table.c.recipient == recipient, table.c.id == device)
        .with_for_update(),
    )
    new = known.first() is None
    await connection.execute(
        insert(table)
        .values(shard=shard, recipient=recipient, id=device, **values)
        .on_conflict_do_update(
            index_elements=[table.c.shard, table.c.recipient, table.c.id],
            set_={**values, "seen_at": func.now(), "dead_at": None, "stale_at": None},
        ),
    )
    return new


async def delete_device(connection: AsyncConnection, recipient: str, device: str) -> None:
    """Delete a device and what it follows; nothing there is fine."""
    for table, column in (
        (tables.topic_device, tables.topic_device.c.device),
        (tables.device, tables.device.c.id),
    ):
        await connection.execute(
            delete(table).where(
                table.c.shard == shard_of(recipient),
                table.c.recipient == recipient,
                column == device,
            ),
        )
