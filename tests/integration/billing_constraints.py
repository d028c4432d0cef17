"""One sound row of each of billing's tables, and changes that the database must refuse."""

from __future__ import annotations

from outbox.domain.ids import new_id

_ID = str(new_id(0))

BILLING = {
    "account": "(shard, id, role, role_at, customer) VALUES (0, 'a', 'contact', now(), 'cus_1')",
    "subscription": (
        "(shard, id, account, customer, status, cancel_at_period_end, collection_paused,"
        " created_at) VALUES (0, 'sub_1', 'a', 'cus_1', 'active', false, false, now())"
    ),
    "invoice": (
        "(shard, id, account, status, currency, due, paid, remaining, attempts, created_at)"
        " VALUES (0, 'in_1', 'a', 'open', 'usd', 299, 0, 299, 1, now())"
    ),
    "reversal": (
        "(shard, id, account, kind, status, amount, currency, created_at)"
        " VALUES (0, 're_1', 'a', 'refund', 'succeeded', 299, 'usd', now())"
    ),
    "billing_event": (
        "(shard, source, source_id, account, type, at, by, why, result)"
        " VALUES (0, 'stripe', 'evt_1', 'a', 't', now(), 'stripe', 'w', 'applied')"
    ),
    "billing_finding": (
        "(shard, source, cause, object, detail) VALUES (0, 'rules', 'no_reason', 'a', 'd')"
    ),
}

IMPOSSIBLE_BILLING = [
    ("account", "role = 'guest'"),
    ("account", "role = NULL"),
    ("account", "role_at = NULL"),
    ("account", "wish = 'perhaps'"),
    # Free for ever, and nobody knows since when, by whom or why.
    ("account", "role = 'member'"),
    ("account", "role = 'member', member_at = now(), member_why = 'w'"),
    ("account", "role = 'member', member_at = now(), member_by = 'b'"),
    # Nothing is charged or owed where Stripe knows nobody.
    ("account", "customer = NULL, credit = 5"),
    ("account", "customer = NULL, default_method = 'pm_1'"),
    ("subscription", "status = 'asleep'"),
    ("subscription", "status = 'canceled'"),
    ("subscription", "status = 'incomplete_expired'"),
    ("subscription", "ended_at = now()"),
    ("invoice", "status = 'lost'"),
    ("invoice", "attempts = -1"),
    ("reversal", "kind = 'gift'"),
    ("billing_event", "source = 'rumour'"),
    ("billing_event", "result = 'perhaps'"),
    ("billing_event", "command = 1"),
    ("billing_event", f"notification = '{_ID}'"),
    ("billing_finding", "source = 'rumour'"),
]
