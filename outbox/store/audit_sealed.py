"""What is sealed still opens, and is what the keyed hashes beside it say; the erased is left out.

Reads row by row through a cursor of the server, as every value has to be opened here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from outbox.domain import callbacks, inbound
from outbox.domain import content as contents
from outbox.domain.audit import Offender, offender
from outbox.sealing import Sealer, UnsealError
from outbox.store.connect import Connection
from outbox.store.devices import row_name
from outbox.store.inbox import TEXTS

_AT_ONCE = 2000

Judge = Callable[[Sealer, tuple[Any, ...]], Iterator[Offender]]


class _Kind(Struct, frozen=True):
    """One table with something sealed."""

    query: str
    judge: Judge


def _event(sealer: Sealer, row: tuple[Any, ...]) -> Iterator[Offender]:
    identity, data, content_hash = row
    plain = sealer.unseal(data, table="event", row=str(identity), field="data")
    if sealer.content_hash(plain) != content_hash:
        yield offender("content_differs", str(identity))


def _notification(sealer: Sealer, row: tuple[Any, ...]) -> Iterator[Offender]:
    identity, sealed, phone_hash = row
    plain = sealer.unseal(sealed, table="notification", row=str(identity), field="content")
    if not _fits(sealer, contents.decode(plain).phone, phone_hash):
        yield offender("hash_differs", str(identity), table="notification")


def _recipient(sealer: Sealer, row: tuple[Any, ...]) -> Iterator[Offender]:
    identity, name, phone, phone_hash = row
    if name:
        sealer.unseal(name, table="recipient", row=identity, field="name")
    known = None
    if phone:
        known = sealer.unseal(phone, table="recipient", row=identity, field="phone").decode()
    if not _fits(sealer, known, phone_hash):
        yield offender("hash_differs", identity, table="recipient")


def _device(sealer: Sealer, row: tuple[Any, ...]) -> Iterator[Offender]:
    recipient, device, token, token_hash = row
    of = row_name(recipient, device)
    address = sealer.unseal(token, table="device", row=of, field="token").decode()
    if not _fits(sealer, address, token_hash):
        yield offender("hash_differs", f"{recipient}/{device}", table="device")


def _inbox(sealer: Sealer, row: tuple[Any, ...]) -> Iterator[Offender]:
    identity, provider, said, body = row
    plain = sealer.unseal(body, table="inbox", row=str(identity), field="body")
    if provider == "stripe":
        # Another's words, kept as they were signed.
        return
    if provider == TEXTS:
        fits = said == inbound.decode(plain).provider_id
    else:
        heard = callbacks.decode(plain)
        fits = (provider, said) == (heard.source, f"{heard.notification or ''}:{heard.said}")
    if not fits:
        yield offender("said_otherwise", str(identity))


def _revocation(sealer: Sealer, row: tuple[Any, ...]) -> Iterator[Offender]:
    identity, body = row
    sealer.unseal(body, table="revocation", row=str(identity), field="body")
    yield from ()


def _account(sealer: Sealer, row: tuple[Any, ...]) -> Iterator[Offender]:
    identity, email = row
    sealer.unseal(email, table="account", row=identity, field="email")
    yield from ()


def _fits(sealer: Sealer, value: str | None, hashed: bytes | None) -> bool:
    if value is None or hashed is None:
        return value is None and hashed is None
    return bytes(hashed) in sealer.lookups(value)


_KINDS = {
    "event": _Kind(
        "SELECT id, data, content_hash FROM event"
        " WHERE shard = %(shard)s AND id >= %(low)s AND length(data) > 0",
        _event,
    ),
    "notification": _Kind(
        "SELECT id, content, phone_hash FROM notification"
        " WHERE shard = %(shard)s AND id >= %(low)s AND length(content) > 0",
        _notification,
    ),
    "recipient": _Kind(
        "SELECT id, name, phone, phone_hash FROM recipient WHERE shard = %(shard)s", _recipient
    ),
    "device": _Kind(
        "SELECT recipient, id, token, token_hash FROM device WHERE shard = %(shard)s", _device
    ),
    "inbox": _Kind(
        "SELECT id, provider, said, body FROM inbox WHERE shard = %(shard)s AND length(body) > 0",
        _inbox,
    ),
    "account": _Kind(
        "SELECT id, email FROM account WHERE shard = %(shard)s AND length(email) > 0", _account
    ),
    "revocation": _Kind(
        "SELECT id, body FROM revocation WHERE shard = %(shard)s AND length(body) > 0", _revocation
    ),
}


async def unfit(
    connection: Connection, sealer: Sealer, shard: int, low: object
) -> AsyncIterator[Offender]:
    """Rows of a shard whose sealed values do not fit; to be called in a `snapshot`."""
    for table, kind in _KINDS.items():
        async with connection.cursor(f"sealed_{table}", binary=True) as cursor:
            await cursor.execute(kind.query, {"shard": shard, "low": low})
            while rows := await cursor.fetchmany(_AT_ONCE):
                for row in rows:
                    try:
                        for each in kind.judge(sealer, row):
                            yield each
                    except (UnsealError, msgspec.MsgspecError, UnicodeDecodeError):
                        yield offender("unreadable", _name(table, row), table=table)


def _name(table: str, row: tuple[Any, ...]) -> str:
    return f"{row[0]}/{row[1]}" if table == "device" else str(row[0])
