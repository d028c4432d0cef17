"""Partitions: made ahead, by anybody at any time, one for each UTC day, and missed loudly."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import errors

from outbox.domain.ids import day_floor, new_id
from outbox.store.connect import Role, conninfo
from tests.integration.stored import gateway, missed, write

Session = psycopg.Connection[tuple[Any, ...]]

_PARENTS = ("event", "notification", "attempt", "receipt")
_INSERT = (
    "INSERT INTO receipt (shard, notification, source, said, fence, step, status, rank, at)"
    " VALUES (0, %s, 'app', 'x', 1, 0, 'received', 9, now()) RETURNING tableoid::regclass::text"
)


@pytest.fixture
def owner(database_url: str) -> Iterator[Session]:
    with psycopg.connect(database_url) as connection:
        connection.execute("SET TimeZone = 'America/New_York'")
        connection.commit()
        yield connection


def _days(session: Session) -> int:
    row = session.execute("SELECT pruuf_partition_days()").fetchone()
    assert row is not None
    return int(row[0])


def _make(session: Session, ahead: int) -> int:
    row = session.execute("SELECT pruuf_make_partitions(%s)", (ahead,)).fetchone()
    assert row is not None
    return int(row[0])


def _today(session: Session) -> datetime:
    row = session.execute("SELECT date_trunc('day', now(), 'UTC')").fetchone()
    assert row is not None
    today: datetime = row[0]
    return today.astimezone(UTC)


def _id(moment: datetime) -> UUID:
    return new_id(0, at_ms=int(moment.timestamp() * 1000))


def test_two_weeks_are_there_after_the_migration(owner: Session) -> None:
    # Today, and fourteen days more.
    assert _days(owner) == 15


def test_an_id_of_every_day_that_is_there_has_its_place_in_every_table(owner: Session) -> None:
    today = _today(owner)
    for offset in range(-2, 15):
        day = today + timedelta(days=offset)
        for moment in (day, day + timedelta(days=1) - timedelta(milliseconds=1)):
            [(place,)] = owner.execute(_INSERT, (_id(moment),)).fetchall()
            assert place == f"receipt_p{day:%Y%m%d}"
    attached = owner.execute(
        "SELECT inhparent::regclass::text, count(*) FROM pg_inherits"
        " WHERE inhparent = ANY(%s::regclass[]) GROUP BY 1",
        (list(_PARENTS),),
    ).fetchall()
    assert dict(attached) == dict.fromkeys(_PARENTS, 17)


@pytest.mark.parametrize("offset", [-3, 15, 400])
def test_an_id_of_a_day_that_is_not_there_is_refused(owner: Session, offset: int) -> None:
    moment = _today(owner) + timedelta(days=offset, hours=12)
    with pytest.raises(errors.CheckViolation, match="no partition"):
        owner.execute(_INSERT, (_id(moment),))


def test_made_again_nothing_changes_and_made_further_only_the_rest_is_made(owner: Session) -> None:
    assert _make(owner, 14) == 0
    assert _make(owner, 16) == 2 * len(_PARENTS)
    assert _make(owner, 16) == 0
    assert _days(owner) == 17


def test_what_went_missing_is_counted_to_and_made_again(owner: Session) -> None:
    gap = f"receipt_p{_today(owner) + timedelta(days=3):%Y%m%d}"
    owner.execute(f"DROP TABLE {gap}")
    # The days after the gap are no comfort: intake stops at it.
    assert _days(owner) == 3
    assert _make(owner, 14) == 1
    assert _days(owner) == 15


def test_no_partition_for_today_is_no_day_at_all(owner: Session) -> None:
    owner.execute(f"DROP TABLE event_p{_today(owner):%Y%m%d}")
    assert _days(owner) == 0


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moment=st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 30)))  # noqa: DTZ001 - UTC
def test_code_and_database_agree_where_a_day_begins(owner: Session, moment: datetime) -> None:
    day = moment.replace(tzinfo=UTC)
    row = owner.execute("SELECT pruuf_day_floor(%s::date)", (f"{day:%Y-%m-%d}",)).fetchone()
    assert row == (day_floor(day),)


def test_a_partition_has_its_parents_checks_and_indexes(owner: Session) -> None:
    made = f"notification_p{_today(owner):%Y%m%d}"
    query = (
        "SELECT (SELECT count(*) FROM pg_constraint WHERE conrelid = %(t)s::regclass"
        " AND contype = 'c'), (SELECT count(*) FROM pg_index WHERE indrelid = %(t)s::regclass)"
    )
    parent = owner.execute(query, {"t": "notification"}).fetchone()
    assert parent is not None
    assert owner.execute(query, {"t": made}).fetchone() == parent
    assert parent > (4, 3)


def _as(database_url: str, role: Role) -> Session:
    return psycopg.connect(conninfo(database_url, role, application="test"))


def test_a_relay_makes_them_though_it_owns_nothing(database_url: str) -> None:
    with _as(database_url, Role.RELAY) as relay:
        assert _make(relay, 15) == len(_PARENTS)
        assert _days(relay) == 16
        owners = relay.execute(
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
    assert len(owners) == 1


@pytest.mark.parametrize("role", [Role.GATEWAY, Role.DASHBOARD])
def test_nobody_else_may(database_url: str, role: Role) -> None:
    with _as(database_url, role) as session, pytest.raises(errors.InsufficientPrivilege):
        _make(session, 15)


def test_many_relays_at_once_make_each_once(database_url: str) -> None:
    def make(_: int) -> int:
        with _as(database_url, Role.RELAY) as relay:
            return _make(relay, 20)

    with ThreadPoolExecutor(6) as threads:
        made = list(threads.map(make, range(12)))
    # Who finds another one at it leaves it to that one.
    assert sum(made) == 6 * len(_PARENTS)
    with psycopg.connect(database_url) as owner:
        assert _days(owner) == 21


async def test_intake_that_is_under_way_does_not_stop_them(database_url: str) -> None:
    async with gateway(database_url) as connection, connection.transaction():
        await connection.execute("SELECT count(*) FROM notification")
        await write(connection, [missed("c_1")])
        with _as(database_url, Role.RELAY) as relay:
            assert _make(relay, 15) == len(_PARENTS)


def test_a_table_that_is_locked_makes_them_give_up_soon_and_whole(
    owner: Session, database_url: str
) -> None:
    owner.execute("LOCK TABLE receipt IN ACCESS EXCLUSIVE MODE")
    with _as(database_url, Role.RELAY) as relay:
        with pytest.raises(errors.LockNotAvailable):
            _make(relay, 15)
        relay.rollback()
        owner.rollback()
        assert _days(relay) == 15
        assert _make(relay, 15) == len(_PARENTS)
