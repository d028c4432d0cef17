"""Postgres servers of a test's own, which it may crash, fill, lose and promote."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from outbox.store.embedded import EmbeddedPostgres
from outbox.store.migrate import migrate
from outbox.store.postgres_binaries import account_for, binaries, run
from outbox.store.postgres_cluster import cluster_of
from outbox.store.postgres_process import server_of
from tests.faults.nursery import Brood, Nursery
from tests.faults.stack import Stack, wait_for

_PATIENCE_S = 60.0


class Server:
    """One server and its migrated database."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.embedded = EmbeddedPostgres(home)

    @property
    def url(self) -> str:
        """Of its database."""
        return self.embedded.url()

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    def start(self) -> None:
        """Start it; returns when it takes connections."""
        self.embedded.ensure()

    def crash(self) -> None:
        """Stop it as a crash does: no checkpoint, connections just end."""
        self.embedded.crash()

    def execute(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        """One statement of its owner's."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(query, arguments or None)
            return cursor.fetchall() if cursor.description else []

    def configure(self, **settings: str | int) -> None:
        """Change settings; those that need a restart wait for one."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            for name, value in settings.items():
                change = sql.SQL("ALTER SYSTEM SET {} = {}")
                connection.execute(change.format(sql.Identifier(name), sql.Literal(str(value))))
            connection.execute("SELECT pg_reload_conf()")

    def limit_files(self, most: int) -> None:
        """No process of the server may make a file longer than so many bytes; -1 for no limit.

        A full disk, for data files: writes are refused in the middle of work. Needs no mount, no
        quota and no root, and can be taken back.
        """
        cluster = cluster_of(self.home)
        server = server_of(cluster)
        assert server is not None, "no server runs"
        program = shutil.which("prlimit")
        assert program is not None, "prlimit is missing: it comes with util-linux"
        limit = "unlimited" if most < 0 else str(most)
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        # As the server's own user, who may do so everywhere: root in a container may not.
        for pid in [str(server), *children]:
            code, said = run(
                Path(program),
                f"--pid={pid}",
                f"--fsize={limit}:unlimited",
                account=account_for(cluster),
            )
            assert code == 0 or not Path(f"/proc/{pid}").exists(), said


@contextmanager
def own_server(data_dir: Path, name: str, **settings: str | int) -> Iterator[Server]:
    """A migrated server, gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=data_dir))
    folder.chmod(0o711)
    server = Server(folder)
    try:
        server.start()
        # Processes are killed here, no machine: what the kernel has is not lost.
        server.configure(fsync="off", **settings)
        if settings:
            server.embedded.stop()
            server.start()
        migrate(server.url)
        yield server
    finally:
        server.crash()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def stack_on(url: str, folder: Path, nursery: Nursery) -> Iterator[Stack]:
    """Processes of this test's own on a server of its own."""
    with Brood(nursery) as children:
        yield Stack(folder, url, children)


class Standby:
    """A synchronous standby of a server, in a folder beside it."""

    def __init__(self, primary: Server, home: Path) -> None:
        self._primary = primary
        self.server = Server(home)

    def begin(self) -> None:
        """Copy the primary, follow it, and let it wait for us at each commit."""
        home, primary = self.server.home, self._primary
        cluster = cluster_of(home)
        account = account_for(cluster_of(primary.home))
        for path in (home, cluster):
            path.mkdir(mode=0o711 if path == home else 0o700, exist_ok=True)
            if account is not None and path == cluster:
                shutil.chown(path, account.uid, account.gid)
        shutil.copy(primary.home / "postgres.password", home / "postgres.password")
        address = f"{primary.url}&application_name=standby"
        code, said = run(
            binaries(account) / "pg_basebackup",
            f"--dbname={address}",
            f"--pgdata={cluster}",
            "--checkpoint=fast",
            "--write-recovery-conf",
            "--no-sync",
            account=account,
        )
        assert code == 0, said
        # Its own settings: as a primary it has nobody to wait for.
        with (cluster / "postgresql.auto.conf").open("a") as settings:
            settings.write("synchronous_standby_names = ''\n")
        self._start_as_standby()
        primary.configure(synchronous_standby_names="standby")
        wait_for(self.synchronous, within_s=_PATIENCE_S, what="a synchronous standby")

    def _start_as_standby(self) -> None:
        self.server.embedded._start()

    def synchronous(self) -> bool:
        """Whether commits wait for it."""
        rows = self._primary.execute("SELECT sync_state FROM pg_stat_replication")
        return rows == [("sync",)]

    def promote(self) -> None:
        """Make it the primary; returns when it takes writes."""
        self.server.execute("SELECT pg_promote(true)")


@contextmanager
def with_standby(primary: Server, data_dir: Path) -> Iterator[Standby]:
    """A standby of this server, gone at the end."""
    home = Path(tempfile.mkdtemp(prefix="standby-", dir=data_dir))
    home.chmod(0o711)
    standby = Standby(primary, home)
    try:
        standby.begin()
        yield standby
    finally:
        standby.server.crash()
        shutil.rmtree(home, ignore_errors=True)


def both(first: Server, second: Server) -> str:
    """One address that names two servers."""
    one, other = urlsplit(first.url), urlsplit(second.url)
    hosts = f"{one.hostname}:{one.port},{other.hostname}:{other.port}"
    user = one.netloc.rpartition("@")[0]
    return f"postgresql://{user}@{hosts}{one.path}?{one.query}"
