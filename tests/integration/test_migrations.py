"""Migrations: from nothing, again, from many machines at once, and by an ordinary login."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import inspect

from outbox.domain.ids import SHARDS
from outbox.domain.states import Lane
from outbox.store import migrate as migrations
from outbox.store import tables
from outbox.store.connect import Role, conninfo, owner_engine
from outbox.store.embedded import EmbeddedPostgres
from outbox.store.migrate import current_revision, migrate, newest_revision

_MACHINES = 8


@pytest.fixture
def empty(template: str) -> Iterator[str]:
    """A database without anything of ours, in a cluster that has the roles."""
    name = sql.Identifier(f"empty_{uuid.uuid4().hex[:12]}")
    with psycopg.connect(template, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
    url = template.rpartition("/")[0] + "/" + name.as_string().strip('"')
    yield url
    with psycopg.connect(template, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@pytest.fixture
def cluster(data_dir: Path) -> Iterator[str]:
    """A server of this test's own, without our roles."""
    folder = Path(tempfile.mkdtemp(prefix="cluster-", dir=data_dir))
    folder.chmod(0o711)
    server = EmbeddedPostgres(folder / "data")
    try:
        yield server.ensure()[0]
    finally:
        server.crash()
        shutil.rmtree(folder, ignore_errors=True)


def _rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def _schema(url: str) -> list[tuple[Any, ...]]:
    """Everything that a migration makes, by name and definition."""
    return _rows(
        url,
        "SELECT 'column', table_name::text, column_name::text, data_type::text, column_default"
        " FROM information_schema.columns WHERE table_schema = 'public'"
        " UNION ALL SELECT 'index', tablename, indexname, indexdef, '' FROM pg_indexes"
        " WHERE schemaname = 'public'"
        " UNION ALL SELECT 'check', conrelid::regclass::text, conname, pg_get_constraintdef(oid),"
        " '' FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
        " UNION ALL SELECT 'right', table_name, column_name, grantee || privilege_type, ''"
        " FROM information_schema.column_privileges WHERE table_schema = 'public'"
        " UNION ALL SELECT 'function', proname, '', prosrc, '' FROM pg_proc"
        " WHERE pronamespace = 'public'::regnamespace ORDER BY 1, 2, 3, 4",
    )


def test_an_empty_database_comes_up_to_the_newest_revision(empty: str) -> None:
    with owner_engine(empty).connect() as connection:
        assert current_revision(connection) is None
    assert migrate(empty) == newest_revision() != ""
    with owner_engine(empty).connect() as connection:
        assert current_revision(connection) == newest_revision()
    assert _rows(empty, "SELECT pruuf_partition_days()") == [(15,)]


def test_a_second_time_changes_nothing(empty: str) -> None:
    migrate(empty)
    before = _schema(empty)
    assert migrate(empty) == newest_revision()
    assert _schema(empty) == before


def test_many_machines_at_once_make_one_and_the_same(empty: str, database_url: str) -> None:
    with ThreadPoolExecutor(_MACHINES) as machines:
        revisions = list(machines.map(migrate, [empty] * _MACHINES))
    assert revisions == [newest_revision()] * _MACHINES
    assert _rows(empty, "SELECT count(*) FROM alembic_version") == [(1,)]
    assert _schema(empty) == _schema(database_url)


def _by_processes(urls: list[str]) -> bool:
    """Migrate all at once; by processes, as Alembic serves one database of a process at a time."""
    with ProcessPoolExecutor(len(urls), mp_context=get_context("spawn")) as machines:
        return set(machines.map(migrate, urls)) == {newest_revision()}


def test_many_databases_of_a_new_cluster_at_once_share_its_roles(cluster: str) -> None:
    names = [f"tenant_{number}" for number in range(4)]
    with psycopg.connect(cluster, autocommit=True) as connection:
        for name in names:
            connection.execute(f"CREATE DATABASE {name}")
    assert _by_processes([cluster.rpartition("/")[0] + "/" + name for name in names])
    for role in Role:
        assert _rows(cluster, f"SELECT to_regrole('{role}') IS NOT NULL") == [(True,)]


