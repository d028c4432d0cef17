"""An account for those who ask: its newest invoices and facts, and what is still to be done."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from outbox.store.billing_accounts import Account, find_account
from outbox.store.connect import Connection

_MOST = 20


class InvoiceShown(Struct, frozen=True, kw_only=True):
    """An invoice as it is shown."""

    id: str
    status: str
    reason: str | None
    amount_due: int
    amount_paid: int
    currency: str
    attempts: int
    next_attempt_at: datetime | None
    decline: str | None
    hosted_invoice_url: str | None
    created_at: datetime


class History(Struct, frozen=True, kw_only=True):
    """One fact of an account."""

    at: datetime
    type: str
    by: str
    why: str
    result: str


class Shown(Struct, frozen=True):
    """An account and its surroundings, of one moment."""

    account: Account
    invoices: list[InvoiceShown]
    history: list[History]
    pending: int


async def show(connection: Connection, shard: int, account: str) -> Shown | None:
    """An account with all that is shown of it; null when nothing is known of it."""
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        found = await find_account(connection, shard, account)
        if found is None:
            return None
        invoices = await connection.execute(
            "SELECT id, status, reason, due, paid, currency, attempts, next_attempt_at, decline,"
            " link, created_at FROM invoice WHERE shard = %s AND account = %s"
            " ORDER BY created_at DESC, id DESC LIMIT %s",
            (shard, account, _MOST),
        )
        made = [
            InvoiceShown(**dict(zip(InvoiceShown.__struct_fields__, row, strict=True)))
            for row in await invoices.fetchall()
        ]
        facts = await connection.execute(
            "SELECT at, type, by, why, result FROM billing_event WHERE shard = %s AND account = %s"
            " ORDER BY stored_at DESC, source_id DESC LIMIT %s",
            (shard, account, _MOST),
        )
        history = [
            History(**dict(zip(History.__struct_fields__, row, strict=True)))
            for row in await facts.fetchall()
        ]
        waiting = await connection.execute(
            "SELECT count(*) FROM billing_event b JOIN due d ON d.shard = b.shard"
            " AND d.notification = b.notification"
            " WHERE b.shard = %s AND b.account = %s AND b.command IS NOT NULL",
            (shard, account),
        )
        pending = await waiting.fetchone()
        return Shown(found, made, history, 0 if pending is None else pending[0])
