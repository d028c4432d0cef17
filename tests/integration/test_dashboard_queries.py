"""The dashboard's figures against rows that are known, and what its role may not read."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import psycopg
import pytest
from psycopg import errors
from sqlalchemy import Connection, text

from dashboard import delivery, reach, readings
from dashboard.delivery import Delivery
from dashboard.frame import WINDOWS
from dashboard.reach import Funnel
from dashboard.readings import AwayError, Readings
from outbox.store import rollup
from outbox.store.connect import Role, connect, conninfo
from outbox.store.rollup import REACH
from tests.browser.dashboard_rows import Rows, a_day


def _look(database_url: str, window: str = "1h") -> Delivery:
    engine = readings.engine(database_url)
    try:
        with engine.connect() as connection:
            return delivery.look(connection, WINDOWS[window])
    finally:
        engine.dispose()


def _fill(database_url: str) -> str:
    with psycopg.connect(database_url) as connection:
        return str(a_day(Rows(connection)))


def _funnel(database_url: str, window: str = "1h", kind: str | None = None) -> Funnel:
    rows = _look(database_url, window).reached
    return reach.funnel(row for row in rows if kind in {None, row.kind})


def test_figures_of_a_window(database_url: str) -> None:
    _fill(database_url)
    seen = _funnel(database_url)
    assert (seen.accepted, seen.delivered, seen.fallback) == (14, 9, 2)
    assert (seen.missed, seen.open, seen.parked, seen.withdrawn) == (1, 3, 1, 1)
    assert (seen.within_s(10), seen.within_s(600)) == (9, 9)
    assert _funnel(database_url, "6h").accepted == 15


def test_kinds(database_url: str) -> None:
    _fill(database_url)
    confirmed = _funnel(database_url, kind="checkin.confirmed")
    assert (confirmed.accepted, confirmed.sent, confirmed.missed) == (8, 7, 1)
    invites = _funnel(database_url, kind="member.invited")
    assert (invites.accepted, invites.sent, invites.open, invites.withdrawn) == (4, 1, 3, 1)


def test_steps_are_told_with_the_code_that_ended_them(database_url: str) -> None:
    _fill(database_url)
    steps = _look(database_url).steps
    failed = Counter(
        {(s.channel, s.outcome, s.code): s.n for s in steps if s.outcome != "delivered"}
    )
    assert failed["sms", "recipient", "no_number"] == 1
    assert failed["push", "recipient", "no_device"] == 1
    assert reach.outcomes(steps, "sms")["delivered"] == 7


async def test_what_is_counted_and_what_is_not_yet_say_the_same(database_url: str) -> None:
    _fill(database_url)
    before = _look(database_url)
    async with await connect(database_url, Role.RELAY, application="test") as connection:
        # The head begins before everything: a relay has been counting for long.
        with psycopg.connect(database_url, autocommit=True) as owner:
            for key in rollup.waits():
                owner.execute(
                    "INSERT INTO rollup_head (shard, slo, until)"
                    " VALUES (0, %s, date_trunc('minute', now()) - interval '2 hours')",
                    (key,),
                )
        for key in rollup.waits():
            while (await rollup.count(connection, key, most=timedelta(minutes=30))).behind:
                pass
        cursor = await connection.execute("SELECT count(*) FROM rollup_minute WHERE slo = 'reach'")
        assert await cursor.fetchone() != (0,)
    after = _look(database_url)
    assert reach.funnel(after.reached) == reach.funnel(before.reached)
    assert _funnel(database_url, "6h").accepted == 15


def test_an_empty_database_has_no_figures_but_zeros(database_url: str) -> None:
    seen = _look(database_url)
    assert (seen.reached, seen.steps) == ([], [])


@pytest.mark.parametrize("key", sorted({REACH, *reach.PROVIDERS}))
def test_only_the_partitions_of_the_window_are_read(database_url: str, key: str) -> None:
    target = conninfo(database_url, Role.DASHBOARD, application="test")
    with psycopg.connect(target) as connection:
        row = connection.execute("SELECT now()").fetchone()
        assert row is not None
        at: datetime = row[0]
        statement, values = rollup.until_now(key, at - timedelta(minutes=15), at)
        rows = connection.execute(b"EXPLAIN " + statement, values).fetchall()
    plan = "\n".join(line for (line,) in rows)
    # Of the hot path: a minute's notifications lie in the day that they were made on.
    assert f"notification_p{at:%Y%m%d}" in plan
    if key == REACH:
        assert f"_p{at - timedelta(days=2):%Y%m%d}" not in plan


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT content FROM notification",
        "SELECT token FROM device",
        "SELECT token_hash FROM device",
        "SELECT data FROM event",
        "SELECT content_hash FROM event",
        "SELECT phone FROM recipient",
        "SELECT name FROM recipient",
        "SELECT phone_hash FROM recipient",
        "SELECT body FROM inbox",
        "SELECT secret_hash FROM api_key",
        "SELECT answer FROM event_key",
        "SELECT * FROM notification",
    ],
)
def test_sealed_columns_are_refused(database_url: str, statement: str) -> None:
    target = conninfo(database_url, Role.DASHBOARD, application="test")
    with (
        psycopg.connect(target) as connection,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def test_nothing_can_be_written(database_url: str) -> None:
    with (
        readings.engine(database_url).connect() as connection,
        pytest.raises(Exception, match="read-only transaction"),
    ):
        connection.exec_driver_sql("DELETE FROM due")
    readings.engine(database_url).dispose()


def test_a_reading_is_kept_for_the_next_reader(database_url: str) -> None:
    source = Readings(database_url)

    def ask(connection: Connection) -> int:
        found: int = connection.execute(text("SELECT count(*) FROM notification")).scalar_one()
        return found

    assert source.read("all", ask, keep_s=60) == 0
    _fill(database_url)
    assert source.read("all", ask, keep_s=60) == 0
    assert source.read("all of them", ask, keep_s=60) == 15
    readings.engine(database_url).dispose()


def _first(connection: Connection) -> None:
    connection.execute(text("SELECT FROM notification"))


def test_a_database_that_is_away_is_told_in_words() -> None:
    source = Readings("postgresql://nobody:secret@127.0.0.1:1/nothing")
    with pytest.raises(AwayError, match="cannot be reached") as caught:
        source.read("first", _first)
    assert "secret" not in str(caught.value)


def test_a_database_without_our_tables_says_what_to_do(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP TABLE notification CASCADE")
    with pytest.raises(AwayError, match="pruuf migrate"):
        Readings(database_url).read("first", _first)
    readings.engine(database_url).dispose()


def test_no_statement_may_take_for_ever(database_url: str) -> None:
    source = Readings(database_url)

    def bound(connection: Connection) -> str:
        return str(connection.execute(text("SHOW statement_timeout")).scalar_one())

    assert source.read("bound", bound) == "8s"
    readings.engine(database_url).dispose()
