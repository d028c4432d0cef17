"""Whose an object of Stripe is: by our id in its metadata, by its customer, or by what it is about.

Stripe knows no shard, so these reads name none; the indexes are small.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from outbox.domain.ids import shard_of
from outbox.store.connect import Connection

Owner = tuple[int, str]
"""Shard and id of an account."""
Find = Callable[[Connection, str], Awaitable[Owner | None]]


async def owner_of_customer(connection: Connection, customer: str) -> Owner | None:
    """The account of a customer; null when it is none of ours."""
    return await _one(connection, "SELECT shard, id FROM account WHERE customer = %s", customer)


async def owner_of_account(connection: Connection, account: str) -> Owner | None:
    """An account that we know, by the id in an object's metadata; null when we do not."""
    cursor = await connection.execute(
        "SELECT shard, id FROM account WHERE shard = %s AND id = %s", (shard_of(account), account)
    )
    row = await cursor.fetchone()
    return None if row is None else (row[0], row[1])


async def owner_of_subscription(connection: Connection, name: str) -> Owner | None:
    """The account of a subscription that is known."""
    return await _by_name(connection, "subscription", name)


async def owner_of_invoice(connection: Connection, name: str) -> Owner | None:
    """The account of an invoice that is known."""
    return await _by_name(connection, "invoice", name)


async def owner_of_method(connection: Connection, name: str) -> Owner | None:
    """The account of a payment method that is known."""
    return await _by_name(connection, "payment_method", name)


async def owner_of_reversal(connection: Connection, name: str) -> Owner | None:
    """The account of a refund, dispute or warning that is known."""
    return await _by_name(connection, "reversal", name)


async def owner_of_intent(connection: Connection, intent: str) -> Owner | None:
    """The account whose invoice a payment settled."""
    return await _one(connection, "SELECT shard, account FROM invoice WHERE intent = %s", intent)


async def _by_name(connection: Connection, table: str, name: str) -> Owner | None:
    return await _one(
        connection,
        f"SELECT shard, account FROM {table}"  # noqa: S608 - a fixed name
        " WHERE shard = ANY('{0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15}') AND id = %s",
        name,
    )


async def _one(connection: Connection, query: str, value: str) -> Owner | None:
    cursor = await connection.execute(query.encode(), (value,))
    row = await cursor.fetchone()
    return None if row is None else (row[0], row[1])
