"""The embedded Postgres: one server per folder, and data that survives."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psycopg
import pytest

from outbox.store import embedded
from outbox.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
from outbox.store.postgres_process import server_of
from tests.integration.embedded.others import Start, ask, do

_ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "on"),
        ("wal_level", "replica"),
        ("server_encoding", "UTF8"),
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("password_encryption", "scram-sha-256"),
        ("max_connections", "200"),
        ("shared_buffers", "256MB"),
        ("TimeZone", "UTC"),
    ],
)
def test_as_it_is_set_up(postgres: EmbeddedPostgres, name: str, value: str) -> None:
    assert ask(postgres.url(), f"SHOW {name}") == value


def test_what_is_committed_is_on_the_disk(server: EmbeddedPostgres) -> None:
    """Asked of a server of its own: the one that the tests share does not flush."""
    url, _ = server.ensure()
    assert ask(url, "SHOW fsync") == "on"


def test_sorting_does_not_depend_on_the_machine(postgres: EmbeddedPostgres) -> None:
    query = "SELECT format('%s %s', datlocprovider, datlocale) FROM pg_database LIMIT 1"
    assert ask(postgres.url(), query) == "b C.UTF-8"


def test_nobody_gets_in_without_the_password(postgres: EmbeddedPostgres, data_dir: Path) -> None:
    wrong = postgres.url().replace("pruuf:", "pruuf:x", 1)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)
    assert (data_dir / "postgres.password").stat().st_mode & 0o777 == 0o600
    assert (data_dir / "postgres").stat().st_mode & 0o777 == 0o700
    assert (data_dir / "postgres.log").stat().st_mode & 0o777 == 0o600


def test_a_setting_for_another_server_does_not_matter(
    server: EmbeddedPostgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGSSLMODE", "require")
    url, _ = server.ensure()
    assert ask(url, "SELECT 1") == 1
    server.crash()


def test_it_says_what_it_does(home: Path) -> None:
    said: list[str] = []
    server = EmbeddedPostgres(home, say=said.append)
    server.ensure()
    server.stop()
    server.ensure()
    made, started = "making the embedded database (once)", "starting the embedded database"
    assert said == [made, started, started]
    server.crash()


def test_who_comes_second_attaches(server: EmbeddedPostgres, home: Path) -> None:
    url, started = server.ensure()
    again = EmbeddedPostgres(home)
    assert (started, again.ensure()) == (True, (url, False))
    server.stop()
    assert not again.running()


def test_data_and_port_survive_a_restart(server: EmbeddedPostgres) -> None:
    url, _ = server.ensure()
    do(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    with pytest.raises(EmbeddedPostgresError, match="no server runs"):
        server.url()
    assert server.ensure() == (url, True)
    assert ask(url, "SELECT answer FROM kept") == 42
    server.crash()


def test_committed_rows_survive_a_kill(server: EmbeddedPostgres, home: Path) -> None:
    url, _ = server.ensure()
    do(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    pid = server_of(home / "postgres")
    assert pid is not None
    with psycopg.connect(url):
        os.kill(pid, signal.SIGKILL)
        # At once: the dead one's children may hold its shared memory still.
        url, started = server.ensure()
    assert started
    assert server_of(home / "postgres") != pid
    assert ask(url, "SELECT answer FROM kept") == 42
    server.crash()
    assert ask(server.ensure()[0], "SELECT answer FROM kept") == 42
    server.crash()


def test_a_number_that_another_process_has_by_now(server: EmbeddedPostgres, home: Path) -> None:
    server.ensure()
    left = (home / "postgres" / "postmaster.pid").read_text()
    server.crash()
    _, _, rest = left.partition("\n")
    with subprocess.Popen(["/bin/sleep", "60"]) as another:
        try:
            (home / "postgres" / "postmaster.pid").write_text(f"{another.pid}\n{rest}")
            assert not server.running()
            url, started = server.ensure()
            assert started
            assert ask(url, "SELECT 1") == 1
            assert another.poll() is None
        finally:
            another.kill()
    server.crash()


def test_a_server_that_ends_while_it_is_joined_is_started_again(
    server: EmbeddedPostgres,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.ensure()
    pid = server_of(home / "postgres")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    looks = [True]
    real = server.running
    monkeypatch.setattr(server, "running", lambda: looks.pop() if looks else real())
    url, started = server.ensure()
    assert (started, looks) == (True, [])
    assert ask(url, "SELECT 1") == 1
    server.crash()


def test_never_two_servers_on_one_cluster(
    server: EmbeddedPostgres,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedded, "_SETTLE_S", 0)
    url, _ = server.ensure()
    left = (home / "postgres" / "postmaster.pid").read_text()
    (home / "postgres" / "postmaster.pid").unlink()
    with pytest.raises(EmbeddedPostgresError, match="pre-existing shared memory block"):
        server.ensure()
    assert ask(url, "SELECT 1") == 1
    (home / "postgres" / "postmaster.pid").write_text(left)
    server.crash()


def test_starts_at_the_same_time_end_in_one_server(home: Path, start: Start) -> None:
    others = [start(home) for _ in range(4)]
    told = [other.told() for other in others]
    assert sorted(one["started"] for one in told) == [False, False, False, True]
    [url] = {one["url"] for one in told}
    assert ask(url, "SELECT count(*) FROM kept") == 4
    assert [other.end() for other in others] == [0] * 4
    assert not EmbeddedPostgres(home).running()
