"""A deploy grows the schema under the old processes: nothing they use goes or gets stricter."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from alembic import command
from psycopg import sql

from outbox.store import migrate
from outbox.store.connect import owner_engine
from tests.faults import previous

_COLUMNS = (
    "SELECT table_name, column_name, data_type, is_nullable = 'NO',"
    " column_default IS NOT NULL OR is_identity = 'YES' OR is_generated = 'ALWAYS'"
    " FROM information_schema.columns WHERE table_schema = 'public'"
    " AND table_name !~ '_[0-9]{8}$'"
)
_GRANTS = (
    "SELECT grantee, table_name, column_name, privilege_type"
    " FROM information_schema.column_privileges WHERE table_schema = 'public'"
    " AND grantee LIKE 'pruuf%%' AND table_name !~ '_[0-9]{8}$'"
)
_KEYS = (
    "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE contype IN ('p', 'u') AND connamespace = 'public'::regnamespace"
    " AND conrelid::regclass::text !~ '_[0-9]{8}$'"
)


@pytest.fixture
def before(template: str) -> Iterator[str]:
    """A database as the last closed issue left it."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    url = f"{template.rpartition('/')[0]}/{name}"
    with psycopg.connect(template, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        engine = owner_engine(url)
        with engine.connect() as owner:
            config = migrate._config()
            config.attributes["connection"] = owner
            command.upgrade(config, previous.revision())
            owner.commit()
        engine.dispose()
        yield url
        connection.execute(
            sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)),
        )


def _all(url: str, query: str) -> set[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return set(connection.execute(query.encode()).fetchall())


def test_what_old_processes_use_is_there_after_the_migration_and_asks_no_more_of_them(
    before: str,
) -> None:
    columns, grants, keys = _all(before, _COLUMNS), _all(before, _GRANTS), _all(before, _KEYS)
    assert len(columns) > 100
    assert len(grants) > 100
    assert migrate.migrate(before) == migrate.newest_revision()
    assert grants <= _all(before, _GRANTS), "a right was taken away"
    assert keys <= _all(before, _KEYS), "a key that writes rely on has changed"
    now = {(table, column): rest for table, column, *rest in _all(before, _COLUMNS)}
    tables = {table for table, *_ in columns}
    for table, column, kind, is_required, _ in columns:
        assert (table, column) in now, f"{table}.{column} is gone"
        found = now.pop((table, column))
        assert found[0] == kind, f"{table}.{column} is of another type"
        assert is_required or not found[1], f"{table}.{column} is required now"
    for (table, column), (_, is_required, has_default) in now.items():
        if table in tables:
            assert has_default or not is_required, f"old processes cannot fill {table}.{column}"
