"""One embedded Postgres per run, a migrated template, a clone of it per test; loopback only."""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import os
import shutil
import signal
import socket
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import hypothesis
import psycopg
import pytest
from psycopg import sql

from outbox.datafolder import ROOT_HOME, make_data_dir
from outbox.providers.transport import Answer, PooledTransport
from outbox.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
from outbox.store.migrate import migrate

pytest_plugins = ["tests.faults.table"]

_TEMPLATE = "pruuf_template"
_PREFIX = "pruuf-tests-"
_HELD = "held.lock"
_ROOM = 6 * 1024**3
"""Bytes that the databases of a run may need, with all of its workers."""
_NOBODY = "http://127.0.0.1:9"
"""A proxy that is not there: whoever asks for an address outside is refused at once."""

# On a loaded machine any example may take long; the rest stays as the surroundings choose it.
hypothesis.settings.register_profile("unhurried", hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """What the processes run on."""
    return "asyncio"


def _is_near(host: object) -> bool:
    name = host.decode(errors="replace") if isinstance(host, bytes) else str(host or "")
    if name in {"", "localhost"}:
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


@pytest.fixture(scope="session", autouse=True)
def only_loopback() -> Iterator[None]:
    """A test that reaches for the network fails, with the address.

    Guarded are Python's sockets, our own native client, and every client that honours a proxy, in
    child processes too. What children send with our client, their settings have to point here.
    """
    real_connect, real_connect_ex = socket.socket.connect, socket.socket.connect_ex
    real_getaddrinfo, real_request = socket.getaddrinfo, PooledTransport.request

    def check(address: Any) -> None:  # noqa: ANN401 - as the socket module has it
        if isinstance(address, tuple) and not _is_near(address[0]):
            msg = f"tests reach loopback only, not {address[0]}"
            raise PermissionError(msg)

    def connect(self: socket.socket, address: Any) -> None:  # noqa: ANN401
        check(address)
        real_connect(self, address)

    def connect_ex(self: socket.socket, address: Any) -> int:  # noqa: ANN401
        check(address)
        return real_connect_ex(self, address)

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        check((host,))
        return real_getaddrinfo(host, *arguments, **options)

    async def request(self: PooledTransport, method: str, url: str, **rest: Any) -> Answer:  # noqa: ANN401
        check((urlsplit(url).hostname,))
        return await real_request(self, method, url, **rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PooledTransport, "request", request)
        patch.setattr(socket.socket, "connect", connect)
        patch.setattr(socket.socket, "connect_ex", connect_ex)
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            patch.setenv(name, _NOBODY)
            patch.setenv(name.lower(), _NOBODY)
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "127.0.0.1,localhost,::1")
        # What libpq would take from the surroundings of this run.
        for name in [name for name in os.environ if name.startswith("PG")]:
            patch.delenv(name)
        yield


def reap(home: Path) -> None:
    """Remove folders of runs that were killed, and stop the servers that they left behind."""
    for held in home.glob(f"{_PREFIX}*/{_HELD}"):
        # Held by a run that lives, somebody else's, or not to be stopped: it stays.
        with contextlib.suppress(OSError, EmbeddedPostgresError), held.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for left in held.parent.rglob("postmaster.pid"):
                EmbeddedPostgres(left.parent.parent).crash()
            shutil.rmtree(held.parent, ignore_errors=True)


def _in_memory() -> Path | None:
    """Where files lie in memory, if there is room: to make a database there costs a tenth.

    Thousands are made in a run. Processes are killed in it, and no machine.
    """
    memory = Path("/dev/shm")
    if not memory.is_dir() or shutil.disk_usage(memory).free < _ROOM:
        return None
    known = Path("/proc/meminfo").read_text(encoding="ascii")
    available = int(known.partition("MemAvailable:")[2].split()[0]) * 1024
    return memory / f"pruuf-{os.geteuid()}" if available > 2 * _ROOM else None


@contextlib.contextmanager
def held_folder(home: Path | None = None) -> Iterator[Path]:
    """A folder that Postgres' user may reach, gone at the end; after a kill, at the next run.

    ``home`` is where; null: on the disk.
    """
    home = home or (ROOT_HOME if os.geteuid() == 0 else Path(tempfile.gettempdir()))
    make_data_dir(home)
    reap(home)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=home))
    if os.geteuid() == 0:
        folder.chmod(0o711)
    with (folder / "draft.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Renamed once it is locked: nobody finds it free in between.
        (folder / "draft.lock").rename(folder / _HELD)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def data_dir() -> Iterator[Path]:
    """A folder for the run's databases."""
    with held_folder(_in_memory()) as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres(data_dir: Path) -> Iterator[EmbeddedPostgres]:
    """The run's server; tests that stop or crash servers start their own."""
    server = EmbeddedPostgres(data_dir)
    url, _ = server.ensure()
    with psycopg.connect(url, autocommit=True) as connection:
        # Hundreds of databases are made and dropped: only a power cut would tell the difference.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("ALTER SYSTEM SET max_wal_size = '256MB'")
        connection.execute("SELECT pg_reload_conf()")
    yield server
    server.crash()


def _named(url: str, name: str) -> str:
    return url.rpartition("/")[0] + "/" + name


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> str:
    """The server's address, once it has a migrated database that nobody connects to."""
    url = postgres.url()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)))
    migrate(_named(url, _TEMPLATE))
    return url


@pytest.fixture
def database_url(template: str) -> Iterator[str]:
    """A fresh migrated database of this test's own."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(template, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name),
                sql.Identifier(_TEMPLATE),
            ),
        )
    yield _named(template, name)
    with psycopg.connect(template, autocommit=True) as connection:
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)),
        )


def pytest_configure() -> None:
    """A terminated run still takes its servers and folders with it."""

    def terminated(number: int, _: object) -> NoReturn:
        pytest.exit(f"ended by {signal.Signals(number).name}", returncode=128 + number)

    signal.signal(signal.SIGTERM, terminated)


_LONGEST = frozenset({"test_demo.py", "test_billing_year.py", "test_api_schemathesis.py"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, or the other processes would wait for it at the end."""
    items.sort(key=lambda item: item.path.name not in _LONGEST)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:  # noqa: ANN401
    """In CI nothing may be skipped: a skip there is a missing install step."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Any:  # noqa: ANN401
    """Nor may a whole file be."""
    report = yield
    if report.skipped:
        _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped in CI: {report.longrepr}"
