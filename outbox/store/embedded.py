"""The embedded Postgres: the same engine as anywhere, from a wheel, started on first use.

Drives the wheel's own programs; as root they run as an unprivileged user. Data survives restarts
and crashes, starts at the same time end in one server, and nothing that holds data is deleted.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import psycopg
from psycopg import errors, sql

from outbox.datafolder import make_data_dir
from outbox.store.postgres_binaries import (
    ELSEWHERE,
    EmbeddedPostgresError,
    account_for,
    binaries,
    run,
)
from outbox.store.postgres_cluster import (
    SUPERUSER,
    check_version,
    cluster_of,
    make_cluster,
    password_of,
)
from outbox.store.postgres_process import (
    free_port,
    port_of,
    private,
    server_of,
    signal_all,
    taken,
)

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError"]

_DATABASE = "pruuf"
_START_S = 60
_LOCK_S = 180
_SETTLE_S = 15
_LOG_BYTES = 16 * 1024 * 1024
_LOG_LINES = 8
# What a start may say that is over in a moment: children of a killed server that still end, and a
# port that somebody took since we looked.
_PASSING = ("pre-existing shared memory block", "could not create any TCP/IP sockets")
_ENDED = "the server ended right after its start"
_SILENT = "the server takes no connections"

Say = Callable[[str], None]
Mode = Literal["smart", "fast", "immediate"]


def _quiet(_: str) -> None:
    return None


class EmbeddedPostgres:
    """One data folder and the server that may run on it."""

    def __init__(self, data_dir: Path, *, say: Say = _quiet) -> None:
        """``data_dir`` is ours; the cluster lives in ``postgres`` below it."""
        self._home = data_dir.resolve()
        self._data = cluster_of(self._home)
        self._log = self._home / "postgres.log"
        self._say = say
        self._account = account_for(self._data)
        self._use: int | None = None
        self._started = False

    def ensure(self) -> tuple[str, bool]:
        """Start it unless it runs; returns its URL and whether this call started it.

        Safe against others doing the same at the same time. Until `leave` or the end of this
        process, the `leave` of another process keeps the server running.
        """
        try:
            make_data_dir(self._home)
            with self._locked():
                if not self._data.exists():
                    self._say("making the embedded database (once)")
                    make_cluster(self._home, self._account)
                check_version(self._data)
                # One that runs may be about to end: somebody has just killed or stopped it.
                started = not (self.running() and self._came_up())
                if started:
                    self._say("starting the embedded database")
                    self._start()
                    if not self._came_up():
                        raise self._failure(_ENDED, "")
                self._started = started or self._started
                self._join()
                return self.url(), started
        except OSError as error:
            what = f"{error.filename or self._home} cannot be used: {error.strerror}"
            remedy = f"Free the disk, set PRUUF_DATA_DIR to a folder of yours, {ELSEWHERE}"
            raise EmbeddedPostgresError(what, remedy=remedy) from error

    def running(self) -> bool:
        """Whether a server runs on this folder; a file left by a dead one does not count."""
        return server_of(self._data) is not None

    def leave(self) -> None:
        """End the use that `ensure` began; stops the server if that is for us to do.

        It is when the server was started here and nobody else uses it. If others still do, the
        last of them to leave stops it.
        """
        with self._locked():
            ours = self._home / "postgres.ours"
            if self._started:
                ours.touch(mode=0o600)
            self._release()
            if ours.exists() and not self._in_use():
                self._stop("fast")

    def stop(self, *, mode: Mode = "fast") -> None:
        """Stop the server, whoever uses it; does nothing when none runs."""
        with self._locked():
            self._release()
            self._stop(mode)

    def crash(self) -> None:
        """Stop it without writing anything down; the next start recovers from that."""
        self.stop(mode="immediate")

    def pause(self) -> None:
        """Freeze the server's processes, for tests of a database that hangs."""
        if (pid := server_of(self._data)) is not None:
            signal_all(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let the frozen processes go on."""
        if (pid := server_of(self._data)) is not None:
            signal_all(pid, signal.SIGCONT)

    def url(self) -> str:
        """Address of the running server's database."""
        return self._url(_DATABASE)

    def _url(self, name: str) -> str:
        server = f"127.0.0.1:{port_of(self._data)}"
        # A PGSSLMODE that was meant for another server must not turn us away from this one.
        return f"postgresql://{SUPERUSER}:{password_of(self._home)}@{server}/{name}?sslmode=disable"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        path = self._home / "postgres.lock"
        until = time.monotonic() + _LOCK_S
        told = False
        with private(path) as lock:
            while not taken(lock, fcntl.LOCK_EX):
                if not told:
                    self._say("waiting for another start of the embedded database")
                    told = True
                if time.monotonic() > until:
                    what = f"somebody else has held {path} for {_LOCK_S} s"
                    raise EmbeddedPostgresError(what, remedy=f"See who: fuser {path}; {ELSEWHERE}")
                time.sleep(0.05)
            yield

    def _join(self) -> None:
        # A bare descriptor: who never leaves keeps the lock to the end of the process.
        if self._use is None:
            self._use = os.open(self._home / "postgres.users", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._use, fcntl.LOCK_SH)

    def _release(self) -> None:
        self._started = False
        if self._use is not None:
            os.close(self._use)
            self._use = None

    def _in_use(self) -> bool:
        # Locks of dead processes are gone: one that was killed keeps no server running.
        with private(self._home / "postgres.users") as users:
            return not taken(users, fcntl.LOCK_EX)

    def _start(self) -> None:
        (self._home / "postgres.ours").unlink(missing_ok=True)
        # Of a dead server: its number may belong to another process by now, which Postgres would
        # take for a server. One that still ends is noticed by its shared memory.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        self._prepare_log()
        until = time.monotonic() + _SETTLE_S
        while True:
            before = self._log.stat().st_size
            try:
                self._pg_ctl(
                    "start",
                    f"--log={self._log}",
                    f"--options=-p {self._port()} -c unix_socket_directories=''",
                )
            except EmbeddedPostgresError:
                said = self._log.read_bytes()[before:].decode(errors="replace")
                if time.monotonic() > until or not any(words in said for words in _PASSING):
                    raise
                time.sleep(0.1)
            else:
                return

    def _stop(self, mode: Mode) -> None:
        if self.running():
            self._pg_ctl("stop", f"--mode={mode}")

    def _pg_ctl(self, verb: str, *arguments: str) -> None:
        waiting = ("--wait", f"--timeout={_START_S}")
        code, said = run(
            binaries(self._account) / "pg_ctl",
            verb,
            f"--pgdata={self._data}",
            *waiting,
            *arguments,
            account=self._account,
        )
        if code != 0:
            what = f"pg_ctl {verb} failed"
            raise self._failure(what, said)

    def _prepare_log(self) -> None:
        if self._log.exists() and self._log.stat().st_size > _LOG_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        if not self._log.exists():
            private(self._log).close()
            if self._account is not None:
                os.chown(self._log, self._account.uid, self._account.gid)

    def _port(self) -> int:
        """The port of the last start while it is free, so that open clients find it again."""
        kept = self._home / "postgres.port"
        last = kept.read_text().strip() if kept.exists() else "0"
        port = free_port(int(last) if last.isdigit() else 0)
        kept.write_text(f"{port}\n")
        return port

    def _came_up(self) -> bool:
        """Wait until the server takes connections, and make the database unless it is there.

        False when the server ends instead. It may be another one's start that was cut short, and
        recover still.
        """
        until = time.monotonic() + _START_S
        while True:
            try:
                self._make_database()
            except psycopg.OperationalError as error:
                if isinstance(error, errors.InvalidPassword) or time.monotonic() > until:
                    raise self._failure(_SILENT, str(error)) from error
                if not self.running():
                    return False
                time.sleep(0.05)
            else:
                return True

    def _make_database(self) -> None:
        url = self._url("postgres")
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
            found = connection.execute("SELECT FROM pg_database WHERE datname = %s", (_DATABASE,))
            if found.fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_DATABASE)))

    def _failure(self, what: str, said: str) -> EmbeddedPostgresError:
        lines = said.splitlines()[-_LOG_LINES:]
        if self._log.exists():
            lines += self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        remedy = f"Mend what is named above (all of it: {self._log}), {ELSEWHERE}"
        return EmbeddedPostgresError(
            f"{what} on {self._data}",
            said="\n".join(lines),
            remedy=remedy,
        )
