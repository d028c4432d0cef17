"""The ground of one run: a Postgres of its own that keeps its promises, and the processes on it."""

from __future__ import annotations

import os
import platform
import secrets
import subprocess
import sys
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from gateway.cli.supervisor import Child, Process, Supervisor
from gateway.demo.stack import StackError, free_port, wait_until_answers
from outbox.settings import NAMES
from outbox.simulators.environment import environment
from outbox.store import keys
from outbox.store.connect import owner_engine
from outbox.store.embedded import EmbeddedPostgres
from outbox.store.keys import Scope
from outbox.store.migrate import migrate
from outbox.store.postgres_binaries import account_for, binaries
from outbox.store.postgres_cluster import cluster_of
from tests.benchmarks import usage
from tests.benchmarks.figures import Machine
from tests.conftest import held_folder

ROOT = Path(__file__).resolve().parents[2]
_DURABILITY = ("fsync", "synchronous_commit", "full_page_writes", "wal_sync_method")
_TEMPLATE = "bench_template"
_END_S = 25.0
_TOOL_S = 120.0

LONGEST_S = 10.0
"""Where nothing was done in a round, it is repeated twice as long, up to about this."""


class InvalidRunError(Exception):
    """What was measured is not what was meant; there is no figure."""


class Ground:
    """Databases and processes of a run; nothing of it is left at the end."""

    def __init__(self, folder: Path, server: EmbeddedPostgres, children: Supervisor) -> None:
        """``server`` runs; its databases are made here."""
        self.folder = folder
        self._server = server
        self._children = children
        self._secrets = {
            name: urlsafe_b64encode(secrets.token_bytes(32)).decode()
            for name in ("PRUUF_KEYS", "PRUUF_LOOKUP_KEYS")
        }
        self.running: list[Process] = []
        self.postgres_pid = int(
            (cluster_of(folder) / "postmaster.pid").read_text().splitlines()[0],
        )
        self._owner = server.url()
        self._create(_TEMPLATE)
        migrate(self.url(_TEMPLATE))
        with owner_engine(self.url(_TEMPLATE)).begin() as connection:
            self.key = keys.create(connection, name="bench", scopes=list(Scope)).secret

    # Databases

    def url(self, database: str) -> str:
        """Address of one of the databases."""
        return self._owner.rpartition("/")[0] + f"/{database}?sslmode=disable"

    def program(self, name: str) -> Path:
        """One of the programs that come with the embedded Postgres."""
        return binaries(account_for(cluster_of(self.folder))) / name

    def database(self, template: str = _TEMPLATE) -> str:
        """A fresh migrated database, or a copy of another that nobody uses; returns its name."""
        name = f"bench_{uuid.uuid4().hex[:12]}"
        self._create(name, template)
        return name

    def _create(self, name: str, template: str = "template1") -> None:
        self.execute(
            self._owner,
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name),
                sql.Identifier(template),
            ),
        )

    def drop(self, name: str) -> None:
        """Drop a database, whoever is connected."""
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        self.execute(self._owner, statement.format(sql.Identifier(name)))

    @staticmethod
    def execute(url: str, statement: sql.Composed | sql.SQL) -> None:
        """Run one statement as the owner."""
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)

    def value(self, database: str, query: str, *arguments: object) -> Any:  # noqa: ANN401 - a column
        """First column of the first row."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            row = connection.execute(query.encode(), arguments).fetchone()
        return None if row is None else row[0]

    def written(self, database: str) -> tuple[float, float]:
        """Bytes of WAL and writing transactions of the server so far."""
        query = (
            "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 || ' '"
            " || pg_snapshot_xmax(pg_current_snapshot())::text"
        )
        wal, transactions = str(self.value(database, query)).split()
        return float(wal), float(transactions)

    def checkpoint(self) -> None:
        """Begin a round like every other: each pays for its own first touch of each page."""
        self.execute(self._owner, sql.SQL("CHECKPOINT"))

    # Processes

    def environ(self, database: str, *, providers: str, port: int = 0) -> dict[str, str]:
        """Settings of a process on this database; nothing of the surrounding ones gets in."""
        return {
            **{name: value for name, value in os.environ.items() if name not in NAMES},
            **environment(base_url=providers, folder=self.folder / "accounts"),
            **self._secrets,
            "DATABASE_URL": self.url(database),
            "PRUUF_DATA_DIR": str(self.folder / "data"),
            "PRUUF_PORT": str(port),
            "PRUUF_PUBLIC_URL": f"http://127.0.0.1:{port or 8080}",
            "PRUUF_OPERATOR_WEBHOOK": f"{providers}/operator",
            "PRUUF_RELAY_METRICS_PORT": "0",
        }

    def start(self, name: str, command: list[str], environ: Mapping[str, str]) -> Process:
        """Start a process; its log is ``<name>.log``."""
        process = self._children.start(
            Child(
                name=name,
                command=command,
                environ=environ,
                cwd=str(ROOT),
                log=str(self.folder / f"{name}.log"),
            ),
        )
        self.running.append(process)
        return process

    def wait(self, process: Process, url: str) -> None:
        """Wait until a process answers; raises `InvalidRunError` with its last words."""
        log = self.folder / f"{process.name}.log"
        try:
            wait_until_answers(url, process, log)
        except StackError as error:
            # The log is gone with the folder, so its end is shown.
            msg = f"{error}\n{log.read_text(errors='replace')[-2000:]}"
            raise InvalidRunError(msg) from error

    def module(self, name: str, *arguments: str) -> list[str]:
        """Command of one of our own modules."""
        return [sys.executable, "-m", name, *arguments]

    def gateway(self, database: str, *, providers: str) -> tuple[Process, str]:
        """``pruuf gateway``, ready to accept; with its address."""
        port = free_port(0)
        address = f"http://127.0.0.1:{port}"
        environ = self.environ(database, providers=providers, port=port)
        gateway = self.start("gateway", self.module("gateway.cli.main", "gateway"), environ)
        self.wait(gateway, f"{address}/readyz")
        return gateway, address

    def relay(self, database: str, *, providers: str) -> Process:
        """``pruuf relay``, at work."""
        port = free_port(0)
        environ = self.environ(database, providers=providers)
        environ["PRUUF_RELAY_METRICS_PORT"] = str(port)
        relay = self.start("relay", self.module("gateway.cli.main", "relay"), environ)
        self.wait(relay, f"http://127.0.0.1:{port}/metrics")
        return relay

    def end(self, process: Process) -> None:
        """End a process in order, or at once when it takes too long."""
        self.running.remove(process)
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()

    @staticmethod
    def tool(command: list[str], environ: Mapping[str, str], within_s: float = _TOOL_S) -> str:
        """Run a tool to its end; returns what it printed, raises with what it complained of."""
        # The command is ours; what fails is shown whole, for the figure is worth nothing then.
        done = subprocess.run(
            command,
            env={**os.environ, **environ},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()[-2000:]
            msg = f"{Path(command[0]).name} failed with exit code {done.returncode}: {said}"
            raise InvalidRunError(msg)
        return done.stdout

    def ours_cpu_s(self) -> float | None:
        """CPU seconds of all that belongs to this run."""
        return usage.total(
            [
                usage.own_cpu_s(),
                usage.family_cpu_s(self.postgres_pid),
                *(usage.cpu_s(process.pid) or 0.0 for process in self.running),
            ],
        )

    def machine(self) -> Machine:
        """Where this runs; raises `InvalidRunError` when a commit would not wait for the disk."""
        durability = {name: self.value(_TEMPLATE, f"SHOW {name}") for name in _DURABILITY}
        if durability["fsync"] != "on" or durability["synchronous_commit"] != "on":
            msg = f"the database promises nothing: {durability}"
            raise InvalidRunError(msg)
        return Machine(
            cores=len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1,
            processor=usage.processor(),
            memory_gib=usage.memory_gib(),
            system=f"{platform.system()} {platform.release().partition('-')[0]}",
            filesystem=usage.filesystem(self.folder),
            python=platform.python_version(),
            postgres=str(self.value(_TEMPLATE, "SHOW server_version")),
            durability=durability,
        )


@contextmanager
def open_ground() -> Iterator[Ground]:
    """Start a Postgres in a temporary folder; afterwards nothing runs and nothing is left."""
    with held_folder() as folder:
        server = EmbeddedPostgres(folder)
        server.ensure()
        try:
            with Supervisor() as children:
                yield Ground(folder, server, children)
        finally:
            server.crash()
