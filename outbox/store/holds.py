"""Holds as they are stored: who keeps the relays from calling whom, why, and until when.

All of it is about shard 0, as everything that the relays share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from msgspec import Struct

from outbox.domain.holds import CHANNELS, Sender, down_with
from outbox.domain.ids import new_id
from outbox.store.connect import Connection
from outbox.store.sql import statement

Row = tuple[Any, ...]

MOST = 10_000
"""Where counting ends; the migration has the same."""

_IN_FORCE = (
    "SELECT id, provider, sender, actor, reason, at, until FROM provider_hold"
    " WHERE shard = 0 AND released_at IS NULL AND until > now()"
    " ORDER BY until, provider, sender LIMIT 100"
)
_TOUCHES = "SELECT alerts, stranded, others FROM pruuf_hold_touches(%s, %s)"


class Hold(Struct, frozen=True, kw_only=True):
    """A hold in force."""

    id: UUID
    provider: str
    sender: str
    """Keyed hash; empty: all of the provider."""
    actor: str
    reason: str
    at: datetime
    until: datetime


class Touched(Struct, frozen=True, kw_only=True):
    """What waits in the outbox and is touched by a hold; each counted up to `MOST`.

    Nothing is, while another sender of the provider is left.
    """

    alerts: int
    """Notifications of the safety lane that the provider may still have to carry."""
    stranded: int
    """Of these, those that no other way is left to: they wait, and a person is paged."""
    others: int
    """Notifications of other lanes; they wait."""


async def hold(  # noqa: PLR0913 - the columns of a hold
    connection: Connection,
    provider: str,
    sender: str,
    *,
    for_s: int,
    actor: str,
    reason: str,
) -> Hold:
    """Hold a provider; one that is held the same already is held anew, for so long from now."""
    async with connection.transaction():
        # Only the very same: one of a single sender may be meant to last longer than this.
        why = f"held anew: {reason}"
        await _end(connection, provider, sender, actor=actor, why=why, exactly=True)
        cursor = await connection.execute(
            "INSERT INTO provider_hold (shard, id, provider, sender, actor, reason, until)"
            " VALUES (0, %s, %s, %s, %s, %s, now() + %s * interval '1 second')"
            " RETURNING id, provider, sender, actor, reason, at, until",
            (new_id(0), provider, sender, actor, reason, for_s),
        )
        row = await cursor.fetchone()
    if row is None:
        msg = "an INSERT gave nothing back"
        raise RuntimeError(msg)
    return _hold(row)


async def release(
    connection: Connection, provider: str, sender: str, *, actor: str, reason: str
) -> int:
    """End every hold of a provider, or with ``sender`` those of this one alone; how many."""
    async with connection.transaction():
        return await _end(connection, provider, sender, actor=actor, why=reason)


async def _end(  # noqa: PLR0913 - the columns of a release
    connection: Connection,
    provider: str,
    sender: str,
    *,
    actor: str,
    why: str,
    exactly: bool = False,
) -> int:
    cursor = await connection.execute(
        "UPDATE provider_hold SET released_at = now(), released_by = %(actor)s,"
        " released_why = %(why)s WHERE shard = 0 AND provider = %(provider)s"
        " AND (sender = %(sender)s OR (%(sender)s = '' AND NOT %(exactly)s))"
        " AND released_at IS NULL AND until > now()",
        {
            "provider": provider,
            "sender": sender,
            "actor": actor,
            "why": why,
            "exactly": exactly,
        },
    )
    return cursor.rowcount


async def read(connection: Connection) -> tuple[list[Hold], list[Sender]]:
    """The holds in force, and all senders in use."""
    holds = await (await connection.execute(_IN_FORCE)).fetchall()
    senders = await (await connection.execute(statement("seen_breakers"))).fetchall()
    return [_hold(row) for row in holds], senders_of(senders)


async def touched(connection: Connection, provider: str, sender: str) -> Touched:
    """What a hold of this would touch now, or does touch."""
    _, senders = await read(connection)
    row = await (await connection.execute(_TOUCHES, asked(provider, sender, senders))).fetchone()
    return _touched(row)


def in_force(connection: psycopg.Connection[Any]) -> list[Hold]:
    """The holds in force, the first to end first; for those who only look."""
    return [_hold(row) for row in connection.execute(_IN_FORCE)]


def touches(
    connection: psycopg.Connection[Any], provider: str, sender: str, senders: Sequence[Sender]
) -> Touched:
    """As `touched`, for those who only look."""
    row = connection.execute(_TOUCHES, asked(provider, sender, senders)).fetchone()
    return _touched(row)


def asked(provider: str, sender: str, senders: Sequence[Sender]) -> tuple[list[str], list[str]]:
    """What the database is asked: which channels of a provider would be down, and all that are."""
    down = [str(channel) for channel in down_with(provider, sender, senders)]
    return [channel for channel in CHANNELS[provider] if channel in down], down


def senders_of(rows: Sequence[Row]) -> list[Sender]:
    """Senders, from rows of ``seen_breakers``."""
    return [
        Sender(provider, sender, usable=not held and votes * 2 <= relays)
        for provider, sender, votes, relays, _, _, _, held in rows
    ]


def _hold(row: Sequence[Any]) -> Hold:
    names: Mapping[str, Any] = dict(zip(Hold.__struct_fields__, row, strict=True))
    return Hold(**names)


def _touched(row: Sequence[int] | None) -> Touched:
    alerts, stranded, others = row or (0, 0, 0)
    return Touched(alerts=alerts, stranded=stranded, others=others)
