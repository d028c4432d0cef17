"""A full disk, no connection to be had, a locked table: 503, no false 202, recovery by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from outbox.store.postgres_binaries import account_for, binaries, run
from outbox.store.postgres_cluster import cluster_of
from tests.faults import altered
from tests.faults.conftest import Begin
from tests.faults.load import Load, first_delivery, loading, recover, settle_up
from tests.faults.nursery import Nursery
from tests.faults.servers import Server, own_server, stack_on
from tests.faults.stack import Stack, wait_for
from tests.faults.table import Scenario

_MIB = 1024 * 1024
_CONNECTIONS = 60
_OURS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pruuf%'"
)
_PATIENCE_S = 1.5


def _small_segments(server: Server) -> None:
    """A log of files of 1 MiB, so that a limit of so much leaves it room, and the tables none."""
    server.embedded.stop()
    account = account_for(cluster_of(server.home))
    data = f"--pgdata={cluster_of(server.home)}"
    code, said = run(binaries(account) / "pg_resetwal", "--wal-segsize=1", data, account=account)
    assert code == 0, said
    server.start()


def _grow(server: Server) -> None:
    """Let the files of tables that only grow reach the limit; nothing of it is ever seen."""
    rows = 1400
    with psycopg.connect(server.url) as connection:
        connection.execute(
            "INSERT INTO event (shard, id, source, source_id, type, subject, occurred_at,"
            " content_hash, data) SELECT 0, uuidv7(), 'x', 'x', 'x', 'x', now(), '',"
            " repeat(md5(g::text), 24)::bytea FROM generate_series(1, %s) g",
            (rows,),
        )
        connection.execute(
            "INSERT INTO attempt (shard, notification, fence, step, try, channel, provider, result,"
            " detail, at, latency_ms) SELECT 0, uuidv7(), g, 0, 1, 'sms', 'twilio', 'accepted',"
            " repeat(md5(g::text), 24), now(), 0 FROM generate_series(1, %s) g",
            (rows,),
        )
        connection.rollback()


def _refuses(load: Load, *, at_least: int) -> None:
    """Wait until so many were refused, and nothing else happens."""
    before = load.answers[503]
    wait_for(lambda: load.answers[503] >= before + at_least, within_s=60, what="refusals")


def _recovers(stack: Stack, load: Load, row: Scenario) -> None:
    since = time.time()
    wait_for(lambda: first_delivery(stack, load, since) is not None, within_s=60, what="a delivery")
    row.recovered_s = max(row.recovered_s or 0.0, time.time() - since)


@pytest.mark.parametrize(
    "times",
    [pytest.param(1, id="once"), pytest.param(10, id="again and again", marks=pytest.mark.long)],
)
def test_the_disk_is_full(
    tmp_path: Path, data_dir: Path, nursery: Nursery, scenario: Begin, times: int
) -> None:
    row = scenario(number=15, name=f"disk full under load, times: {times}")
    with (
        own_server(data_dir, "full", autovacuum="off") as server,
        stack_on(server.url, tmp_path, nursery) as stack,
    ):
        _small_segments(server)
        processes = [*stack.start_edge(), stack.start_relay("relay")]
        with loading(stack, "full") as load:
            time.sleep(0.5)
            for _ in range(times):
                _grow(server)
                row.tries += 1
                server.limit_files(_MIB)
                _refuses(load, at_least=30)
                # What still finds room in a page is accepted, rightly: the judge looks for it.
                time.sleep(1.0)
                server.limit_files(-1)
                _recovers(stack, load, row)
        recover(stack, within_s=90)
        ended = [process.name for process in processes if process.poll() is not None]
        settle_up(stack, load, row)
        said = (server.home / "postgres.log").read_text()
    assert not ended, f"had to be restarted: {ended}"
    assert "could not extend file" in said


@contextmanager
def _hog(server: Server) -> Iterator[None]:
    """Another client takes every connection that comes free."""
    held: list[psycopg.Connection[tuple[object, ...]]] = []
    stop = threading.Event()

    def take() -> None:
        while not stop.is_set():
            with suppress(psycopg.OperationalError):
                held.append(psycopg.connect(server.url, application_name="hog"))
                continue
            stop.wait(0.005)

    thread = threading.Thread(target=take)
    with psycopg.connect(server.url, autocommit=True) as killer:
        thread.start()
        until = time.monotonic() + 30
        while len(held) < _CONNECTIONS - 8:
            killer.execute(_OURS)
            assert time.monotonic() < until, f"only {len(held)} connections taken"
            time.sleep(0.02)
        try:
            yield
        finally:
            stop.set()
            thread.join()
            for connection in held:
                connection.close()


def test_no_connection_is_to_be_had(
    tmp_path: Path, data_dir: Path, nursery: Nursery, scenario: Begin
) -> None:
    row = scenario(number=15, name="every connection taken by another client")
    with (
        own_server(data_dir, "taken", max_connections=_CONNECTIONS) as server,
        stack_on(server.url, tmp_path, nursery) as stack,
    ):
        processes = [*stack.start_edge(), stack.start_relay("relay")]
        with loading(stack, "taken") as load:
            time.sleep(0.5)
            with _hog(server):
                row.tries += 1
                _refuses(load, at_least=50)
            _recovers(stack, load, row)
        recover(stack, within_s=90)
        ended = [process.name for process in processes if process.poll() is not None]
        settle_up(stack, load, row)
    assert not ended, f"had to be restarted: {ended}"


def _locked(
    folder: Path, database_url: str, nursery: Nursery, row: Scenario, *, for_s: float
) -> None:
    with stack_on(database_url, folder, nursery) as stack:
        if for_s < 10:
            stack.environ[altered.PATIENCE] = str(_PATIENCE_S)
        # So that most wait for a turn, and few for the lock itself.
        stack.environ[altered.BATCH] = "4"
        processes = [*stack.start_edge(), stack.start_relay("relay")]
        with loading(stack, "locked", writers=40) as load:
            time.sleep(0.5)
            with psycopg.connect(database_url) as locker:
                locker.execute("LOCK TABLE event IN EXCLUSIVE MODE")
                locked = time.time()
                row.tries += 1
                time.sleep(for_s)
                assert load.accepts(locked + 0.2) is None
                assert load.answers[503] > 0, "nobody was refused"
            _recovers(stack, load, row)
        recover(stack, within_s=90)
        ended = [process.name for process in processes if process.poll() is not None]
        settle_up(stack, load, row)
    assert not ended, f"had to be restarted: {ended}"
    row.why = f"slowest answer {load.longest_s:.1f} s"
    assert load.longest_s < 45.0


def test_a_table_is_locked(
    tmp_path: Path, database_url: str, nursery: Nursery, scenario: Begin
) -> None:
    row = scenario(number=15, name="intake waits for a lock for 4 s")
    _locked(tmp_path, database_url, nursery, row, for_s=4.0)


@pytest.mark.long
def test_a_table_is_locked_for_longer_than_a_transaction_may_take(
    tmp_path: Path, database_url: str, nursery: Nursery, scenario: Begin
) -> None:
    row = scenario(number=15, name="intake waits for a lock for 40 s")
    _locked(tmp_path, database_url, nursery, row, for_s=40.0)
