"""Who asked to be forgotten: stored with the request, carried through by a relay, kept as a proof.

The row holds the person's id and, until the end, keyed hashes of their numbers; nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec
import psycopg
from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from outbox.domain.erasure import GRACE, Waits
from outbox.domain.ids import shard_of
from outbox.sealing import Sealer, UnsealError
from outbox.store.connect import TRANSACTION_TIMEOUT_S, Connection, Row

SETTLED_AFTER = GRACE + timedelta(seconds=TRANSACTION_TIMEOUT_S)
"""Then whatever was prepared before is stored, or never will be."""

_LEASE_S = 120.0
"""A relay that dies leaves the row to the others after this; every step may be run again."""


class Erasure(Struct, frozen=True, kw_only=True):
    """One that is under way, in the hands of this relay."""

    recipient: str
    asked_at: datetime
    """What was stored until then goes."""
    numbers: frozenset[bytes]
    """Keyed hashes of their numbers, under every look-up key."""
    is_settled: bool
    """Nothing can be stored any more that was begun before it."""
    is_read: bool
    """All events that may name them were read."""
    age_s: float

    @property
    def shard(self) -> int:
        """Of the recipient."""
        return shard_of(self.recipient)

    @property
    def until(self) -> datetime:
        """Until when something may be stored that was prepared before."""
        return self.asked_at + GRACE


class Stands(Struct, frozen=True, kw_only=True):
    """How an erasure stands, for people."""

    recipient: str
    asked_at: datetime
    emptied: int
    """Rows so far."""
    waits_for: str | None
    """See `Waits`; null: nobody has looked, or it is at its end."""
    done_at: datetime | None
    """Since when nothing of theirs is left; null: there may be something."""


async def ask(connection: AsyncConnection, sealer: Sealer, recipient: str) -> None:
    """Store in the open transaction that a person is to be erased; before their row goes.

    Asked again, it begins anew: with what was stored meanwhile.
    """
    bound = {"shard": shard_of(recipient), "id": recipient}
    found = await connection.execute(
        text("SELECT phone, phone_hash FROM recipient WHERE shard = :shard AND id = :id"), bound
    )
    numbers: list[bytes] = []
    for phone, phone_hash in found:
        if phone_hash is None:
            continue
        numbers = [bytes(phone_hash)]
        try:
            plain = sealer.unseal(bytes(phone), table="recipient", row=recipient, field="phone")
            numbers = sealer.lookups(plain.decode())
        except UnsealError:
            # Under the key that it was stored with it is found all the same.
            continue
    await connection.execute(
        text(
            "INSERT INTO erasure AS e (shard, recipient, numbers, before)"
            " VALUES (:shard, :id, :numbers, pg_current_xact_id())"
            " ON CONFLICT (shard, recipient) DO UPDATE SET asked_at = now(),"
            " before = excluded.before, numbers = e.numbers || excluded.numbers, read_at = NULL,"
            " waits_for = NULL, next_at = now(), done_at = NULL"
        ),
        {**bound, "numbers": numbers},
    )


async def take(connection: Connection) -> Erasure | None:
    """Take one that is to be looked at, for a while; null: there is none."""
    cursor = await connection.execute(
        "WITH one AS MATERIALIZED (SELECT shard, recipient FROM erasure"
        " WHERE done_at IS NULL AND next_at <= now() ORDER BY next_at LIMIT 1"
        " FOR UPDATE SKIP LOCKED)"
        " UPDATE erasure e SET next_at = now() + %s * interval '1 second' FROM one"
        " WHERE e.shard = one.shard AND e.recipient = one.recipient"
        " RETURNING e.recipient, e.asked_at, e.numbers,"
        " e.before < pg_snapshot_xmin(pg_current_snapshot())"
        " AND e.asked_at < now() - %s AND NOT EXISTS (SELECT FROM inbox i"
        " WHERE i.done_at IS NULL AND i.received_at <= e.asked_at),"
        " e.read_at IS NOT NULL, extract(epoch FROM now() - e.asked_at)::float8",
        (_LEASE_S, SETTLED_AFTER),
        binary=True,
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    recipient, asked_at, numbers, is_settled, is_read, age_s = row
    return Erasure(
        recipient=recipient,
        asked_at=asked_at,
        numbers=frozenset(bytes(each) for each in numbers),
        is_settled=is_settled,
        is_read=is_read,
        age_s=age_s,
    )


async def learn(connection: Connection, erasure: Erasure, numbers: Iterable[bytes]) -> None:
    """Add numbers of theirs that were found, in the transaction that empties where they stood."""
    new = sorted(set(numbers) - erasure.numbers)
    if new:
        await connection.execute(
            "UPDATE erasure SET numbers = numbers || %s WHERE shard = %s AND recipient = %s"
            " AND asked_at = %s AND done_at IS NULL",
            (new, erasure.shard, erasure.recipient, erasure.asked_at),
        )


async def refreshed(connection: Connection, erasure: Erasure) -> Erasure:
    """The same, with the numbers that were found meanwhile."""
    cursor = await connection.execute(
        "SELECT numbers FROM erasure WHERE shard = %s AND recipient = %s",
        (erasure.shard, erasure.recipient),
        binary=True,
    )
    row = await cursor.fetchone()
    known = frozenset(bytes(each) for each in row[0]) if row else frozenset()
    return msgspec.structs.replace(erasure, numbers=erasure.numbers | known)


async def emptied(connection: Connection, erasure: Erasure, rows: int) -> None:
    """Count what went, in the same transaction."""
    if rows:
        await connection.execute(
            "UPDATE erasure SET emptied = emptied + %s WHERE shard = %s AND recipient = %s",
            (rows, erasure.shard, erasure.recipient),
        )


async def read(connection: Connection, erasure: Erasure) -> None:
    """All events that may name them were read, at a time when none could come any more."""
    await connection.execute(
        "UPDATE erasure SET read_at = now() WHERE shard = %s AND recipient = %s AND asked_at = %s",
        (erasure.shard, erasure.recipient, erasure.asked_at),
    )


async def leave(
    connection: Connection, erasure: Erasure, waits_for: Waits | None, after_s: float
) -> bool:
    """Give it back: it waits for something, or is at its end; whether it is.

    Asked again meanwhile, it is not.
    """
    cursor = await connection.execute(
        "UPDATE erasure SET waits_for = %(waits_for)s,"
        " next_at = now() + %(after_s)s * interval '1 second',"
        " numbers = CASE WHEN %(waits_for)s::text IS NULL THEN '{}' ELSE numbers END,"
        " done_at = CASE WHEN %(waits_for)s::text IS NULL THEN now() END"
        " WHERE shard = %(shard)s AND recipient = %(recipient)s AND asked_at = %(asked_at)s"
        " RETURNING done_at",
        {
            "waits_for": waits_for,
            "after_s": after_s,
            "shard": erasure.shard,
            "recipient": erasure.recipient,
            "asked_at": erasure.asked_at,
        },
    )
    row = await cursor.fetchone()
    return row is not None and row[0] is not None


async def waiting(connection: Connection) -> int:
    """How many are under way."""
    cursor = await connection.execute("SELECT count(*) FROM erasure WHERE done_at IS NULL")
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


def standing(connection: psycopg.Connection[Row], recipients: Sequence[str] = ()) -> list[Stands]:
    """Those of these recipients, or without any all that are under way, the oldest first."""
    found = connection.execute(
        "SELECT recipient, asked_at, emptied, waits_for, done_at FROM erasure"
        " WHERE CASE WHEN %(any)s THEN done_at IS NULL ELSE recipient = ANY(%(ids)s) END"
        " ORDER BY asked_at LIMIT 1000",
        {"any": not recipients, "ids": list(recipients)},
    ).fetchall()
    names = Stands.__struct_fields__
    return [Stands(**dict(zip(names, row, strict=True))) for row in found]
