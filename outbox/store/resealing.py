"""What older keys sealed is sealed anew under the newest one, beside everything that goes on.

Rows that others hold just now are passed over and found by the next pass, so that nobody who
delivers ever waits for this, and this for nobody. It can be ended at any moment and run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from msgspec import Struct
from psycopg import sql

from outbox.domain.ids import SHARDS
from outbox.sealing import Sealer, UnsealError
from outbox.store.connect import conninfo
from outbox.store.devices import row_name

AT_ONCE = 500
"""Rows of one transaction."""

Row = tuple[Any, ...]


class Field(Struct, frozen=True):
    """One column that holds sealed values."""

    table: str
    name: str
    key: tuple[str, ...] = ("id",)
    """Beside the shard."""
    row: Callable[..., str] = str
    """What a value is bound to, from the key."""


FIELDS = (
    # What is still to be sent first: it hangs on the older key most.
    Field("notification", "content"),
    Field("inbox", "body"),
    Field("recipient", "name"),
    Field("recipient", "phone"),
    Field("device", "token", ("recipient", "id"), row_name),
    Field("account", "email"),
    Field("revocation", "body"),
    Field("event", "data"),
)


class Step(Struct, frozen=True):
    """What one transaction came to."""

    field: Field
    resealed: int
    unreadable: tuple[str, ...] = ()
    """Rows that no key of ours opens; the erased and the dropped is not among them."""


def connect(database_url: str) -> psycopg.Connection[Row]:
    """Under the login's own rights: no process may change what was accepted."""
    return psycopg.connect(
        conninfo(database_url, None, application="pruuf reseal"), autocommit=True
    )


def count(connection: psycopg.Connection[Row], sealer: Sealer, field: Field) -> int:
    """How many values of a column are under an older key."""
    query = sql.SQL("SELECT count(*) FROM {table} WHERE shard = %(shard)s AND {old}")
    asked = query.format(table=sql.Identifier(field.table), old=_old(field))
    found = 0
    for shard in range(SHARDS):
        row = connection.execute(asked, {"shard": shard, "newest": sealer.newest}).fetchone()
        found += int(row[0]) if row else 0
    return found


def reseal(connection: psycopg.Connection[Row], sealer: Sealer) -> Iterator[Step]:
    """Go once through every column, a transaction at a time."""
    for field in FIELDS:
        for shard in range(SHARDS):
            after: Row | None = None
            while True:
                with connection.transaction():
                    held = _hold(connection, sealer, field, shard, after)
                    step = _seal(connection, sealer, field, shard, held)
                yield step
                if len(held) < AT_ONCE:
                    break
                after = held[-1][:-1]


def _old(field: Field) -> sql.Composed:
    # An empty one was erased, or dropped for its age.
    return sql.SQL("length({name}) > 0 AND substring({name} FROM 1 FOR 4) <> %(newest)s").format(
        name=sql.Identifier(field.name)
    )


def _hold(
    connection: psycopg.Connection[Row],
    sealer: Sealer,
    field: Field,
    shard: int,
    after: Row | None,
) -> list[Row]:
    """Lock the next rows in the order of their keys, and read key and value."""
    keys = sql.SQL(", ").join(sql.Identifier(column) for column in field.key)
    further: sql.Composable = sql.SQL("TRUE")
    if after is not None:
        marks = sql.SQL(", ").join(sql.Placeholder(f"after_{n}") for n in range(len(after)))
        further = sql.SQL("({keys}) > ({marks})").format(keys=keys, marks=marks)
    query = sql.SQL(
        "SELECT {keys}, {name} FROM {table} WHERE shard = %(shard)s AND {old} AND {further}"
        " ORDER BY {keys} LIMIT %(most)s FOR NO KEY UPDATE SKIP LOCKED"
    ).format(
        keys=keys,
        name=sql.Identifier(field.name),
        table=sql.Identifier(field.table),
        old=_old(field),
        further=further,
    )
    given = {"shard": shard, "newest": sealer.newest, "most": AT_ONCE}
    given |= {f"after_{n}": value for n, value in enumerate(after or ())}
    return connection.execute(query, given).fetchall()


def _seal(
    connection: psycopg.Connection[Row],
    sealer: Sealer,
    field: Field,
    shard: int,
    held: list[Row],
) -> Step:
    fresh: list[Row] = []
    unreadable: list[str] = []
    for *key, value in held:
        row = field.row(*key)
        try:
            plain = sealer.unseal(bytes(value), table=field.table, row=row, field=field.name)
        except UnsealError:
            unreadable.append("/".join(map(str, key)))
            continue
        sealed = sealer.seal(plain, table=field.table, row=row, field=field.name)
        fresh.append((sealed, shard, *key))
    if fresh:
        which = sql.SQL(" AND ").join(
            sql.SQL("{} = %s").format(sql.Identifier(column)) for column in field.key
        )
        change = sql.SQL("UPDATE {table} SET {name} = %s WHERE shard = %s AND {which}").format(
            table=sql.Identifier(field.table), name=sql.Identifier(field.name), which=which
        )
        with connection.cursor() as cursor:
            cursor.executemany(change, fresh)
    return Step(field, len(fresh), tuple(unreadable))
