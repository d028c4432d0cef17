"""An account as it is known: for its commands, and for those who ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from msgspec import Struct

from outbox.domain.billing_entitlement import Granted, Paying, entitlement
from outbox.domain.billing_facts import Known
from outbox.domain.billing_objects import Invoice, PaymentMethod, Reversal, Subscription
from outbox.domain.billing_requests import REPLAYED
from outbox.domain.billing_status import TERMINAL, Status
from outbox.domain.outcomes import Result
from outbox.store import billing_objects
from outbox.store.billing_intake import earlier, known_of
from outbox.store.billing_objects import Row
from outbox.store.connect import Connection
from outbox.store.sql import id_range

Shape = TypeVar("Shape", Subscription, Invoice, PaymentMethod)


class Account(Struct, frozen=True, kw_only=True):
    """All that is known of one account."""

    shard: int
    id: str
    known: Known
    customer: str | None
    """Null: there is none at Stripe, or it was deleted there."""
    default_method: str | None
    credit: int
    subscriptions: tuple[Subscription, ...]
    """Newest first."""
    invoices: tuple[Invoice, ...]
    """Newest first."""
    methods: tuple[PaymentMethod, ...]
    failing_since: datetime | None
    """When paying failed for the first time of what is unpaid of the newest subscription."""
    changed: Mapping[str, datetime]
    """When what is known of each object changed last."""
    now: datetime
    """By the database's clock."""

    @property
    def subscription(self) -> Subscription | None:
        """The one that counts: the newest that is not over, else the newest; null: none."""
        live = [each for each in self.subscriptions if each.status not in TERMINAL]
        return next(iter(live or self.subscriptions), None)

    def granted(self) -> Granted:
        """What it is entitled to just now, and why."""
        one = self.subscription
        if one is None:
            return entitlement(self.known, None, self.now)
        unpaid = one.status in _UNPAID or one.end_reason == "payment_failed"
        paying = Paying(
            status=Status(one.status),
            trial_end=one.trial_end,
            period_end=one.period_end,
            ends=one.cancel_at_period_end,
            # Where no failure was told, the period that is unpaid began with it.
            failing_since=(self.failing_since or one.period_start) if unpaid else None,
            ended_unpaid=one.end_reason == "payment_failed",
        )
        return entitlement(self.known, paying, self.now)


class Past(Struct, frozen=True):
    """What a command did before."""

    done: frozenset[str]
    """Changes that Stripe took."""
    spent: dict[str, int]
    """By change: how many idempotency keys would only be answered as they were before."""
    age_s: float
    """Since it was accepted, by the database's clock."""


class Command(Struct, frozen=True):
    """A command with all that was read for it."""

    account: Account | None
    """Null: of no account of ours, or not yet known which."""
    past: Past
    waits: bool
    """An earlier command of its account comes first."""


_UNPAID = frozenset({Status.PAST_DUE, Status.UNPAID})

_REFUSED = frozenset(
    {Result.CHANNEL_FINAL, Result.CONTENT_FINAL, Result.CONFIGURATION_FAULT, Result.SENDER_FAULT}
)
"""Nothing was done, and the same key would be answered the same for a day."""

_COLUMNS = ", ".join(Known.__struct_fields__)


async def find_account(connection: Connection, shard: int, account: str) -> Account | None:
    """An account; null when nothing is known of it."""
    cursor = await connection.execute(
        f"SELECT now(), changed_at, customer, CASE WHEN customer_gone_at IS NULL THEN customer END,"  # noqa: S608 - fixed
        f" default_method, credit, {_COLUMNS} FROM account WHERE shard = %s AND id = %s",
        (shard, account),
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    now, changed_at, named, customer, default_method, credit, *rest = row
    rows = {
        kind: await billing_objects.all_of(connection, shard, account, kind)
        for kind in (Subscription, Invoice, PaymentMethod, Reversal)
    }
    changed = {each.kept.id: each.changed_at for found in rows.values() for each in found}
    if named is not None:
        changed[named] = changed_at
    return Account(
        shard=shard,
        id=account,
        known=known_of(rest),
        customer=customer,
        default_method=default_method if customer else None,
        credit=credit if customer else 0,
        subscriptions=tuple(_kept(rows[Subscription], Subscription)),
        invoices=tuple(_kept(rows[Invoice], Invoice)),
        methods=tuple(_kept(rows[PaymentMethod], PaymentMethod)),
        failing_since=await _failing_since(connection, shard, account),
        changed=changed,
        now=now,
    )


async def _failing_since(connection: Connection, shard: int, account: str) -> datetime | None:
    cursor = await connection.execute(
        "SELECT min(coalesce(failed_at, finalized_at)) FROM invoice"
        " WHERE shard = %s AND account = %s AND attempts > 0"
        " AND status IN ('open', 'uncollectible') AND subscription ="
        " (SELECT id FROM subscription WHERE shard = %s AND account = %s"
        " ORDER BY created_at DESC, id DESC LIMIT 1)",
        (shard, account, shard, account),
    )
    row = await cursor.fetchone()
    return None if row is None else row[0]


def _kept(rows: Sequence[Row], kind: type[Shape]) -> Iterator[Shape]:
    return (row.kept for row in rows if isinstance(row.kept, kind))


async def read_command(
    connection: Connection,
    shard: int,
    account: str,
    notification: UUID,
) -> Command:
    """What a command needs to know, of one moment."""
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return Command(
            account=await find_account(connection, shard, account),
            past=await _past(connection, shard, notification),
            waits=await earlier(connection, shard, notification),
        )


async def _past(connection: Connection, shard: int, notification: UUID) -> Past:
    cursor = await connection.execute(
        "SELECT split_part(coalesce(detail, ''), ':', 1), result, code FROM attempt"
        " WHERE shard = %(shard)s AND notification = %(id)s AND what = 'send'"
        " AND notification BETWEEN %(low_id)s AND %(high_id)s ORDER BY fence, ordinal",
        {"shard": shard, "id": notification, **id_range([notification])},
    )
    done: set[str] = set()
    spent: dict[str, int] = {}
    for change, result, code in await cursor.fetchall():
        if result == "accepted":
            done.add(change)
        elif result in _REFUSED or code == REPLAYED:
            spent[change] = spent.get(change, 0) + 1
    cursor = await connection.execute(
        "SELECT extract(epoch FROM now() - created_at)::float8 FROM notification"
        " WHERE shard = %s AND id = %s",
        (shard, notification),
    )
    row = await cursor.fetchone()
    return Past(frozenset(done), spent, 0.0 if row is None else float(row[0]))
