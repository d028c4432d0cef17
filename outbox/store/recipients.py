"""Recipients and their devices: where somebody can be reached; every address is sealed.

A recipient's shard is the hash of its own id. Erasing one leaves nothing of the person here.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct
from sqlalchemy import RowMapping, delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from outbox.domain.ids import shard_of
from outbox.sealing import Sealer, UnsealError
from outbox.store import tables
from outbox.store.connect import Connection
from outbox.store.devices import row_name
from outbox.store.sql import rows

_log = logging.getLogger(__name__)

MAX_DEVICES = 10
"""Of one recipient that a push goes to, newest first."""

DEFAULT_LOCALE = "en-US"
_DEFAULT_TIMEZONE = "UTC"


class StoredRecipient(Struct, frozen=True, kw_only=True):
    """A recipient, unsealed."""

    id: str
    name: str | None
    phone: str | None
    """E.164; null when only devices, or nothing, are known."""
    locale: str
    timezone: str
    created_at: datetime
    updated_at: datetime


class Device(Struct, frozen=True, kw_only=True):
    """A device that a push can go to."""

    id: str
    recipient: str
    address: str
    """Unsealed; for the provider only."""
    address_kind: str
    platform: str
    token_hash: bytes
    """Names this very address: `forget_device` compares it."""


async def put_recipient(  # noqa: PLR0913 - the fields of a recipient
    connection: AsyncConnection,
    sealer: Sealer,
    recipient: str,
    *,
    name: str | None,
    phone: str | None,
    locale: str | None,
    timezone: str | None,
) -> tuple[StoredRecipient, bool]:
    """Store or replace a recipient whole; the second value is true when it is new."""

    def seal(value: str | None, field: str) -> bytes | None:
        if value is None:
            return None
        return sealer.seal(value.encode(), table="recipient", row=recipient, field=field)

    table = tables.recipient
    values = {
        "name": seal(name, "name"),
        "phone": seal(phone, "phone"),
        "phone_hash": None if phone is None else sealer.lookup(phone),
        "locale": locale or DEFAULT_LOCALE,
        "timezone": timezone or _DEFAULT_TIMEZONE,
    }
    statement = insert(table).values(shard=shard_of(recipient), id=recipient, **values)
    row = (
        await connection.execute(
            statement.on_conflict_do_update(
                index_elements=[table.c.shard, table.c.id],
                set_={**values, "updated_at": func.now()},
            ).returning(table.c.created_at, table.c.updated_at),
        )
    ).one()
    stored = StoredRecipient(
        id=recipient,
        name=name,
        phone=phone,
        locale=locale or DEFAULT_LOCALE,
        timezone=timezone or _DEFAULT_TIMEZONE,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
    return stored, row.created_at == row.updated_at


def _opened(sealer: Sealer, row: RowMapping) -> StoredRecipient:
    def unseal(sealed: bytes | None, field: str) -> str | None:
        if sealed is None:
            return None
        return sealer.unseal(bytes(sealed), table="recipient", row=row["id"], field=field).decode()

    return StoredRecipient(
        id=row["id"],
        name=unseal(row["name"], "name"),
        phone=unseal(row["phone"], "phone"),
        locale=row["locale"],
        timezone=row["timezone"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


async def find_recipients(
    connection: AsyncConnection,
    sealer: Sealer,
    recipients: Sequence[str],
) -> dict[str, StoredRecipient]:
    """Those of these recipients that are stored, by id; raises `UnsealError` for a lost key."""
    table = tables.recipient
    pairs = sorted({(shard_of(recipient), recipient) for recipient in recipients})
    found = await connection.execute(
        select(
            table.c.id,
            table.c.name,
            table.c.phone,
            table.c.locale,
            table.c.timezone,
            table.c.created_at,
            table.c.updated_at,
        ).where(tuple_(table.c.shard, table.c.id).in_(pairs)),
    )
    return {row["id"]: _opened(sealer, row) for row in found.mappings()}


async def erase_recipient(connection: AsyncConnection, recipient: str) -> None:
    """Erase a recipient and all of its devices, in the open transaction; nothing there is fine."""
    for owned in (tables.topic_device, tables.device):
        await connection.execute(
            delete(owned).where(
                owned.c.shard == shard_of(recipient),
                owned.c.recipient == recipient,
            ),
        )
    table = tables.recipient
    await connection.execute(
        delete(table).where(table.c.shard == shard_of(recipient), table.c.id == recipient),
    )


_DEVICES = (
    "SELECT d.recipient, d.id, d.token, d.address_kind, d.platform, d.token_hash"
    " FROM device d JOIN json_to_recordset(%(rows)s::json) AS r (shard smallint, recipient text)"
    " ON d.shard = r.shard AND d.recipient = r.recipient"
    " WHERE d.dead_at IS NULL ORDER BY d.recipient, d.seen_at DESC, d.id"
)


async def devices(
    connection: Connection,
    sealer: Sealer,
    recipients: Sequence[str],
) -> Mapping[str, list[Device]]:
    """Live devices of these recipients, newest first, for the relay.

    One that does not open is left out and logged: a push to the others, or the next step, must
    not fail with it.
    """
    pairs = [{"shard": shard_of(each), "recipient": each} for each in sorted(set(recipients))]
    cursor = await connection.execute(_DEVICES, {"rows": rows(pairs)}, binary=True)
    found: defaultdict[str, list[Device]] = defaultdict(list)
    for recipient, device, token, address_kind, platform, token_hash in await cursor.fetchall():
        if len(found[recipient]) == MAX_DEVICES:
            continue
        try:
            address = sealer.unseal(
                token,
                table="device",
                row=row_name(recipient, device),
                field="token",
            )
        except UnsealError:
            _log.error("the address of a device does not open: a key is missing, or it was moved")
            continue
        found[recipient].append(
            Device(
                id=device,
                recipient=recipient,
                address=address.decode(),
                address_kind=address_kind,
                platform=platform,
                token_hash=token_hash,
            ),
        )
    return found


async def forget_device(
    connection: Connection,
    recipient: str,
    device: str,
    token_hash: bytes,
) -> bool:
    """Mark an address dead, unless the app has registered a new one meanwhile."""
    cursor = await connection.execute(
        "UPDATE device SET dead_at = now() WHERE shard = %s AND recipient = %s AND id = %s"
        " AND token_hash = %s AND dead_at IS NULL",
        (shard_of(recipient), recipient, device, token_hash),
    )
    return cursor.rowcount == 1
