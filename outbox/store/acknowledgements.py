"""Acknowledgements as they are stored: who knows of what fires, why it may wait, until when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import psycopg

from outbox.domain.acknowledging import PARKED, Acknowledgement
from outbox.domain.ids import SHARDS, new_id
from outbox.domain.states import Lane
from outbox.store.connect import Connection
from outbox.store.sql import statement

_MOST_PARKED = 10_000
_IN_FORCE = (
    "SELECT id, alert, label, actor, reason, at, until FROM acknowledgement"
    " WHERE shard = 0 AND ended_at IS NULL AND until > now() ORDER BY at LIMIT 200"
)


async def acknowledge(  # noqa: PLR0913 - the columns of one
    connection: Connection, alert: str, label: str, *, for_s: int, actor: str, reason: str
) -> Acknowledgement | None:
    """Acknowledge an alert in place of whoever did before; null for no time: it is taken back."""
    async with connection.transaction():
        await connection.execute(
            "UPDATE acknowledgement SET ended_at = now(), ended_why = 'replaced' WHERE shard = 0"
            " AND alert = %s AND label = %s AND ended_at IS NULL AND until > now()",
            (alert, label),
        )
        if not for_s:
            return None
        cursor = await connection.execute(
            "INSERT INTO acknowledgement (shard, id, alert, label, actor, reason, until)"
            " VALUES (0, %s, %s, %s, %s, %s, now() + %s * interval '1 second')"
            " RETURNING id, alert, label, actor, reason, at, until",
            (new_id(0), alert, label, actor, reason, for_s),
        )
        rows = await cursor.fetchall()
    return _read(rows)[0]


async def read(connection: Connection) -> list[Acknowledgement]:
    """Those in force, the oldest first."""
    return _read(await (await connection.execute(_IN_FORCE)).fetchall())


def in_force(connection: psycopg.Connection[Any]) -> list[Acknowledgement]:
    """The same, for those who only look."""
    return _read(connection.execute(_IN_FORCE).fetchall())


async def end(connection: Connection, ids: Iterable[UUID]) -> None:
    """Note that what these are about fires no more."""
    await connection.execute(
        "UPDATE acknowledgement SET ended_at = now(), ended_why = 'over'"
        " WHERE shard = 0 AND id = ANY(%s) AND ended_at IS NULL",
        (list(ids),),
    )


async def is_known(connection: Connection, reason: str) -> bool:
    """Whether somebody knows that notifications are parked for a reason."""
    return any(each.key == (PARKED, reason) for each in await read(connection))


async def parked_reasons(connection: Connection) -> list[str]:
    """Why notifications wait for a person now; of a bounded number of them."""
    bound = {
        "lanes": [int(lane) for lane in Lane],
        "shards": list(range(SHARDS)),
        "most": _MOST_PARKED,
    }
    cursor = await connection.execute(statement("seen_parked"), bound)
    return sorted({row[1] for row in await cursor.fetchall()})


def _read(rows: Sequence[Sequence[Any]]) -> list[Acknowledgement]:
    fields = Acknowledgement.__struct_fields__
    return [Acknowledgement(**dict(zip(fields, row, strict=True))) for row in rows]
