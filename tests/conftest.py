"""One embedded Postgres per run, a migrated template, a clone of it per test; loopback only."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from outbox.store.embedded import EmbeddedPostgres
from outbox.store.migrate import migrate

_TEMPLATE = "pruuf_template"


@pytest.fixture(scope="session", autouse=True)
def only_loopback() -> Iterator[None]:
    """A test that reaches for the network fails, with the address."""
    real = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:  # noqa: ANN401 - as the socket module has it
        host = address[0] if isinstance(address, tuple) else "unix"
        if host not in {"unix", "127.0.0.1", "::1", "localhost"}:
            msg = f"tests reach loopback only, not {host}"
            raise PermissionError(msg)
        real(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


@pytest.fixture(scope="session")
def data_dir() -> Iterator[Path]:
    """A folder for the embedded database that its user may reach."""
    if os.geteuid() == 0:
        home = Path("/var/lib/pruuf")
        home.mkdir(mode=0o711, parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="tests-", dir=home))
        folder.chmod(0o711)
    else:
        folder = Path(tempfile.mkdtemp(prefix="pruuf-tests-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(data_dir: Path) -> Iterator[EmbeddedPostgres]:
    """The run's server; tests that stop or crash servers start their own."""
    server = EmbeddedPostgres(data_dir)
    server.ensure()
    yield server
    server.stop(mode="immediate")


def _named(url: str, name: str) -> str:
    return url.rpartition("/")[0] + "/" + name


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> str:
    """A migrated database that nobody connects to."""
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
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                sql.Identifier(name),
                sql.Identifier(_TEMPLATE),
            ),
        )
    yield _named(template, name)
    with psycopg.connect(template, autocommit=True) as connection:
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)),
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:  # noqa: ANN401
    """In CI nothing may be skipped: a skip there is a missing install step."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped in CI: {report.longrepr}"
    return report
