"""What else there is of somebody who is erased: their texts, codes, callbacks, and their account's.

Charges and their reasons are kept, as the law wants; they name nobody. An opt-out stays as a hash.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

import msgspec

from outbox.domain import inbound
from outbox.domain.erasure import names
from outbox.domain.ids import shard_of
from outbox.sealing import Sealer, UnsealError
from outbox.store import erasures, suppressions
from outbox.store.connect import Connection
from outbox.store.erasing_bodies import is_theirs
from outbox.store.erasures import Erasure
from outbox.store.inbox import TEXTS
from outbox.store.sql import statement
from outbox.store.suppressions import shard_of_hash

AT_ONCE = 500

_NOTHING = UUID(int=0)
_EMAIL = (
    "UPDATE account a SET email = NULL WHERE a.shard = %(shard)s AND a.id = %(recipient)s"
    " AND a.email IS NOT NULL AND NOT EXISTS (SELECT FROM billing_event b"
    " WHERE b.shard = a.shard AND b.account = a.id AND b.source = 'backend'"
    " AND b.type = 'billing.account_opened' AND b.stored_at > %(asked_at)s)"
)
# Each webhook of theirs left a fact; of one that failed, only its body tells whose it is.
_WEBHOOKS = (
    "UPDATE inbox i SET body = '' FROM billing_event b"
    " WHERE b.shard = %(shard)s AND b.account = %(recipient)s AND b.source = 'stripe'"
    " AND i.shard = ANY('{0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15}') AND i.provider = 'stripe'"
    " AND i.said = b.source_id AND i.done_at IS NOT NULL AND i.received_at <= %(asked_at)s"
    " AND length(i.body) > 0"
)
# What was told of a customer before their account was known, and was never somebody's: it lies in
# the shard of the customer, as all that Stripe tells of one.
_NOBODYS = (
    "SELECT shard, id, body FROM inbox WHERE shard = %(of)s AND provider = 'stripe'"
    " AND note = 'of no account that is known' AND length(body) > 0"
    " AND received_at <= %(asked_at)s AND id > %(after)s ORDER BY id LIMIT %(limit)s"
)
_FAILED = (
    "SELECT shard, id, body FROM inbox WHERE note LIKE 'cannot be %%' AND length(body) > 0"
    " AND received_at <= %(asked_at)s AND id > %(after)s ORDER BY id LIMIT %(limit)s"
)
# What providers told of calls that carried no reference of ours: all of it lies in this shard.
_STRAYS = (
    "SELECT shard, id, body FROM inbox WHERE shard = 0 AND note = 'no reference of ours'"
    " AND length(body) > 0 AND received_at <= %(asked_at)s AND id > %(after)s"
    " ORDER BY id LIMIT %(limit)s"
)
_TEXTS = (
    "SELECT shard, id, body FROM inbox WHERE shard = ANY(%(shards)s) AND provider = %(texts)s"
    " AND id > %(after)s AND done_at IS NOT NULL AND received_at <= %(asked_at)s"
    " AND length(body) > 0 ORDER BY id LIMIT %(limit)s"
)


async def codes(connection: Connection, erasure: Erasure) -> int:
    """Forget the codes that were asked for with their numbers, and what they wrote to us.

    What read like an opt-out, and nobody has decided about yet, counts as one: nobody can ask them.
    """
    numbers = list(erasure.numbers)
    async with connection.transaction():
        gone = await connection.execute(
            "DELETE FROM verification WHERE phone_hash = ANY(%s) AND created_at <= %s",
            (numbers, erasure.asked_at),
        )
        rows = gone.rowcount
        cursor = await connection.execute(
            "UPDATE revocation SET body = '', decided_at = coalesce(decided_at, now()),"
            " decision = coalesce(decision, 'opt_out') WHERE phone_hash = ANY(%s) AND at <= %s"
            " AND length(body) > 0 RETURNING phone_hash, decision = 'opt_out'",
            (numbers, erasure.asked_at),
            binary=True,
        )
        for phone_hash, opts_out in await cursor.fetchall():
            rows += 1
            if opts_out:
                await suppressions.add(connection, bytes(phone_hash), origin="person", word=None)
        await erasures.emptied(connection, erasure, rows)
    return rows


async def account(connection: Connection, erasure: Erasure) -> int:
    """Forget the address of their account, and what Stripe told of it."""
    bound = {
        "shard": erasure.shard,
        "recipient": erasure.recipient,
        "asked_at": erasure.asked_at,
    }
    async with connection.transaction():
        rows = (await connection.execute(_EMAIL, bound)).rowcount
        rows += (await connection.execute(_WEBHOOKS, bound)).rowcount
        await erasures.emptied(connection, erasure, rows)
    return rows


async def callbacks(connection: Connection, erasure: Erasure) -> None:
    """Empty callbacks that were applied just while their notifications were emptied."""
    await connection.execute(
        statement("erase_callbacks_again"),
        {"recipient": erasure.recipient, "asked_at": erasure.asked_at},
    )


async def texts(
    connection: Connection, sealer: Sealer, erasure: Erasure, after: UUID = _NOTHING
) -> UUID | None:
    """Empty some applied texts from their numbers; after which to go on, null at the end."""
    bound = {
        "shards": sorted({shard_of_hash(each) for each in erasure.numbers}),
        "texts": TEXTS,
        "asked_at": erasure.asked_at,
        "after": after,
        "limit": AT_ONCE,
    }
    is_their_number = is_theirs(sealer, erasure)

    def is_their_text(plain: bytes) -> bool:
        return is_their_number(inbound.decode(plain).phone)

    return await _empty(connection, sealer, erasure, _TEXTS, bound, is_their_text)


async def strays(
    connection: Connection, sealer: Sealer, erasure: Erasure, after: UUID = _NOTHING
) -> UUID | None:
    """The same with callbacks that are about no notification of ours."""
    is_their_number = is_theirs(sealer, erasure)

    def has_their_number(plain: bytes) -> bool:
        return names(plain, erasure.recipient, is_their_number)

    bound = {"asked_at": erasure.asked_at, "after": after, "limit": AT_ONCE}
    return await _empty(connection, sealer, erasure, _STRAYS, bound, has_their_number)


async def failed(
    connection: Connection, sealer: Sealer, erasure: Erasure, after: UUID = _NOTHING
) -> UUID | None:
    """The same with callbacks that could not be applied, whoever told them."""
    name = await _customer(connection, erasure)
    customer = None if name is None else name.encode()
    is_their_number = is_theirs(sealer, erasure)

    def is_about_them(plain: bytes) -> bool:
        # Stripe has our id in the metadata of what it tells, or the customer's name.
        told = customer is not None and customer in plain
        ours = msgspec.json.encode(erasure.recipient) in plain
        return told or ours or names(plain, erasure.recipient, is_their_number)

    bound = {"asked_at": erasure.asked_at, "after": after, "limit": AT_ONCE}
    return await _empty(connection, sealer, erasure, _FAILED, bound, is_about_them)


async def nobodys(
    connection: Connection, sealer: Sealer, erasure: Erasure, after: UUID = _NOTHING
) -> UUID | None:
    """The same with webhooks about them that are of no account."""
    customer = await _customer(connection, erasure)
    if customer is None:
        return None
    bound = {
        "of": shard_of(customer),
        "asked_at": erasure.asked_at,
        "after": after,
        "limit": AT_ONCE,
    }
    named = customer.encode()
    return await _empty(connection, sealer, erasure, _NOBODYS, bound, lambda plain: named in plain)


async def _customer(connection: Connection, erasure: Erasure) -> str | None:
    """Stripe's name for them; null where it has none."""
    cursor = await connection.execute(
        "SELECT customer FROM account WHERE shard = %s AND id = %s",
        (erasure.shard, erasure.recipient),
    )
    row = await cursor.fetchone()
    customer: str | None = row[0] if row else None
    return customer


async def _empty(  # noqa: PLR0913, PLR0917 - a query, and what is made of what it finds
    connection: Connection,
    sealer: Sealer,
    erasure: Erasure,
    query: str,
    bound: dict[str, object],
    is_about_them: Callable[[bytes], bool],
) -> UUID | None:
    async with connection.transaction():
        cursor = await connection.execute(query.encode(), bound, binary=True)
        found = await cursor.fetchall()
        theirs: list[tuple[int, UUID]] = []
        for shard, identity, body in found:
            try:
                plain = sealer.unseal(body, table="inbox", row=str(identity), field="body")
                if is_about_them(plain):
                    theirs.append((shard, identity))
            except (UnsealError, msgspec.MsgspecError):
                continue
        await _empty_bodies(connection, theirs)
        await erasures.emptied(connection, erasure, len(theirs))
    return found[-1][1] if len(found) == AT_ONCE else None


async def _empty_bodies(connection: Connection, rows: Sequence[tuple[int, UUID]]) -> None:
    for shard in sorted({shard for shard, _ in rows}):
        await connection.execute(
            "UPDATE inbox SET body = '' WHERE shard = %s AND id = ANY(%s)",
            (shard, [identity for of, identity in rows if of == shard]),
        )
