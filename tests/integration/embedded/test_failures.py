"""The embedded Postgres refuses and explains: what is not ours, folders, accounts."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from outbox.store import postgres_binaries
from outbox.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
from outbox.store.postgres_process import server_of
from tests.conftest import held_folder, reap
from tests.integration.embedded.others import Start, ask, modes, needs_root

_ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("content", "said"),
    [({}, "holds no Postgres cluster"), ({"PG_VERSION": "17\n"}, "was made by Postgres 17")],
)
def test_what_is_not_ours_is_refused_and_kept(
    home: Path,
    content: dict[str, str],
    said: str,
) -> None:
    cluster = home / "postgres"
    cluster.mkdir(parents=True)
    (cluster / "precious").write_text("yes")
    for name, text in content.items():
        (cluster / name).write_text(text)
    if os.geteuid() == 0:
        os.chown(cluster, 65_534, 65_534)
    with pytest.raises(EmbeddedPostgresError, match=said) as caught:
        EmbeddedPostgres(home).ensure()
    assert "DATABASE_URL" in caught.value.remedy
    assert (cluster / "precious").read_text() == "yes"


def test_a_failure_shows_the_servers_own_words(server: EmbeddedPostgres, home: Path) -> None:
    server.ensure()
    server.stop()
    with (home / "postgres" / "postgresql.conf").open("a") as file:
        file.write("shared_buffers = plenty\n")
    with pytest.raises(EmbeddedPostgresError) as caught:
        server.ensure()
    assert 'invalid value for parameter "shared_buffers": "plenty"' in caught.value.said
    assert str(home / "postgres.log") in caught.value.remedy


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedPostgresError, match="cannot be used") as caught:
        EmbeddedPostgres(tmp_path / "file" / "data").ensure()
    assert "PRUUF_DATA_DIR" in caught.value.remedy


def test_a_killed_run_of_tests_leaves_nothing(data_dir: Path) -> None:
    dead = data_dir / "pruuf-tests-dead"
    dead.mkdir()
    if os.geteuid() == 0:
        dead.chmod(0o711)
    (dead / "held.lock").touch()
    left = EmbeddedPostgres(dead / "own" / "data")
    url, _ = left.ensure()
    with held_folder() as folder:
        reap(folder.parent)
        assert folder.exists()
    reap(data_dir)
    assert not dead.exists()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(url)


@needs_root
def test_root_runs_it_as_somebody_else(server: EmbeddedPostgres, home: Path) -> None:
    before = modes(home.parent)
    server.ensure()
    pid = server_of(home / "postgres")
    status = Path(f"/proc/{pid}/status").read_text()
    [uids] = [line.split()[1:] for line in status.splitlines() if line.startswith("Uid:")]
    assert "0" not in uids
    assert modes(home.parent) == before
    assert (home.stat().st_mode & 0o777, home.stat().st_uid) == (0o711, 0)
    server.crash()


@needs_root
def test_an_ordinary_user_runs_it_as_himself(home: Path, start: Start) -> None:
    folder = home.parent / "of-nobody"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65_534, 65_534)
    before = modes(folder)
    for turn in (1, 2):
        other = start(folder / ".pruuf", "nobody")
        told = other.told()
        assert "error" not in told
        assert (told["started"], told["uid"]) == (True, 65_534)
        assert ask(told["url"], "SELECT count(*) FROM kept WHERE who = 65534") == turn
        pid = server_of(folder / ".pruuf" / "postgres")
        assert Path(f"/proc/{pid}").stat().st_uid == 65_534
        assert other.end() == 0
        assert server_of(folder / ".pruuf" / "postgres") is None
    assert modes(folder) == before
    made = (folder / ".pruuf").stat()
    assert (made.st_mode & 0o777, made.st_uid) == (0o700, 65_534)


@needs_root
def test_the_owner_of_a_cluster_keeps_running_it(home: Path) -> None:
    cluster = home / "postgres"
    cluster.mkdir(parents=True)
    for uid in (65_534, 1):
        os.chown(cluster, uid, -1)
        account = postgres_binaries.account_for(cluster)
        assert account is not None
        assert account.uid == uid
    os.chown(cluster, 0, 0)
    with pytest.raises(EmbeddedPostgresError, match="belongs to root"):
        EmbeddedPostgres(home)


@needs_root
def test_a_narrow_umask_does_not_shut_it_out(home: Path) -> None:
    before = os.umask(0o077)
    try:
        server = EmbeddedPostgres(home / "deeper" / "still")
        server.ensure()
    finally:
        os.umask(before)
    server.crash()


@needs_root
def test_a_closed_folder_is_named_and_stays_closed(home: Path) -> None:
    closed = home.parent / "closed"
    closed.mkdir(mode=0o700)
    before = modes(closed)
    with pytest.raises(EmbeddedPostgresError) as caught:
        EmbeddedPostgres(closed / "data").ensure()
    assert f"{closed} is closed to" in caught.value.remedy
    assert "PRUUF_DATA_DIR" in caught.value.remedy
    assert modes(closed) == before
    assert not list((closed / "data").glob(".initial-*"))


@needs_root
def test_programs_in_a_closed_folder_are_copied(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed, reachable = home.parent / "closed", home.parent / "reachable"
    installed = postgres_binaries._installed()
    package = closed / installed.name
    shutil.copytree(installed, package)
    libraries = f"{installed.name}.libs"
    with suppress(FileNotFoundError):
        shutil.copytree(installed.with_name(libraries), closed / libraries)
    for path in [closed, *closed.rglob("*")]:
        # As a umask of 077 leaves it.
        path.chmod(path.stat().st_mode & 0o700)
    before = modes(package / "pginstall" / "bin" / "initdb")
    monkeypatch.setattr(postgres_binaries, "_installed", lambda: package)
    monkeypatch.setattr(postgres_binaries, "ROOT_HOME", reachable)
    postgres_binaries.binaries.cache_clear()
    try:
        server = EmbeddedPostgres(home)
        url, _ = server.ensure()
        assert ask(url, "SELECT 1") == 1
        pid = server_of(home / "postgres")
        assert reachable in Path(f"/proc/{pid}/exe").readlink().parents
        server.crash()
    finally:
        postgres_binaries.binaries.cache_clear()
    assert modes(package / "pginstall" / "bin" / "initdb") == before
    [copy] = reachable.iterdir()
    assert copy.name == f"binaries-{postgres_binaries.version()}"
