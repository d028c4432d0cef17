"""An account of a ledger that is audited: its words, its commands, and what Stripe has of it."""

from __future__ import annotations

from typing import Any

import psycopg

from outbox.sealing import Sealer

_WORDS = (
    ("billing.account_opened", "contact"),
    ("billing.subscription_cancelled", "ending"),
    ("billing.role_changed", "member"),
)
"""What was said, and which role or wish; a minute lies between each."""

_MINUTE = "date_trunc('minute', now()) - interval '1 hour' + {} * interval '1 minute'"


def billing(owner: psycopg.Connection[Any], sealer: Sealer, shard: int, account: str) -> None:
    """Tell of one account in a shard that has notifications."""
    at = [_MINUTE.format(n) for n in range(len(_WORDS))]
    for n, (type_, said) in enumerate(_WORDS):
        owner.execute(
            "INSERT INTO billing_event (shard, source, source_id, account, type, at, by, why,"
            " result, object, command, notification) SELECT shard, 'backend', event::text, %s, %s,"
            f" {at[n]}, 'backend', 'so said', 'recorded', %s, %s, id FROM notification"
            " WHERE shard = %s ORDER BY id OFFSET %s LIMIT 1".encode(),
            (account, type_, said, n + 1, shard, n),
        )
    email = sealer.seal(b"a@example.com", table="account", row=account, field="email")
    owner.execute(
        "INSERT INTO account (shard, id, role, role_at, opened_at, member_at, member_by,"
        " member_why, wish, wish_at, email, email_at, customer, customer_gone_at, default_method,"
        " credit, seen_at, seen, commands) VALUES (%s, %s, 'member',"
        f" {at[2]}, {at[0]}, {at[2]}, 'backend', 'so said', 'ending', {at[1]}, %s, {at[0]},"
        " 'cus_1', now(), 'pm_1', 5, now(), '{evt_1}', 3)".encode(),
        (shard, account, email),
    )
    for table, columns, values in (
        (
            "subscription",
            "customer, status, cancel_at_period_end, collection_paused",
            "'cus_1', 'active', false, false",
        ),
        (
            "invoice",
            "status, currency, due, untaxed, paid, remaining, attempts",
            "'open', 'usd', 299, 299, 0, 299, 1",
        ),
        ("payment_method", "type, attached", "'card', true"),
        (
            "reversal",
            "kind, status, amount, currency, withdrawn",
            "'dispute', 'lost', 299, 'usd', 299",
        ),
    ):
        name = f"{table}_1"
        owner.execute(
            f"INSERT INTO {table} (shard, id, account, created_at, seen, {columns})"
            f" VALUES (%s, %s, %s, now(), '{{evt_1}}', {values})".encode(),
            (shard, name, account),
        )
        owner.execute(
            "INSERT INTO billing_event (shard, source, source_id, account, type, at, by, why,"
            " result, object) VALUES (%s, 'stripe', %s, %s, 'told', now(), 'stripe', 'told',"
            " 'applied', %s)",
            (shard, f"evt_{table}", account, name),
        )
