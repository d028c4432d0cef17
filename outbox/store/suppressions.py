"""Opt-outs: kept by the keyed hash of a number, with their origin; they survive an erasure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from outbox.domain.ids import SHARDS
from outbox.store.connect import TRANSACTION_TIMEOUT_S, Connection
from outbox.store.sql import id_range, rows, statement

EVERYTHING = "all"
"""The program of an opt-out that names none."""

# A change that commits late is older than what was read meanwhile.
_OVERLAP = timedelta(seconds=TRANSACTION_TIMEOUT_S + 5)


class Change(Struct, frozen=True):
    """One opt-out, or its end."""

    phone_hash: bytes
    lifted: bool


def shard_of_hash(phone_hash: bytes) -> int:
    """Shard of a number's opt-out; its first byte is the look-up key's version."""
    return phone_hash[1] % SHARDS


async def add(
    connection: Connection,
    phone_hash: bytes,
    *,
    origin: str,
    word: str | None,
) -> bool:
    """Record an opt-out in the open transaction; true when it was not in force before."""
    cursor = await connection.execute(
        "INSERT INTO suppression AS s (shard, phone_hash, program, origin, word)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (shard, phone_hash, program)"
        " DO UPDATE SET origin = excluded.origin, word = excluded.word, at = now(),"
        " lifted_at = NULL, changed_at = now(), followed_at = NULL"
        " WHERE s.lifted_at IS NOT NULL RETURNING 1",
        (shard_of_hash(phone_hash), phone_hash, EVERYTHING, origin, word),
    )
    return await cursor.fetchone() is not None


async def lift(connection: Connection, phone_hashes: Sequence[bytes]) -> bool:
    """End the opt-out of a number, under each of its look-up hashes; true when there was one."""
    cursor = await connection.execute(
        "UPDATE suppression SET lifted_at = now(), changed_at = now()"
        " WHERE shard = ANY(%s) AND phone_hash = ANY(%s) AND lifted_at IS NULL",
        ([shard_of_hash(each) for each in phone_hashes], list(phone_hashes)),
    )
    return cursor.rowcount > 0


async def learn(connection: Connection, shard: int, refused: Iterable[tuple[UUID, str]]) -> None:
    """Record the opt-outs that a provider told of: notification and its code, of one shard."""
    told = dict(refused)
    if told:
        values = [{"notification": each, "code": code} for each, code in sorted(told.items())]
        bound = {"shard": shard, "rows": rows(values), **id_range(told)}
        await connection.execute(statement("suppression_learn"), bound)


async def to_follow(connection: Connection, *, limit: int) -> list[tuple[int, bytes]]:
    """Lock opt-outs in force that nobody has followed up: shard and hash."""
    cursor = await connection.execute(
        "SELECT shard, phone_hash FROM suppression WHERE followed_at IS NULL"
        " ORDER BY shard, phone_hash LIMIT %s FOR NO KEY UPDATE SKIP LOCKED",
        (limit,),
        binary=True,
    )
    return [(shard, bytes(each)) for shard, each in await cursor.fetchall()]


async def followed(connection: Connection, shard: int, phone_hash: bytes) -> None:
    """Those whom it leaves unreachable have been told of."""
    await connection.execute(
        "UPDATE suppression SET followed_at = now() WHERE shard = %s AND phone_hash = %s",
        (shard, phone_hash),
    )


async def changed(
    connection: Connection,
    *,
    since: datetime | None,
) -> tuple[list[Change], datetime]:
    """Changes since then, or all that are in force; and the moment to ask from next time."""
    where = "lifted_at IS NULL" if since is None else "changed_at > %(since)s"
    bound = {"since": None if since is None else since - _OVERLAP}
    cursor = await connection.execute(
        f"SELECT phone_hash, lifted_at IS NOT NULL FROM suppression WHERE {where}",  # noqa: S608 - fixed
        bound,
        binary=True,
    )
    changes = [Change(bytes(each), lifted) for each, lifted in await cursor.fetchall()]
    now = await (await connection.execute("SELECT now()")).fetchone()
    if now is None:
        msg = "SELECT now() returned nothing"
        raise RuntimeError(msg)
    return changes, now[0]
