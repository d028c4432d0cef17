"""Rows of billing that are known, and what their page must say of them."""

from __future__ import annotations

import psycopg
from playwright.sync_api import Page, expect

from outbox.domain.ids import shard_of
from tests.browser.surf import WAIT_MS, cells, metric

_ACCOUNTS = {
    "m_1": "'member', now() - interval '9 days', now() - interval '9 days'",
    "c_1": "'contact', now() - interval '9 days', NULL",
    "c_2": "'contact', now() - interval '99 days', NULL",
    "c_3": "'contact', now() - interval '99 days', now() - interval '9 days'",
}
_SUBSCRIPTIONS = {
    "c_1": "'trialing', now() + interval '2 days', false",
    "c_2": "'past_due', NULL, false",
}


def fill(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:

        def run(query: str) -> None:
            connection.execute(query.encode())

        for account, values in _ACCOUNTS.items():
            run(
                "INSERT INTO account (shard, id, role, opened_at, member_at, role_at, member_by,"
                f" member_why) SELECT {shard_of(account)}, '{account}', role, opened, member,"
                " now(),"
                " CASE WHEN member IS NOT NULL THEN 'x' END, CASE WHEN member IS NOT NULL THEN 'x'"
                f" END FROM (VALUES ({values})) AS v (role, opened, member)"
                if "NULL" not in values
                else "INSERT INTO account (shard, id, role, opened_at, role_at) SELECT"
                f" {shard_of(account)}, '{account}', role, opened, now()"
                f" FROM (VALUES ({values})) AS v (role, opened, member)"
            )
        for account, values in _SUBSCRIPTIONS.items():
            run(
                "INSERT INTO subscription (shard, id, account, customer, status, trial_end,"
                " cancel_at_period_end, collection_paused, created_at) VALUES"
                f" ({shard_of(account)}, 'sub_{account}', '{account}', 'cus_{account}', {values},"
                " false, now())"
            )
        run(
            "INSERT INTO invoice (shard, id, account, subscription, status, currency, due, paid,"
            " remaining, attempts, failed_at, created_at) VALUES"
            f" ({shard_of('c_2')}, 'in_1', 'c_2', 'sub_c_2', 'open', 'usd', 299, 0, 299, 1,"
            " now() - interval '2 days', now())"
        )
        run(
            "INSERT INTO billing_finding (shard, source, cause, object, account, amount, detail)"
            " VALUES (0, 'rules', 'second_subscription', 'sub_x', 'c_9', 299, 'two of them')"
        )
        run(
            "INSERT INTO billing_watch (shard, source, looked_at, took_s, looked_at_rows)"
            " VALUES (0, 'rules', now(), 0.1, 4)"
        )
        run(
            "INSERT INTO billing_event (shard, source, source_id, account, type, at, by, why,"
            " result) VALUES (0, 'stripe', 'evt_1', 'c_1', 'customer.updated', now(), 'stripe',"
            " 'x', 'applied')"
        )


def told(page: Page) -> None:
    """Who has what, what is wrong, what is at risk."""
    # What was read before is kept for a few seconds.
    box = page.get_by_test_id("stMetric").filter(has_text="Rules broken")
    expect(box.get_by_test_id("stMetricValue")).to_have_text("1", timeout=WAIT_MS)
    assert metric(page, "Drift") == "unknown"
    assert metric(page, "Unpaid") == "$2.99"
    assert metric(page, "Trials ending") == "1"
    entitled = {row[0]: row[2] for row in cells(page, "Accounts by entitlement")}
    assert entitled == {"member_free": "1", "grandfathered": "1", "trialing": "1", "grace": "1"}
    assert cells(page, "What is wrong")[0][1:4] == ["sub_x", "c_9", "$2.99"]
    assert cells(page, "Trials that end within 7 days")[0][2] == "no card: it pauses"
    assert cells(page, "Webhooks by type and result")[0][0] == "customer.updated"
