"""Each process' role tries what it must not do, and what nobody may ever do to the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors

from outbox.store.connect import Role, conninfo
from outbox.store.stats import read as read_stats

from .roles_forbidden import FORBIDDEN

Session = psycopg.Connection[tuple[Any, ...]]

_NOBODY_MAY = [
    "CREATE TABLE mine ()",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql RETURN 1",
    "CREATE ROLE mine SUPERUSER",
    "DROP TABLE due",
    "DROP FUNCTION pruuf_partition_days",
    "ALTER TABLE due ADD COLUMN mine integer",
    "ALTER TABLE notification DROP CONSTRAINT notification_state_check",
    "ALTER TABLE event DETACH PARTITION {partition}",
    "CREATE INDEX ON due (step)",
    "TRUNCATE due",
    "TRUNCATE attempt",
    "SELECT * FROM {partition}",
    "DELETE FROM {partition}",
    "COPY lane TO PROGRAM 'true'",
    "COPY lane FROM '/etc/passwd'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT rolpassword FROM pg_authid",
    "ALTER ROLE pruuf_gateway SUPERUSER",
]


@pytest.fixture
def sessions(database_url: str) -> Iterator[dict[Role, Session]]:
    """A connection of each role; the dashboard's without its own guard against writing."""
    open_ones: dict[Role, Session] = {}
    try:
        for role in Role:
            url = conninfo(database_url, role, application="test")
            open_ones[role] = psycopg.connect(
                url.replace("-c default_transaction_read_only=on", ""), autocommit=True
            )
        yield open_ones
    finally:
        for session in open_ones.values():
            session.close()


def _allowed(session: Session, statements: list[str]) -> list[str]:
    """Those of these statements that are not refused for want of a right."""
    allowed = []
    for statement in statements:
        try:
            with session.transaction(force_rollback=True):
                session.execute(statement)
        except errors.InsufficientPrivilege:
            continue
        except psycopg.Error as error:
            allowed.append(f"{statement}: {error}")
        else:
            allowed.append(statement)
    return allowed


@pytest.mark.parametrize("role", Role)
def test_a_role_may_not_do_what_is_not_its_work(sessions: dict[Role, Session], role: Role) -> None:
    assert _allowed(sessions[role], FORBIDDEN[role]) == []


@pytest.mark.parametrize("role", Role)
def test_no_process_may_change_the_schema_or_reach_the_machine(
    sessions: dict[Role, Session], role: Role
) -> None:
    query = (
        "SELECT min(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'event'::regclass"
    )
    row = sessions[role].execute(query).fetchone()
    assert row is not None
    statements = [statement.format(partition=row[0]) for statement in _NOBODY_MAY]
    assert _allowed(sessions[role], statements) == []


@pytest.mark.parametrize("role", Role)
def test_a_role_is_nothing_by_itself(sessions: dict[Role, Session], role: Role) -> None:
    row = (
        sessions[role]
        .execute(
            "SELECT rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication,"
            " rolbypassrls,"
            " (SELECT count(*) FROM pg_class WHERE relowner = r.oid),"
            " (SELECT count(*) FROM pg_auth_members WHERE member = r.oid)"
            " FROM pg_roles r WHERE rolname = current_user"
        )
        .fetchone()
    )
    assert row == (False, False, False, False, False, False, 0, 0)
    current = sessions[role].execute("SELECT current_user").fetchone()
    assert current == (str(role),)


def _columns(session: Session, condition: str) -> list[tuple[str, str]]:
    return session.execute(
        "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
        f" AND a.attnum > 0 AND NOT a.attisdropped AND {condition} ORDER BY 1, 2"
    ).fetchall()


def test_the_dashboard_reads_no_bytes_but_the_plan(sessions: dict[Role, Session]) -> None:
    # Everything sealed and every keyed hash is bytea: a new one is covered the day it is added.
    condition = "a.atttypid = 'bytea'::regtype AND has_column_privilege(c.oid, a.attnum, 'SELECT')"
    assert _columns(sessions[Role.DASHBOARD], condition) == [("notification", "plan")]


def test_the_dashboard_writes_nothing_at_all(sessions: dict[Role, Session]) -> None:
    condition = (
        "(has_column_privilege(c.oid, a.attnum, 'INSERT') OR"
        " has_column_privilege(c.oid, a.attnum, 'UPDATE') OR has_table_privilege(c.oid, 'DELETE'))"
    )
    assert _columns(sessions[Role.DASHBOARD], condition) == []


@pytest.mark.parametrize("role", Role)
def test_the_ledger_is_append_only_for_everybody(sessions: dict[Role, Session], role: Role) -> None:
    condition = (
        "c.relname IN ('event', 'attempt', 'receipt', 'action', 'audit_root') AND"
        " (has_column_privilege(c.oid, a.attnum, 'UPDATE') OR has_table_privilege(c.oid, 'DELETE'))"
    )
    assert _columns(sessions[role], condition) == []


@pytest.mark.parametrize("role", Role)
def test_no_accepted_thing_can_be_deleted(sessions: dict[Role, Session], role: Role) -> None:
    condition = (
        "c.relname IN ('event_key', 'event', 'notification', 'alert', 'suppression')"
        " AND has_table_privilege(c.oid, 'DELETE')"
    )
    assert _columns(sessions[role], condition) == []


@pytest.mark.parametrize("role", Role)
def test_no_partition_can_be_reached_past_its_table(
    sessions: dict[Role, Session], role: Role
) -> None:
    condition = "c.relispartition AND has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE')"
    assert _columns(sessions[role], condition) == []


def test_only_a_keys_last_use_is_written_and_only_by_the_gateway(
    sessions: dict[Role, Session],
) -> None:
    condition = (
        "c.relname = 'api_key' AND (has_column_privilege(c.oid, a.attnum, 'UPDATE')"
        " OR has_column_privilege(c.oid, a.attnum, 'INSERT'))"
    )
    written = {role: _columns(session, condition) for role, session in sessions.items()}
    assert written == {
        Role.GATEWAY: [("api_key", "last_used_at")],
        Role.RELAY: [],
        Role.DASHBOARD: [],
        Role.AUDITOR: [],
    }


@pytest.mark.parametrize("role", Role)
def test_every_role_knows_the_revision_and_the_days_ahead(
    sessions: dict[Role, Session], role: Role
) -> None:
    assert sessions[role].execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
    assert sessions[role].execute("SELECT pruuf_partition_days() > 0").fetchone() == (True,)


def test_the_dashboard_can_count(sessions: dict[Role, Session]) -> None:
    stats = read_stats(sessions[Role.DASHBOARD])
    assert [lane.depth for lane in stats.lanes] == [0, 0, 0, 0]
