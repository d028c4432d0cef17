"""What is kept of Stripe's objects: a row each, changed only while the account's row is locked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from outbox.domain.billing_apply import ANSWER, Seen, answered, is_over
from outbox.domain.billing_objects import (
    Customer,
    Invoice,
    Kept,
    PaymentMethod,
    Reversal,
    Subscription,
)
from outbox.store import billing_unowned
from outbox.store.connect import Connection

_TABLES: dict[type[Struct], str] = {
    Subscription: "subscription",
    Invoice: "invoice",
    PaymentMethod: "payment_method",
    Reversal: "reversal",
}


SETTLED = ("paid", "void")
"""Invoices that nobody has to do anything about."""


class Row(Struct, frozen=True):
    """One object as it is known."""

    kept: Kept
    seen: Seen
    changed_at: datetime


async def find(
    connection: Connection,
    shard: int,
    account: str,
    kind: type[Kept],
    name: str,
) -> Row | None:
    """What is known of an object; null where nothing is."""
    if kind is Customer:
        return await _customer(connection, shard, account, name)
    columns = kind.__struct_fields__
    cursor = await connection.execute(
        f"SELECT seen_at, seen, changed_at, {', '.join(columns)}"  # noqa: S608 - fixed names
        f" FROM {_TABLES[kind]} WHERE shard = %s AND id = %s",
        (shard, name),
    )
    row = await cursor.fetchone()
    return None if row is None else _row(kind, row)


def _row(kind: type[Kept], row: Sequence[Any]) -> Row:
    values = dict(zip(kind.__struct_fields__, row[3:], strict=True))
    return Row(msgspec.convert(values, kind), Seen(row[0], tuple(row[1])), row[2])


async def _customer(connection: Connection, shard: int, account: str, name: str) -> Row | None:
    cursor = await connection.execute(
        "SELECT seen_at, seen, changed_at, customer, default_method, credit,"
        " customer_gone_at IS NOT NULL FROM account WHERE shard = %s AND id = %s",
        (shard, account),
    )
    row = await cursor.fetchone()
    return None if row is None or row[3] != name else _row(Customer, row)


async def all_of(
    connection: Connection,
    shard: int,
    account: str,
    kind: type[Kept],
    *,
    limit: int = 100,
) -> list[Row]:
    """An account's objects of one kind, newest first."""
    columns = kind.__struct_fields__
    cursor = await connection.execute(
        f"SELECT seen_at, seen, changed_at, {', '.join(columns)}"  # noqa: S608 - fixed names
        f" FROM {_TABLES[kind]} WHERE shard = %s AND account = %s"
        " ORDER BY created_at DESC, id DESC LIMIT %s",
        (shard, account, limit),
    )
    return [_row(kind, row) for row in await cursor.fetchall()]


async def save(
    connection: Connection,
    shard: int,
    account: str,
    kept: Kept,
    seen: Seen,
) -> None:
    """Write what is known of an object now."""
    if isinstance(kept, Customer):
        await _save_customer(connection, shard, account, kept, seen)
        return
    values = {
        **msgspec.structs.asdict(kept),
        "shard": shard,
        "account": account,
        "seen_at": seen.at,
        "seen": list(seen.events),
    }
    names = list(values)
    changes = [
        f"{each} = excluded.{each}" for each in names if each not in {"shard", "id", "account"}
    ]
    if isinstance(kept, Invoice) and kept.status in SETTLED:
        # Why it failed before is in the facts; nobody has to do anything about it any more.
        changes += ["decline = NULL", "action = NULL"]
    await connection.execute(
        f"INSERT INTO {_TABLES[type(kept)]} ({', '.join(names)})"  # noqa: S608 - fixed names
        f" VALUES ({', '.join(f'%({each})s' for each in names)})"
        f" ON CONFLICT (shard, id) DO UPDATE SET {', '.join(changes)}, changed_at = now()",
        values,
    )


async def _save_customer(
    connection: Connection,
    shard: int,
    account: str,
    kept: Customer,
    seen: Seen,
) -> None:
    await connection.execute(
        "UPDATE account SET customer = %(id)s, default_method = %(default_method)s,"
        " credit = %(credit)s, seen_at = %(seen_at)s, seen = %(seen)s, changed_at = now(),"
        " customer_gone_at ="
        " CASE WHEN NOT %(deleted)s THEN NULL WHEN customer = %(id)s THEN"
        " coalesce(customer_gone_at, now()) ELSE now() END"
        # Of an older customer that was replaced nothing is kept.
        " WHERE shard = %(shard)s AND id = %(account)s AND (customer IS NULL OR customer = %(id)s"
        " OR (customer_gone_at IS NOT NULL AND NOT %(deleted)s))",
        {
            **msgspec.structs.asdict(kept),
            "seen_at": seen.at,
            "seen": list(seen.events),
            "shard": shard,
            "account": account,
        },
    )


async def learn(
    connection: Connection,
    shard: int,
    account: str,
    kept: Kept,
    *,
    as_of: datetime | None,
) -> bool:
    """Take an answer of Stripe, under the account's lock; false: which is newer, nobody can tell.

    That is so where the row has changed since Stripe was asked (``as_of``: when it had changed
    before that) and says something else. A final state is newer than any other, whenever told.
    """
    row = await find(connection, shard, account, type(kept), kept.id)
    before, seen = (None, Seen()) if row is None else (row.kept, row.seen)
    overtaken = (None if row is None else row.changed_at) != as_of
    if overtaken and (before is None or is_over(before) or not is_over(kept)):
        return before is None or is_over(before) or before == kept
    if not answered(before, kept):
        return True
    if before != kept:
        await save(connection, shard, account, kept, seen.with_answer())
        if before is None:
            await billing_unowned.reopen(connection, (kept.id, account))
    elif ANSWER not in seen.events:
        await _note(connection, shard, account, kept, seen.with_answer())
    return True


async def _note(connection: Connection, shard: int, account: str, kept: Kept, seen: Seen) -> None:
    """What was seen of an object that is as it was: no change that others have to heed."""
    is_customer = isinstance(kept, Customer)
    table = "account" if is_customer else _TABLES[type(kept)]
    await connection.execute(
        f"UPDATE {table} SET seen = %s WHERE shard = %s AND id = %s",  # noqa: S608 - fixed names
        (list(seen.events), shard, account if is_customer else kept.id),
    )
