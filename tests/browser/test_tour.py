"""Every page in a real browser: its figures against our own SQL, its words for nothing, bad days.

One stack, one data set and one browser for all that needs data: pages are visited in turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser, expect

from gateway.cli.supervisor import Supervisor
from tests.browser import billing_rows, lives, told, told_more
from tests.browser.surf import MARKS, WAIT_MS, chromium, dashboard, fits, opened, sees, settled

pytestmark = MARKS

PAGES = {
    "": "No relay is alive: nothing is delivered",
    "delivery?window=1h": "No notification was accepted in the last hour.",
    "outbox": "No relay is alive: nothing is being delivered.",
    "webhooks": "No webhook came in the last 24 hours.",
    "find": "No notification in the last 24 hours.",
    "find?q=c_9": "Nothing is known of c_9 in the last 90 days.",
    "readiness": "Nobody is known to be out of reach.",
    "runbooks": "A missed check-in reached nobody in time",
    "billing": "No account was opened yet",
}
"""By address: what it says of an empty database."""


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def test_pages_say_what_the_database_says(
    database_url: str, browser: Browser, tmp_path: Path
) -> None:
    with Supervisor() as children:
        stack = lives.play(tmp_path, database_url, children)
        ask = told.asker(database_url)
        with dashboard(stack.environ) as address, opened(browser, address) as page:
            settled(page, lambda: told.now(page, ask))
            page.goto(f"{address}/?acknowledge=RelayDead")
            told_more.acknowledge(page, ask, stack.key)
            page.goto(f"{address}/delivery?window=1h")
            settled(page, lambda: told.delivery(page, ask))
            page.goto(f"{address}/delivery?window=1h&country=US&channel=sms")
            settled(page, lambda: told.delivery_to(page, ask, "US"))
            page.goto(f"{address}/outbox")
            settled(page, lambda: told.outbox(page, ask))
            told_more.hold(page, ask, stack.key)
            page.goto(f"{address}/webhooks?window=1h")
            settled(page, lambda: told_more.webhooks(page, ask))
            page.goto(f"{address}/readiness")
            told_more.readiness(page, ask)
            page.goto(f"{address}/runbooks?page=sms-delivery.md")
            told_more.runbooks(page)
            page.goto(f"{address}/find")
            told_more.find(page, ask, stack.key)
            # Of what stands in the address the page makes its filters.
            page.goto(f"{address}/delivery?window=6h&kind=member.invited&channel=sms")
            sees(page, "Invite")
            page.get_by_text("7d", exact=True).click()
            page.wait_for_url("**window=7d**", timeout=WAIT_MS)
            assert "kind=member.invited" in page.url


def test_nothing_is_said_in_words_and_a_database_that_is_away_too(
    database_url: str, browser: Browser
) -> None:
    name = database_url.rpartition("/")[2]
    owner = database_url.rpartition("/")[0] + "/postgres"
    with dashboard({"DATABASE_URL": database_url}) as address:
        with opened(browser, address, width=390, scheme="dark") as page:
            for path, words in PAGES.items():
                page.goto(f"{address}/{path}")
                sees(page, words)
                fits(page)
        known = "acknowledged until"
        with opened(browser, address, width=390) as page:
            sees(page, "No relay is alive")
            expect(page.locator("body")).not_to_contain_text(known)
            with psycopg.connect(database_url) as connection:
                connection.execute(
                    "INSERT INTO acknowledgement (shard, id, alert, label, actor, reason, until)"
                    " VALUES (0, gen_random_uuid(), 'RelayDead', '', 'Ann', 'I restart them',"
                    " now() + interval '1 hour')"
                )
            sees(page, known, "by Ann: I restart them.")
            fits(page)
        # Where no relay compares them with Stripe's.
        billing_rows.fill(database_url)
        with opened(browser, f"{address}/billing") as page:
            billing_rows.told(page)
        with opened(browser, address) as page:
            sees(page, "No relay is alive")
            with psycopg.connect(owner, autocommit=True) as connection:
                connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                    (name,),
                )
            sees(page, "The database cannot be reached")
            expect(page.locator(".p-tile")).to_have_count(0)
            with psycopg.connect(owner, autocommit=True) as connection:
                connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
            expect(page.locator("body")).not_to_contain_text(
                "The database cannot be reached", timeout=WAIT_MS
            )
            sees(page, "Outbox")
