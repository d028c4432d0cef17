"""What each page must say of the data in the database: counted here by SQL of our own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from playwright.sync_api import Page, expect

from observability.slos import definitions
from tests.browser.surf import WAIT_MS, cells, sees

Ask = Callable[..., tuple[Any, ...]]


def asker(database_url: str) -> Ask:
    """Asks the database one question; its answer is one row."""

    def ask(query: str, *values: object) -> tuple[Any, ...]:
        with psycopg.connect(database_url) as connection:
            row = connection.execute(query.encode(), values or None).fetchone()
        assert row is not None
        return row

    return ask


def now(page: Page, ask: Ask) -> None:
    """Every objective's figure; what fires."""
    tiles = page.locator(".p-tile")
    expect(tiles).to_have_count(len(definitions().slo), timeout=WAIT_MS)
    for key, slo in definitions().slo.items():
        good, bad = ask(
            "SELECT coalesce(sum(n) FILTER (WHERE outcome = ANY(%s)), 0)::bigint,"
            " coalesce(sum(n) FILTER (WHERE outcome = ANY(%s)), 0)::bigint"
            " FROM rollup_minute m JOIN rollup_head h USING (shard, slo) WHERE slo = %s"
            " AND minute < until AND minute >= until - interval '30 days'",
            list(slo.good),
            list(slo.bad),
            key,
        )
        tile = tiles.filter(has_text=slo.title)
        figure = tile.locator(".p-figure").inner_text().split("\n")[0].split("target")[0].strip()
        if not good + bad:
            assert figure == "unknown", key
        else:
            shown = float(figure.removesuffix("%"))
            assert 0 <= 100 * good / (good + bad) - shown < 0.01 or shown == 100, key
            assert f"{good + bad:,} in 30 days, {bad:,} bad" in tile.inner_text(), key
    sees(page, "Outbox", "relays 1")


_RECENT = (
    "created_at >= date_trunc('minute', now() - interval '1 hour')"
    " AND kind NOT LIKE 'device.%' AND kind NOT LIKE 'canary.%' AND kind NOT LIKE 'billing.%'"
)
_PARTS = {
    "Accepted": "true",
    "Sent": "EXISTS (SELECT FROM attempt a WHERE a.notification = n.id AND a.what = 'send'"
    " AND NOT starts_with(coalesce(a.code, ''), 'no_'))",
    "Delivered": "state = 'delivered'",
    "by a fallback": "state = 'delivered'"
    " AND channel <> convert_from(plan, 'UTF8')::json #>> '{steps,0,channel}'",
    "Not reached": "state IN ('undeliverable', 'expired', 'suppressed')",
    "Withdrawn": "state = 'cancelled'",
    "On its way": "state IN ('open', 'parked')",
}


def delivery(page: Page, ask: Ask) -> None:
    """The funnel, how soon, kinds."""
    shown = _parts(page, "Funnel")
    for name, condition in _PARTS.items():
        (number,) = ask(
            f"SELECT count(*) FROM notification n WHERE {_RECENT} AND {condition}".replace(
                "%", "%%"
            )
        )
        assert shown[name] == f"{number:,}", name
    (soon,) = ask(
        f"SELECT count(*) FROM notification WHERE {_RECENT} AND state = 'delivered'"
        " AND final_at <= created_at + interval '10 seconds'".replace("%", "%%")
    )
    assert _parts(page, "Delivered within")["within 10 s"] == f"{soon:,}"
    for kind, words in (("checkin.missed", "Missed check-in"), ("member.invited", "Invite")):
        (number,) = ask(
            f"SELECT count(*) FROM notification WHERE {_RECENT} AND kind = '{kind}'".replace(
                "%", "%%"
            )
        )
        assert next(row for row in cells(page, "By kind") if row[0] == words)[1] == str(number)
    where = f"{_RECENT} AND country = 'US'".replace("%", "%%")
    (number,) = ask(f"SELECT count(*) FROM notification WHERE {where}")
    assert next(row for row in cells(page, "By country") if row[0] == "US")[1] == f"{number:,}"
    expect(page.locator("canvas, svg.marks").first).to_be_visible(timeout=WAIT_MS)


def delivery_to(page: Page, ask: Ask, country: str) -> None:
    """The funnel of one country, by texts, as its address says."""
    where = f"{_RECENT} AND country = '{country}' AND coalesce(channel, convert_from(plan, 'UTF8')"
    where += "::json #>> '{steps,0,channel}') = 'sms'"
    (number,) = ask(f"SELECT count(*) FROM notification WHERE {where}".replace("%", "%%"))
    assert _parts(page, "Funnel")["Accepted"] == f"{number:,}"
    assert [row[0] for row in cells(page, "By country")] == [country]
    assert f"country={country}" in page.url


def _parts(page: Page, caption: str) -> dict[str, str]:
    table = page.locator("table", has=page.locator("caption", has_text=caption))
    expect(table).to_be_visible(timeout=WAIT_MS)
    rows = [(row.locator("th"), row.locator("td").first) for row in table.locator("tr").all()]
    return {
        name.evaluate("cell => cell.firstChild.textContent").strip(): number.inner_text()
        for name, number in rows
    }


def outbox(page: Page, ask: Ask) -> None:
    """Lanes and relays."""
    lanes = {row[0]: row for row in cells(page, "Lanes")}
    for number, name in enumerate(("safety", "codes", "transactional", "bulk")):
        (depth,) = ask("SELECT count(*) FROM due WHERE lane = %s", number)
        assert lanes[name][1] == f"{depth:,}", name
    (relays,) = ask("SELECT count(*) FROM relay WHERE seen_at > now() - interval '30 s'")
    assert len(cells(page, "Relays")) == relays == 1
    failed = {(row[0], row[1]): row[2] for row in cells(page, "Theirs")}
    assert failed["SMS", "unknown handset (30005)"] == "1"
