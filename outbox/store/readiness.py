"""Reading whether people could be reached now: one of them, or all who could not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import psycopg
from msgspec import Struct

from outbox.domain import content as contents
from outbox.domain.ids import day_floor, shard_of
from outbox.domain.readiness import ChannelReadiness, KnownDevice, Word, of_pushes, of_texts
from outbox.sealing import Sealer, UnsealError
from outbox.store.connect import Connection, Row
from outbox.store.sql import statement
from outbox.store.suppressions import shard_of_hash

_LATELY = timedelta(days=90)
"""How far back is looked; what is older proves nothing."""


class Readiness(Struct, frozen=True, kw_only=True):
    """Could this person be reached now?"""

    recipient: str
    reachable: bool
    """By at least one channel."""
    channels: list[ChannelReadiness]


class Unreachable(Struct, frozen=True, kw_only=True):
    """Somebody who could not be reached by any channel."""

    recipient: str
    texts: str
    """Why not by text, as `ChannelReadiness.why` has it."""
    pushes: str
    """Why not by push."""


async def readiness(connection: Connection, sealer: Sealer, recipient: str) -> Readiness | None:
    """One person, from one moment of the database; null for one that nobody ever heard of."""
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        stored, hashes = await _number(connection, sealer, recipient)
        devices = await _devices(connection, recipient)
        words = await _words(connection, recipient)
        opted_out = await _opted_out(connection, hashes)
    if not stored and not devices:
        return None
    texts = of_texts(
        has_number=bool(hashes),
        opted_out=opted_out,
        words=[w for phone_hash, w in words if w.channel == "sms" and phone_hash in hashes],
    )
    pushes = of_pushes(devices, [word for _, word in words if word.channel == "push"])
    return Readiness(
        recipient=recipient,
        reachable=texts.able or pushes.able,
        channels=[texts, pushes],
    )


async def _number(
    connection: Connection,
    sealer: Sealer,
    recipient: str,
) -> tuple[bool, Sequence[bytes]]:
    """Whether the person is known, and the hashes of their number under every look-up key.

    The stored number comes first; a Contact who is not stored has that of the newest notification.
    """
    cursor = await connection.execute(
        "SELECT phone, phone_hash FROM recipient WHERE shard = %s AND id = %s",
        (shard_of(recipient), recipient),
        binary=True,
    )
    stored = await cursor.fetchone()
    if stored is not None and stored[0] is not None:
        return True, _hashes(sealer, stored, table="recipient", row=recipient, field="phone")
    cursor = await connection.execute(
        "SELECT content, phone_hash, id FROM notification WHERE recipient = %s AND id >= %s"
        " ORDER BY id DESC LIMIT 1",
        (recipient, day_floor(datetime.now(UTC) - _LATELY)),
        binary=True,
    )
    newest = await cursor.fetchone()
    if stored is not None or newest is None or newest[1] is None:
        # Whoever is stored without a number has none, whatever was used before.
        return stored is not None or newest is not None, ()
    row = str(newest[2])
    return True, _hashes(sealer, newest, table="notification", row=row, field="content")


def _hashes(sealer: Sealer, sealed: Row, *, table: str, row: str, field: str) -> Sequence[bytes]:
    """Under every key; under the one that it was stored with, where the number does not open."""
    try:
        plain = sealer.unseal(bytes(sealed[0]), table=table, row=row, field=field)
    except UnsealError:
        return [bytes(sealed[1])]
    phone = plain.decode() if field == "phone" else contents.decode(plain).phone
    return [bytes(sealed[1])] if phone is None else sealer.lookups(phone)


async def _devices(connection: Connection, recipient: str) -> list[KnownDevice]:
    cursor = await connection.execute(
        "SELECT dead_at IS NOT NULL, stale_at IS NOT NULL FROM device"
        " WHERE shard = %s AND recipient = %s",
        (shard_of(recipient), recipient),
        binary=True,
    )
    return [KnownDevice(dead=dead, stale=stale) for dead, stale in await cursor.fetchall()]


async def _words(connection: Connection, recipient: str) -> list[tuple[bytes | None, Word]]:
    bound = {"recipient": recipient, "low_id": day_floor(datetime.now(UTC) - _LATELY)}
    cursor = await connection.execute(statement("readiness_words"), bound, binary=True)
    return [
        (
            None if phone_hash is None else bytes(phone_hash),
            Word(channel=channel, at=at, code=code, proven=proven),
        )
        for channel, phone_hash, at, code, proven in await cursor.fetchall()
    ]


async def _opted_out(connection: Connection, hashes: Sequence[bytes]) -> bool:
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT FROM suppression WHERE shard = ANY(%s) AND phone_hash = ANY(%s)"
        " AND lifted_at IS NULL)",
        ([shard_of_hash(each) for each in hashes], list(hashes)),
    )
    row = await cursor.fetchone()
    return bool(row and row[0])


def unreachable(connection: psycopg.Connection[Row], *, limit: int = 200) -> list[Unreachable]:
    """Whom no channel reaches, by their ids; for the dashboard's role, which reads no hash itself.

    Opt-outs under look-up keys that are no longer the newest count only for numbers that were
    stored under the same key.
    """
    found = connection.execute(
        "SELECT recipient, texts, pushes FROM pruuf_unreachable() ORDER BY recipient LIMIT %s",
        (limit,),
    )
    return [
        Unreachable(recipient=recipient, texts=texts, pushes=pushes)
        for recipient, texts, pushes in found
    ]
