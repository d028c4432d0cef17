"""A burst of Stripe's webhooks: all are answered with a 2xx at once, and all are applied."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from outbox.store.rollup import until_now
from tests.faults.billing_burst import events, send
from tests.faults.billing_ways import Accounts
from tests.faults.conftest import Begin
from tests.faults.stack import Stack, wait_for

_BOUND_S = 5.0
"""Stripe gives an endpoint no less; later it counts as a failed delivery and comes again."""
_ACCOUNTS = 20
_NO_CONTENT = 204


def _outcomes(stack: Stack, since: datetime) -> dict[str, int]:
    """Of Stripe's webhooks, as the objective counts them."""
    query, given = until_now("webhooks", since, datetime.now(UTC) + timedelta(minutes=1))
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        rows = connection.execute(query, given).fetchall()
    return {row[1]: row[-1] for row in rows if row[2] == "stripe"}


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.long)])
def test_a_burst_of_webhooks(forked: Stack, scenario: Begin, count: int) -> None:
    row = scenario(number=9, name=f"{count:,} webhooks of Stripe in a burst")
    _, gateway = forked.start_edge()
    accounts = Accounts(forked, gateway)
    for n in range(_ACCOUNTS):
        accounts.open(f"c{n}")
    forked.start_relay("relay")
    accounts.rest()
    objects = [_subscription(accounts, f"c{n}") for n in range(_ACCOUNTS)]
    since = datetime.now(UTC) - timedelta(minutes=1)
    began = time.monotonic()
    burst = send(forked.gateway, list(events(objects, count, at=int(time.time()))))
    assert burst.answers == {_NO_CONTENT: count}
    assert burst.share(0.99) < _BOUND_S
    mine = "FROM billing_event WHERE source_id LIKE 'evt_burst%'"
    wait_for(
        lambda: forked.query(f"SELECT count(*) {mine}")[0][0] == count,
        within_s=120,
        what="all are applied",
    )
    row.recovered_s = time.monotonic() - began - burst.sent_s
    row.tries = count
    results = dict(forked.query(f"SELECT result, count(*) {mine} GROUP BY 1"))
    row.why = (
        f"{count / burst.sent_s:.0f}/s; answered within {burst.share(0.5) * 1000:.0f} ms (p50),"
        f" {burst.share(0.99) * 1000:.0f} ms (p99), {burst.took_s[-1] * 1000:.0f} ms (all);"
        f" all applied {time.monotonic() - began:.1f} s after the first"
    )
    print(row.why, results)
    # A fifth is of nobody whom we know. Of one account an older one may come after a newer.
    assert results.pop("unknown") == count // 5
    assert results.keys() <= {"applied", "stale"}
    assert forked.query("SELECT count(*) FROM inbox WHERE done_at IS NULL") == [(0,)]
    outcomes = _outcomes(forked, since)
    assert outcomes.keys() == {"applied"}, outcomes
    assert outcomes["applied"] >= count
    for one in objects:
        assert accounts.subscription(str(one["metadata"]["pruuf_account"])) == one["id"]


def _subscription(accounts: Accounts, account: str) -> dict[str, Any]:
    shown: dict[str, Any] = accounts.stripe.call(f"subscriptions/{accounts.subscription(account)}")
    return shown
