"""Fixtures of the tests of the embedded Postgres: folders, servers and other users of their own."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from outbox.store.embedded import EmbeddedPostgres
from outbox.store.postgres_process import server_of
from tests.integration.embedded.others import Other, Start


@pytest.fixture
def home(data_dir: Path) -> Iterator[Path]:
    """A data folder of this test's own; whatever runs on it is stopped."""
    folder = Path(tempfile.mkdtemp(prefix="own-", dir=data_dir))
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    yield folder / "data"
    if (pid := server_of(folder / "data" / "postgres")) is not None:
        os.kill(pid, signal.SIGQUIT)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def server(home: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(home)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts such processes, and ends those that a failed test left."""
    with ExitStack() as started:

        def begin(home: Path, *user: str) -> Other:
            other = Other(home, *user)
            started.enter_context(other.process)
            started.callback(other.process.kill)
            return other

        yield begin
