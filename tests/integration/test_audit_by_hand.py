"""Whoever removes or changes a row of the ledger by hand is found: each table, each column."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql

from outbox.domain.audit import OVERDUE_S
from outbox.domain.audited import OUTSIDE, ROW, WHOLE, decisions
from outbox.domain.ids import shard_of
from outbox.settings import Settings, load
from outbox.store import audit

from .audit_world import SHARD, audited, build, named, owner_of, proven
from .conftest import environment
from .relay_hand import hand

_TABLES = [table for table in decisions() if table != WHOLE]

_UNAPPLIED_S = 7_200
_OTHER_SHARD = (SHARD + 1) % 16

# By type: another value that no rule knows.
_OTHER = {
    "text": "coalesce({c}, '') || 'x'",
    "uuid": "overlay({c}::text placing 'ffff' from 20)::uuid",
    "timestamp with time zone": "coalesce({c}, now()) + interval '3 years'",
    "smallint": "coalesce({c}, 0) + 1",
    "integer": "coalesce({c}, 0) + 1",
    "bigint": "{c} + 1",
    "boolean": "NOT {c}",
    "bytea": "coalesce(set_byte({c}, 0, get_byte({c}, 0) # 255), '\\x00')",
    "date": "{c} + 1",
    "xid8": "'1'::xid8",
    "ARRAY": "'{{}}'",
}

# Where the type alone does not know a value that Postgres takes, or the row in which it tells.
_VALUES: dict[tuple[str, str], tuple[str, str]] = {
    ("notification", "state"): ("'expired'", "state = 'undeliverable'"),
    ("notification", "proof"): ("'app'", "proof = 'carrier'"),
    ("notification", "final_at"): ("final_at + interval '1 second'", "final_at IS NOT NULL"),
    ("notification", "reason"): ("'another'", "state = 'undeliverable'"),
    ("notification", "channel"): ("'push'", "channel = 'sms'"),
    ("notification", "clears"): ("gen_random_uuid()", "clears IS NOT NULL"),
    ("notification", "lane"): ("(lane + 1) % 4", "true"),
    ("notification", "phone_hash"): ("phone_hash || '\\x00'", "phone_hash IS NOT NULL"),
    ("due", "notification"): ("gen_random_uuid()", "true"),
    ("due", "step"): ("step + 9", "true"),
    ("due", "work"): ("4", "work = 0 AND owner IS NULL"),
    ("due", "due_at"): ("'infinity'", "due_at < 'infinity'"),
    ("due", "fence"): ("0", "fence > 0 AND call_fence = 0 OR work = 1"),
    ("due", "lane"): ("(lane + 1) % 4", "true"),
    ("due", "best_rank"): ("8", "work = 1"),
    ("due", "cancel"): ("true", "work = 1"),
    ("due", "step_at"): ("step_at + interval '1 day'", "due_at < 'infinity'"),
    ("audit_root", "shard"): ("99", "true"),
    ("due", "receipt_until"): ("receipt_until + interval '1 day'", "receipt_until IS NOT NULL"),
    ("lane", "low"): ("now() + interval '1 day'", "true"),
    ("alert", "member"): ("member || 'x'", "true"),
    ("alert", "open_event"): ("gen_random_uuid()", "open_event IS NOT NULL"),
    ("alert", "open_due_at"): ("now() + interval '1 day'", "open_event IS NOT NULL"),
    ("alert", "told"): ("told || ARRAY['x']", "open_event IS NOT NULL"),
    ("alert", "notifications"): ("'{}'", "cardinality(notifications) > 0"),
    ("alert", "page"): ("NULL", "page IS NOT NULL"),
    ("attempt", "what"): ("'skip'", "true"),
    ("due", "call_fence"): ("0", "call_fence > 0"),
    ("inbox", "shard"): (f"{_OTHER_SHARD}", "done_at IS NOT NULL AND provider = 'twilio'"),
    ("inbox", "done_at"): ("now()", "done_at IS NULL"),
    ("inbox", "received_at"): (
        f"received_at - interval '{_UNAPPLIED_S} seconds'",
        "done_at IS NULL OR provider = 'twilio'",
    ),
    ("device", "address_kind"): ("'fid'", "true"),
    ("device", "platform"): ("'web'", "true"),
    ("recipient", "timezone"): ("'UTC-x'", "true"),
    ("suppression", "origin"): ("'person'", "true"),
    ("suppression", "lifted_at"): ("now()", "true"),
    ("revocation", "decided_at"): ("now(), decision = 'ignored'", "true"),
    ("revocation", "decision"): ("'ignored', decided_at = now()", "true"),
    ("billing_event", "source"): ("'pruuf'", "true"),
    ("billing_event", "result"): ("'unknown'", "true"),
    ("billing_event", "command"): ("command + 1", "command IS NOT NULL"),
    ("subscription", "status"): ("'past_due'", "true"),
    ("subscription", "ended_at"): ("now(), status = 'canceled'", "true"),
    ("invoice", "status"): ("'paid'", "true"),
    ("reversal", "kind"): ("'refund'", "true"),
    ("account", "role"): ("'contact', role_at = now()", "true"),
    ("account", "role_at"): ("now(), role = 'contact'", "true"),
    ("account", "wish"): ("'ended'", "true"),
    ("account", "member_at"): ("now(), member_by = 'x', member_why = 'x'", "true"),
    ("account", "member_by"): ("'x', member_at = now(), member_why = 'x'", "true"),
    ("account", "member_why"): ("'x', member_by = 'x', member_at = now()", "true"),
    ("account", "default_method"): ("'x', customer = 'x'", "true"),
    ("account", "credit"): ("1, customer = 'x'", "true"),
    ("action", "what"): ("'cancel'", "true"),
    ("audit_head", "newest"): ("newest + interval '1 minute'", "newest IS NOT NULL"),
    ("verification", "code_hash"): ("'\\x01'", "true"),
    ("verification", "refused"): ("NULL", "true"),
    ("verification", "notification"): ("gen_random_uuid()", "true"),
}
# What shows only when another column, which Postgres binds to it, is changed as well.
_ALSO = {
    ("due", "fence"): ", call_fence = 0",
}


@pytest.fixture(scope="session")
def built(template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database of a ledger that the audit finds nothing wrong with; built once, then cloned."""
    name = f"world_{uuid.uuid4().hex[:12]}"
    url = template.rpartition("/")[0] + "/" + name
    settings = load(environment(url), cwd=tmp_path_factory.mktemp("world"))

    async def build_it() -> None:
        async with hand(settings) as by_hand:
            await build(by_hand)
        await proven(settings)

    with psycopg.connect(template, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE pruuf_template".encode())
        asyncio.run(build_it())
        yield name
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def world(
    template: str,
    built: str,
    make_settings: Callable[[str], Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Settings]:
    """A copy of it, for one test; it grows old on a slow machine, and is not late by that."""
    for lane in OVERDUE_S:
        monkeypatch.setitem(OVERDUE_S, lane, 86_400)
    monkeypatch.setattr(audit, "UNAPPLIED_S", _UNAPPLIED_S)
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(template, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {built}".encode())
        yield make_settings(template.rpartition("/")[0] + "/" + name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def owner(world: Settings) -> Iterator[psycopg.Connection[Any]]:
    with owner_of(world) as connection:
        yield connection


def _columns(owner: psycopg.Connection[Any]) -> dict[str, dict[str, str]]:
    """Every table of the catalogue with its columns and their types; partitions are their table."""
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in owner.execute(
        "SELECT table_name::text, column_name::text, data_type::text"
        " FROM information_schema.columns c JOIN pg_class k ON k.oid = c.table_name::regclass"
        " WHERE table_schema = 'public' AND NOT k.relispartition AND k.relkind IN ('r', 'p')"
        " ORDER BY table_name, ordinal_position"
    ):
        found.setdefault(table, {})[column] = kind
    return found


def test_every_table_and_column_is_decided_about(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        there = _columns(connection)
    decided = {t: set(columns) - {ROW} for t, columns in decisions().items() if t != WHOLE}
    outside = set(decisions()[WHOLE])
    assert {t: set(c) for t, c in there.items() if t not in outside} == decided
    assert outside <= set(there)
    assert not outside & set(decided)


async def test_a_ledger_that_nobody_touched_is_as_it_should_be(world: Settings) -> None:
    report = await audited(world, shards=None)
    assert named(report) == set()
    assert report.ok
    assert report.total("accepted") == 17


@pytest.mark.parametrize("table", _TABLES)
async def test_each_change_fails_the_audit_and_names_the_row(
    world: Settings, owner: psycopg.Connection[Any], table: str
) -> None:
    kinds = _columns(owner)[table]
    mistaken = {}
    for column, how in decisions()[table].items():
        found, names = await _changed(world, owner, table, column, kinds.get(column, ""))
        if how == "refused" or how.startswith(OUTSIDE):
            right = found == ({"refused"} if how == "refused" else set())
        else:
            right = any(name in one for one in found for name in names)
        if not right:
            mistaken[column] = (how, found, names)
    assert mistaken == {}


async def _changed(
    world: Settings, owner: psycopg.Connection[Any], table: str, column: str, kind: str
) -> tuple[set[str], set[str]]:
    """What is named after one change by hand, which is taken back; and what its row is called."""
    name = sql.Identifier(table)
    saved = owner.execute(sql.SQL("SELECT t::text FROM {} t").format(name)).fetchall()
    try:
        shard, names = _change(owner, table, column, kind)
    except (errors.GeneratedAlways, errors.UniqueViolation):
        return {"refused"}, set()
    shards = (shard, _OTHER_SHARD) if column == "shard" else (shard,)
    found = named(await audited(world, shards=shards))
    put_back = sql.SQL(
        "INSERT INTO {n} OVERRIDING SYSTEM VALUE"
        " SELECT (each::{n}).* FROM unnest(%s::text[]) AS each"
    ).format(n=name)
    with owner.transaction():
        owner.execute(sql.SQL("DELETE FROM {}").format(name))
        owner.execute(put_back, ([row for (row,) in saved],))
    return {f"{where}: {row}" for _, where, row in found}, names


def _change(
    owner: psycopg.Connection[Any], table: str, column: str, kind: str
) -> tuple[int, set[str]]:
    """Change one row, or remove it; its shard, and what it may be called."""
    value, where = _VALUES.get((table, column), (None, "true"))
    row = owner.execute(
        f"SELECT tableoid, ctid::text, to_jsonb(t) FROM {table} t"
        # A key lies in the shard of its own words.
        f" WHERE (shard = {SHARD} OR '{table}' = 'event_key') AND ({where})"
        " ORDER BY t LIMIT 1".encode()
    ).fetchone()
    assert row is not None, f"{table}.{column}: no row to change"
    one = f"tableoid = {row[0]} AND ctid = '{row[1]}'"
    if column == ROW:
        changed = owner.execute(f"DELETE FROM {table} WHERE {one} RETURNING '{{}}'::jsonb".encode())
    else:
        if value is None:
            value = str(_OTHER_SHARD) if column == "shard" else _OTHER[kind].format(c=column)
        also = _ALSO.get((table, column), "")
        changed = owner.execute(
            f"UPDATE {table} t SET {column} = {value}{also} WHERE {one}"
            " RETURNING to_jsonb(t)".encode()
        )
    after = changed.fetchone()
    assert after is not None
    called = (
        "id",
        "event",
        "notification",
        "member",
        "recipient",
        "phone_hash",
        "kind",
        "source_id",
    )
    values = [each[name] for each in (row[2], after[0]) for name in called if each.get(name)]
    # What has no name of its own is called by its shard.
    return row[2]["shard"], {str(v).removeprefix("\\x") for v in values} or {f": {SHARD}"}


def test_the_world_lies_in_one_shard() -> None:
    assert shard_of("operator") == SHARD
