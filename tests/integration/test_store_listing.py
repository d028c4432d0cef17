"""Lists: all pages in order, nothing twice, nothing missed, each filter alone and with others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct
from psycopg import sql
from sqlalchemy import Connection, Engine

from outbox.domain.ids import SHARDS, new_id
from outbox.domain.policy import default_policy
from outbox.domain.states import FINAL, State, Work
from outbox.store import listing
from outbox.store.connect import owner_engine
from outbox.store.listing import decode_cursor, encode_cursor
from outbox.store.reading import run
from outbox.store.views import STATES, Filter, Page, Summary

_NOW = datetime.now(UTC)
_KINDS = ["checkin.missed", "checkin.confirmed", "member.invited"]
_RECIPIENTS = ["c_1", "c_2"]


class _Row(Struct, frozen=True, kw_only=True):
    """A notification as it will be stored, and as the API names its state."""

    id: UUID
    kind: str
    recipient: str
    created_at: datetime
    state: str
    live: str
    work: int | None = None
    owned: bool = False


def _forms() -> Iterator[tuple[str, str, int | None, bool]]:
    """Every state as stored: with its name, and the work and owner of its due row."""
    for final in sorted(FINAL):
        yield final, final, None, False
    yield State.PARKED, "parked", Work.SEND, False
    yield State.OPEN, "pending", Work.SEND, False
    yield State.OPEN, "sending", Work.SEND, True
    yield State.OPEN, "sending", Work.RESOLVE, False
    yield State.OPEN, "sending", Work.RESOLVE, True
    yield State.OPEN, "awaiting_receipt", Work.AWAIT, False
    yield State.OPEN, "awaiting_receipt", Work.ASK, False
    yield State.OPEN, "awaiting_receipt", Work.ASK, True
    yield State.OPEN, "pending", Work.HOLD, False
    yield State.OPEN, "sending", Work.HOLD, True


_FORMS = list(_forms())
# Days back: today with many at the same millisecond, and each window that a list looks through.
_AGES = [0.0, 0.0, 0.001, 0.9, 1.1, 3, 7.9, 8.1, 20]


def _made() -> list[_Row]:
    rows = []
    for number in range(240):
        state, live, work, owned = _FORMS[number % len(_FORMS)]
        at = _NOW - timedelta(days=_AGES[number % len(_AGES)])
        rows.append(
            _Row(
                id=new_id(number % SHARDS, at_ms=int(at.timestamp() * 1000)),
                kind=_KINDS[number % 3],
                recipient=_RECIPIENTS[number % 2],
                created_at=at,
                state=state,
                live=live,
                work=work,
                owned=owned,
            )
        )
    return sorted(rows, key=lambda row: row.id, reverse=True)


_ROWS = _made()


def _store(owner: psycopg.Connection[tuple[object, ...]]) -> None:
    for days in (20, 9, 8, 7, 4, 3):
        start = (_NOW - timedelta(days=days)).date()
        owner.execute(
            sql.SQL(
                "CREATE TABLE {} PARTITION OF notification FOR VALUES FROM ({}) TO ({})"
            ).format(
                sql.Identifier(f"notification_p{start:%Y%m%d}"),
                sql.Literal(_floor(start.toordinal())),
                sql.Literal(_floor(start.toordinal() + 1)),
            )
        )
    plan = default_policy().encoded("member.invited")
    for row in _ROWS:
        owner.execute(
            "INSERT INTO notification (shard, id, event, subject, recipient, kind, lane, plan,"
            " template, locale, content, state, reason, proof, created_at, expires_at, final_at)"
            " VALUES (%s, %s, %s, 'm_1', %s, %s, 2, %s, 't', 'en', '', %s, %s, %s, %s, %s, %s)",
            (
                row.id.bytes[-1],
                row.id,
                uuid4(),
                row.recipient,
                row.kind,
                plan,
                row.state,
                None if row.state in {"open", "delivered"} else "why",
                "carrier" if row.state == "delivered" else None,
                row.created_at,
                row.created_at,
                row.created_at if row.work is None else None,
            ),
        )
        if row.work is not None:
            owner.execute(
                "INSERT INTO due (shard, notification, lane, work, owner, fence, receipt_until)"
                " VALUES (%s, %s, 2, %s, %s, 1, now())",
                (row.id.bytes[-1], row.id, row.work, uuid4() if row.owned else None),
            )


def _floor(ordinal: int) -> UUID:
    day = datetime.fromordinal(ordinal).replace(tzinfo=UTC)
    return UUID(int=int(day.timestamp() * 1000) << 80)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url) as owner:
        _store(owner)
    engine: Engine = owner_engine(database_url)
    with engine.connect() as connection:
        yield connection


def _pages(connection: Connection, wanted: Filter) -> list[Page]:
    """All pages, as somebody turns them: by the cursor of the page before."""
    pages = [run(connection, listing.notifications(wanted))]
    # No transaction stays open: the server ends those that take long.
    connection.rollback()
    while pages[-1].next is not None:
        before = decode_cursor(encode_cursor(pages[-1].next))
        assert before is not None
        fields = {name: getattr(wanted, name) for name in Filter.__struct_fields__}
        pages.append(run(connection, listing.notifications(Filter(**{**fields, "before": before}))))
        connection.rollback()
    return pages


def _expected(wanted: Filter) -> list[_Row]:
    return [
        row
        for row in _ROWS
        if wanted.state in {None, row.live}
        and wanted.kind in {None, row.kind}
        and wanted.recipient in {None, row.recipient}
        and (wanted.since is None or row.created_at >= wanted.since)
        and (wanted.before is None or row.id < wanted.before)
    ]


_since = st.sampled_from([*_AGES, 0.5, 2, 30]).map(lambda days: _NOW - timedelta(days=days))
_filters = st.builds(
    Filter,
    state=st.none() | st.sampled_from(STATES),
    kind=st.none() | st.sampled_from([*_KINDS, "nothing"]),
    recipient=st.none() | st.sampled_from([*_RECIPIENTS, "nobody"]),
    since=st.none() | _since,
    before=st.none() | st.sampled_from([row.id for row in _ROWS]),
    limit=st.sampled_from([1, 3, 50, 240, 500]),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=_filters.filter(lambda wanted: wanted.limit > 1))
def test_the_pages_of_any_filter_hold_all_that_fits_in_order(
    connection: Connection, wanted: Filter
) -> None:
    pages = _pages(connection, wanted)
    items = [item for page in pages for item in page.items]
    assert [item.id for item in items] == [row.id for row in _expected(wanted)]
    assert all(len(page.items) == wanted.limit for page in pages[:-1])


@pytest.mark.parametrize("limit", [1, 7, 239, 240, 241])
def test_pages_of_any_size_hold_everything_once(connection: Connection, limit: int) -> None:
    wanted = (
        Filter(limit=limit, since=_NOW - timedelta(hours=12)) if limit == 1 else Filter(limit=limit)
    )
    items = [item for page in _pages(connection, wanted) for item in page.items]
    assert [item.id for item in items] == [row.id for row in _expected(wanted)]


@pytest.mark.parametrize("state", STATES)
def test_a_list_of_one_state_holds_all_of_that_name_and_no_other(
    connection: Connection, state: str
) -> None:
    items = [item for page in _pages(connection, Filter(state=state)) for item in page.items]
    assert {item.state for item in items} == {state}
    assert [item.id for item in items] == [row.id for row in _ROWS if row.live == state]


def test_each_notification_is_listed_as_what_it_is(connection: Connection) -> None:
    items = [item for page in _pages(connection, Filter(limit=100)) for item in page.items]
    for item, row in zip(items, _ROWS, strict=True):
        assert (item.state, item.kind, item.recipient) == (row.live, row.kind, row.recipient)
        assert (item.lane, item.subject, item.created_at) == (
            "transactional",
            "m_1",
            row.created_at,
        )
        assert (item.next_at is None) == (row.work is None)


def test_an_empty_database_has_one_empty_page(database_url: str) -> None:
    with owner_engine(database_url).connect() as connection:
        assert run(connection, listing.notifications(Filter())) == Page([], None)


def test_what_comes_while_pages_are_turned_moves_nothing_between_them(
    connection: Connection, database_url: str
) -> None:
    first = run(connection, listing.notifications(Filter(limit=100)))
    connection.rollback()
    with psycopg.connect(database_url) as owner:
        owner.execute(
            "INSERT INTO notification SELECT c.* FROM notification n, jsonb_populate_record("
            "null::notification, to_jsonb(n) || jsonb_build_object('id', %s::text)) c"
            " WHERE n.id = %s",
            (str(new_id(_ROWS[0].id.bytes[-1])), _ROWS[0].id),
        )
    second = run(connection, listing.notifications(Filter(limit=500, before=first.next)))
    seen: list[Summary] = [*first.items, *second.items]
    assert [item.id for item in seen] == [row.id for row in _ROWS]


@given(st.uuids(version=4) | st.integers(0, 2**128 - 1).map(lambda number: UUID(int=number)))
def test_only_a_cursor_of_ours_is_one(cursor: UUID) -> None:
    read = decode_cursor(encode_cursor(cursor))
    assert read in {None, cursor}
    if read is not None:
        assert cursor.version == 7


@given(st.text())
def test_any_other_text_is_no_cursor_and_raises_nothing(text: str) -> None:
    assert decode_cursor(text) is None


def test_a_cursor_of_a_year_that_no_clock_shows_is_none() -> None:
    assert decode_cursor(encode_cursor(new_id(0, at_ms=2**48 - 1))) is None
    kept = new_id(0, at_ms=253_402_300_799_000)
    assert decode_cursor(encode_cursor(kept)) == kept
