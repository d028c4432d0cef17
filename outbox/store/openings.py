"""Who opened the name and number of a recipient, and why; nothing of what was opened."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from outbox.domain.ids import new_id, shard_of


class Opening(Struct, frozen=True, kw_only=True):
    """One time that somebody did."""

    at: datetime
    actor: str
    reason: str


async def record(
    connection: AsyncConnection, recipient: str, *, actor: str, reason: str
) -> datetime:
    """Keep who opens a recipient and why, in the open transaction; when it is."""
    shard = shard_of(recipient)
    found = await connection.execute(
        text(
            "INSERT INTO opening (shard, id, recipient, actor, reason)"
            " VALUES (:shard, :id, :recipient, :actor, :reason) RETURNING at"
        ),
        {
            "shard": shard,
            "id": new_id(shard),
            "recipient": recipient,
            "actor": actor,
            "reason": reason,
        },
    )
    at: datetime = found.scalar_one()
    return at


def newest(connection: psycopg.Connection[Any], recipient: str, *, most: int) -> list[Opening]:
    """The newest times that a recipient was opened, the newest first."""
    rows = connection.execute(
        "SELECT at, actor, reason FROM opening WHERE shard = %s AND recipient = %s"
        " ORDER BY id DESC LIMIT %s",
        (shard_of(recipient), recipient, most),
    )
    return [Opening(at=at, actor=actor, reason=reason) for at, actor, reason in rows]