def _ordinary(cluster: str, attributes: str, database: str = "theirs") -> str:
    """A login that is no superuser, with a database of its own; returns its address."""
    with psycopg.connect(cluster, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE ordinary LOGIN PASSWORD 'x' {attributes}")
        connection.execute(f"CREATE DATABASE {database} OWNER ordinary")
    changed = {"user": "ordinary", "password": "x", "dbname": database}
    return make_conninfo("", **{**conninfo_to_dict(cluster), **changed})


def _every_role_works(url: str) -> None:
    for role in Role:
        with psycopg.connect(conninfo(url, role, application="test")) as connection:
            assert connection.execute("SELECT current_user").fetchone() == (str(role),)
            connection.execute("SELECT count(*) FROM lane")


def test_an_ordinary_login_that_may_create_roles_migrates_its_own_database(cluster: str) -> None:
    url = _ordinary(cluster, "CREATEROLE")
    assert migrate(url) == newest_revision()
    assert migrate(url) == newest_revision()
    _every_role_works(url)


def test_a_login_that_may_create_nothing_migrates_with_roles_made_for_it(cluster: str) -> None:
    url = _ordinary(cluster, "")
    with pytest.raises(Exception, match="permission denied to create role"):
        migrate(url)
    with psycopg.connect(cluster, autocommit=True) as connection:
        for role in Role:
            connection.execute(f"CREATE ROLE {role} NOLOGIN")
            connection.execute(f"GRANT {role} TO ordinary")
    assert migrate(url) == newest_revision()
    _every_role_works(url)


def test_ordinary_logins_at_once_all_come_up(cluster: str) -> None:
    url = _ordinary(cluster, "CREATEROLE CREATEDB")
    with psycopg.connect(cluster, autocommit=True) as connection:
        connection.execute("CREATE DATABASE others OWNER ordinary")
    other = make_conninfo(url, dbname="others")
    assert _by_processes([url, other, url, other])
    _every_role_works(url)
    _every_role_works(other)


def test_who_waits_for_another_machine_is_not_cut_off(
    empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outbox.store.connect.TRANSACTION_TIMEOUT_S", 0.2)
    with psycopg.connect(empty, autocommit=True) as holder, ThreadPoolExecutor(1) as machine:
        holder.execute("SELECT pg_advisory_lock(%s)", (migrations._LOCK,))
        waiting = machine.submit(migrate, empty)
        holder.execute("SELECT pg_sleep(1)")
        assert not waiting.done()
        holder.execute("SELECT pg_advisory_unlock(%s)", (migrations._LOCK,))
        assert waiting.result(timeout=60) == newest_revision()


def test_a_migration_that_fails_leaves_nothing_and_lets_the_next_one_in(empty: str) -> None:
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("CREATE TABLE recipient (in_the_way integer)")
    with pytest.raises(errors.DuplicateTable):
        migrate(empty)
    assert _rows(empty, "SELECT to_regclass('event')") == [(None,)]
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("DROP TABLE recipient")
    assert migrate(empty) == newest_revision()


def test_what_an_older_revision_holds_is_kept(empty: str) -> None:
    script = ScriptDirectory.from_config(migrations._config())
    revisions = [each.revision for each in script.walk_revisions()][::-1]
    assert revisions[0] == "0001"
    with owner_engine(empty).connect() as connection:
        migrations._make_roles(connection)
        connection.commit()
        config = migrations._config()
        config.attributes["connection"] = connection
        command.upgrade(config, revisions[0])
    with psycopg.connect(empty) as owner:
        owner.execute(
            "INSERT INTO alert (shard, member, last_checkin_at) VALUES (1, 'm_1', now());"
            "INSERT INTO due (shard, notification, lane) VALUES (1, gen_random_uuid(), 0);"
            "INSERT INTO recipient (shard, id) VALUES (1, 'c_1')",
        )
    assert migrate(empty) == newest_revision()
    counts = "SELECT (SELECT count(*) FROM alert), (SELECT count(*) FROM due),"
    assert _rows(empty, f"{counts} (SELECT count(*) FROM recipient)") == [(1, 1, 1)]


def test_every_queue_has_its_low_water_mark(database_url: str) -> None:
    marks = _rows(database_url, "SELECT shard, lane FROM lane ORDER BY shard, lane")
    assert marks == [(shard, int(lane)) for shard in range(SHARDS) for lane in Lane]


def test_the_tables_that_the_code_names_are_those_that_the_migrations_made(
    database_url: str,
) -> None:
    engine = owner_engine(database_url)
    for table in tables.metadata.sorted_tables:
        found = {column["name"]: column for column in inspect(engine).get_columns(table.name)}
        assert {column.name for column in table.columns} <= found.keys(), table.name
        made = inspect(engine).get_pk_constraint(table.name)["constrained_columns"]
        assert [column.name for column in table.primary_key] == made, table.name
        for column in table.columns:
            stored = found[column.name]["type"]
            wanted = (column.type.as_generic().python_type, getattr(column.type, "timezone", None))
            assert (
                stored.as_generic().python_type,
                getattr(stored, "timezone", None),
            ) == wanted, f"{table.name}.{column.name}"


@pytest.mark.parametrize("deadlocks", [1, 10])
def test_a_deadlock_with_those_who_work_meanwhile_is_tried_again(
    empty: str, monkeypatch: pytest.MonkeyPatch, deadlocks: int
) -> None:
    upgrade, left = command.upgrade, iter(range(deadlocks))

    def unlucky(config: Any, revision: str) -> None:  # noqa: ANN401 - Alembic's own
        if next(left, None) is not None:
            raise errors.DeadlockDetected
        upgrade(config, revision)

    monkeypatch.setattr(command, "upgrade", unlucky)
    if deadlocks == 1:
        assert migrate(empty) == newest_revision()
        return
    # Not for ever.
    with pytest.raises(errors.DeadlockDetected):
        migrate(empty)
