"""Our side of the books, for a comparison with Stripe's, and what a walk through theirs has met."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from outbox.domain.billing_books import Ours
from outbox.domain.billing_facts import RECONCILED, Known
from outbox.domain.billing_objects import Customer, Invoice, Subscription
from outbox.domain.ids import shard_of
from outbox.domain.intake import NewEvent
from outbox.store import notices
from outbox.store.billing_intake import known_of, lock, next_place
from outbox.store.connect import Connection
from outbox.store.sql import rows, statement

Shape = TypeVar("Shape", Subscription, Invoice)

_KNOWN = ", ".join(Known.__struct_fields__)
_SHARDS = "shard = ANY('{0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15}')"


async def ours(
    connection: Connection,
    objects: Collection[str],
    accounts: Collection[str],
    *,
    price: str | None,
) -> Ours:
    """What we have of these objects and accounts, of one moment."""
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        named = list(objects)
        subscriptions, owners = await _all(connection, "subscription", Subscription, named)
        invoices, more = await _all(connection, "invoice", Invoice, named)
        owners |= more
        wanted = sorted({*accounts, *owners.values()})
        known: dict[str, Known] = {}
        customers: dict[str, Customer] = {}
        cursor = await connection.execute(
            "SELECT id, customer, default_method, credit, customer_gone_at IS NOT NULL,"  # noqa: S608 - fixed
            f" {_KNOWN} FROM account WHERE customer = ANY(%s)"
            " OR (shard = ANY(%s) AND id = ANY(%s))",
            (named, sorted({shard_of(each) for each in wanted}), wanted),
        )
        for account, customer, method, credit, gone, *rest in await cursor.fetchall():
            known[account] = known_of(rest)
            if customer is not None:
                owners[customer] = account
                customers[customer] = Customer(
                    id=customer, default_method=method, credit=credit, deleted=gone
                )
        return Ours(
            subscriptions=subscriptions,
            invoices=invoices,
            customers=customers,
            accounts=known,
            owners=owners,
            live=await _live(connection, list(known)),
            busy=await _busy(connection, list(known)),
            price=price,
        )


async def _all(
    connection: Connection,
    table: str,
    shape: type[Shape],
    named: Sequence[str],
) -> tuple[dict[str, Shape], dict[str, str]]:
    fields = shape.__struct_fields__
    cursor = await connection.execute(
        f"SELECT account, {', '.join(fields)} FROM {table}"  # noqa: S608 - fixed names
        f" WHERE {_SHARDS} AND id = ANY(%s)",
        (named,),
    )
    found: dict[str, Shape] = {}
    owners: dict[str, str] = {}
    for account, *values in await cursor.fetchall():
        one = msgspec.convert(dict(zip(fields, values, strict=True)), shape)
        found[one.id], owners[one.id] = one, account
    return found, owners


async def _live(connection: Connection, accounts: Sequence[str]) -> dict[str, frozenset[str]]:
    cursor = await connection.execute(
        "SELECT account, id FROM subscription WHERE shard = ANY(%s) AND account = ANY(%s)"
        " AND status NOT IN ('canceled', 'incomplete_expired')",
        (sorted({shard_of(each) for each in accounts}), list(accounts)),
    )
    found = defaultdict(set)
    for account, name in await cursor.fetchall():
        found[account].add(name)
    return {account: frozenset(each) for account, each in found.items()}


async def _busy(connection: Connection, accounts: Sequence[str]) -> frozenset[str]:
    cursor = await connection.execute(
        "SELECT DISTINCT b.account FROM billing_event b"
        " JOIN due d ON d.shard = b.shard AND d.notification = b.notification"
        " WHERE b.shard = ANY(%s) AND b.account = ANY(%s) AND b.command IS NOT NULL"
        " AND b.stored_at > now() - interval '15 minutes'",
        (sorted({shard_of(each) for each in accounts}), list(accounts)),
    )
    return frozenset(row[0] for row in await cursor.fetchall())


async def met(connection: Connection, walk: str, objects: Iterable[tuple[str, bool]]) -> None:
    """Note what a walk has met, and what of it differs."""
    values = [{"object": name, "differs": differs} for name, differs in sorted(objects)]
    await connection.execute(
        "INSERT INTO billing_met AS m (shard, walk, object, differs) SELECT 0, %s, object, differs"
        " FROM json_to_recordset(%s::json) AS r (object text, differs boolean)"
        " ON CONFLICT (shard, walk, object) DO UPDATE SET"
        " differs = m.differs OR excluded.differs",
        (walk, rows(values)),
    )


async def to_look_at(connection: Connection, walk: str, *, since: datetime | None) -> list[str]:
    """What differed, and what we have and the walk has not met: to be asked for by name."""
    cursor = await connection.execute(
        "SELECT object FROM billing_met WHERE shard = 0 AND walk = %(walk)s AND differs"
        " UNION SELECT id FROM subscription s WHERE (%(since)s::timestamptz IS NULL"
        " OR created_at >= %(since)s) AND NOT EXISTS (SELECT FROM billing_met m"
        " WHERE m.shard = 0 AND m.walk = %(walk)s AND m.object = s.id)"
        " UNION SELECT customer FROM account a WHERE customer IS NOT NULL"
        " AND customer_gone_at IS NULL AND (%(since)s::timestamptz IS NULL"
        " OR created_at >= %(since)s) AND NOT EXISTS (SELECT FROM billing_met m"
        " WHERE m.shard = 0 AND m.walk = %(walk)s AND m.object = a.customer)"
        " ORDER BY 1 LIMIT 1000",
        {"walk": walk, "since": since},
    )
    return [row[0] for row in await cursor.fetchall()]


async def number_met(connection: Connection, walk: str) -> int:
    """How many objects a walk has met."""
    cursor = await connection.execute(
        "SELECT count(*) FROM billing_met WHERE shard = 0 AND walk = %s", (walk,)
    )
    row = await cursor.fetchone()
    return 0 if row is None else int(row[0])


async def forget(connection: Connection, walk: str) -> None:
    """A walk is over, or begins anew."""
    await connection.execute("DELETE FROM billing_met WHERE shard = 0 AND walk = %s", (walk,))


async def ask(connection: Connection, look: NewEvent) -> None:
    """Have Stripe asked how an object is."""
    await notices.insert(connection, look)


async def command(connection: Connection, account: str, made: NewEvent, why: str) -> None:
    """A command in the account's order, that brings Stripe into line with what is wanted."""
    shard = shard_of(account)
    async with connection.transaction():
        await lock(connection, [(shard, account)])
        await notices.insert(connection, made)
        row: dict[str, Any] = {
            "shard": shard,
            "source": "pruuf",
            "source_id": str(made.id),
            "account": account,
            "type": RECONCILED,
            "at": made.occurred_at,
            "by": "reconciler",
            "why": why,
            "result": "recorded",
            "object": None,
            "command": await next_place(connection, shard, account),
            "notification": made.notifications[0].id,
        }
        await connection.execute(statement("billing_facts"), {"rows": rows([row])})


class Place(Struct, frozen=True, kw_only=True):
    """How far the scheduled walk has come."""

    kind: str | None
    """Customers or subscriptions; null: it begins anew."""
    page: str | None


async def take(connection: Connection, *, every_s: float, lease_s: float) -> Place | None:
    """Lease the scheduled walk, if nobody has and it is time; null otherwise."""
    cursor = await connection.execute(
        "UPDATE billing_cursor SET lease_until = now() + %s * interval '1 second'"
        " WHERE shard = 0 AND name = 'reconcile' AND lease_until < now()"
        " AND (goal IS NOT NULL OR read_at IS NULL"
        " OR read_at < now() - %s * interval '1 second') RETURNING goal, page",
        (lease_s, every_s),
    )
    row = await cursor.fetchone()
    return None if row is None else Place(kind=row[0], page=row[1])


async def put(connection: Connection, place: Place, *, over: bool) -> None:
    """Write how far it has come, and end the lease."""
    await connection.execute(
        "UPDATE billing_cursor SET goal = %s, page = %s,"
        " lease_until = now() - interval '1 second',"
        " read_at = CASE WHEN %s THEN now() ELSE read_at END"
        " WHERE shard = 0 AND name = 'reconcile'",
        (place.kind, place.page, over),
    )
