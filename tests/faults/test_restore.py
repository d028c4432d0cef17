"""The database is lost and restored to a point in time, as the runbook has it: the audit is clean.

What was sent after that moment is not known to the restored database, but to Twilio: its list is
read before the first relay starts, so that nobody is texted twice.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from outbox.store.postgres_binaries import account_for, binaries, run
from outbox.store.postgres_cluster import cluster_of
from tests.faults.conftest import Begin
from tests.faults.nursery import Nursery
from tests.faults.servers import Server, own_server, stack_on
from tests.faults.stack import Stack, number, wait_for
from tests.faults.traffic import backend, contact, event

_EACH = 20


def _post(stack: Stack, first: int) -> None:
    """So many alerts, of Members of their own."""

    async def post() -> None:
        async with backend(stack) as caller:
            await caller.post_all(
                [
                    event("checkin.missed", n, contact(n, number(n)))
                    for n in range(first, first + _EACH)
                ]
            )

    asyncio.run(post())


def _backup(server: Server, target: Path) -> None:
    account = account_for(cluster_of(server.home))
    code, said = run(
        binaries(account) / "pg_basebackup",
        f"--dbname={server.url}",
        f"--pgdata={target}",
        "--checkpoint=fast",
        "--no-sync",
        account=account,
    )
    assert code == 0, said


@contextmanager
def _restored(data_dir: Path, lost: Server, base: Path, archive: Path, to: str) -> Iterator[Server]:
    """A server made of the base backup and the archive, as it was at that moment."""
    home = Path(tempfile.mkdtemp(prefix="restored-", dir=data_dir))
    home.chmod(0o711)
    server = Server(home)
    shutil.copy(lost.home / "postgres.password", home / "postgres.password")
    base.rename(cluster_of(home))
    with (cluster_of(home) / "postgresql.auto.conf").open("a") as settings:
        settings.write(
            "archive_mode = off\n"
            f"restore_command = 'cp {archive}/%f %p'\n"
            f"recovery_target_time = '{to}'\n"
            "recovery_target_action = promote\n"
        )
    signal = cluster_of(home) / "recovery.signal"
    signal.touch()
    account = account_for(cluster_of(lost.home))
    if account is not None:
        shutil.chown(signal, account.uid, account.gid)
    try:
        server.embedded._start()
        wait_for(
            lambda: server.execute("SELECT pg_is_in_recovery()") == [(False,)],
            within_s=60,
            what="the end of the recovery",
        )
        yield server
    finally:
        server.crash()
        shutil.rmtree(home, ignore_errors=True)


def _archived(server: Server) -> None:
    """Wait until everything that is written by now lies in the archive."""
    [(name,)] = server.execute("SELECT pg_walfile_name(pg_switch_wal())")
    query = "SELECT coalesce(last_archived_wal, '') >= %s FROM pg_stat_archiver"
    wait_for(
        lambda: server.execute(query, name) == [(True,)], within_s=60, what="the archive to be fed"
    )


def test_a_lost_database_is_restored_to_a_point_in_time(
    tmp_path: Path, data_dir: Path, nursery: Nursery, scenario: Begin
) -> None:
    row = scenario(number=5, name="database lost, restored to a point in time")
    archive = Path(tempfile.mkdtemp(prefix="archive-", dir=data_dir))
    with (
        own_server(
            data_dir,
            "archived",
            archive_mode="on",
            archive_command=f"cp %p {archive}/%f",
        ) as server,
        stack_on(server.url, tmp_path, nursery) as stack,
    ):
        _give(archive, server)
        gateway, relay = stack.start_edge()[1], stack.start_relay("relay")
        _post(stack, 0)
        stack.wait_until_final(within_s=60)
        base = Path(tempfile.mkdtemp(prefix="base-", dir=data_dir))
        _give(base, server)
        _backup(server, base)
        relay.kill()
        _post(stack, _EACH)
        [(moment,)] = server.execute("SELECT clock_timestamp()::text")
        # From here on the restored database knows nothing: of what is sent, and of what comes.
        relay = stack.start_relay("relay-again")
        stack.wait_until_final(within_s=60)
        _post(stack, 2 * _EACH)
        stack.wait_until_final(within_s=60)
        _archived(server)
        for process in (gateway, relay):
            process.kill()
        server.crash()
        began = time.monotonic()
        with _restored(data_dir, server, base, archive, moment) as back:
            row.tries = 1
            stack.database_url = stack.environ["DATABASE_URL"] = back.url
            _as_the_runbook_says(stack)
            row.recovered_s = time.monotonic() - began
            taken = Counter(entry["to"] for entry in stack.entries("twilio"))
    row.lost = sum(not taken[number(n)] for n in range(3 * _EACH))
    row.duplicated = sum(taken[number(n)] > 1 for n in range(3 * _EACH))
    # The backend has to post these again, and nobody here knows that they were told.
    row.explained = sum(taken[number(n)] == 2 for n in range(2 * _EACH, 3 * _EACH))
    row.why = "told again is what was accepted after that moment, and had to be posted again"
    assert row.duplicated == row.explained == _EACH


def _as_the_runbook_says(stack: Stack) -> None:
    """Hear Twilio first, then deliver, then let the backend post again what it posted since."""
    assert stack.query("SELECT count(*) FROM event") == [(2 * _EACH,)]
    assert stack.query("SELECT count(*) FROM due") == [(_EACH,)]
    for name, code, *verb in (
        ("audit", 0, "audit"),
        # The texts since the restored moment that are of nobody here stay named.
        ("reconcile", 1, "reconcile", "twilio", "--since", "1h", "--repair", "--yes"),
        ("receipts", 0, "relay", "--only-receipts"),
    ):
        assert stack.start(name, *verb).wait(60) == code, (stack.folder / f"{name}.log").read_text()
    assert stack.query("SELECT count(*) FROM due") == [(0,)]
    stack.start_gateway()
    stack.start_relay("relay-restored")
    for first in (_EACH, 2 * _EACH):
        _post(stack, first)
    stack.wait_until_final(within_s=60)
    assert stack.start("audit-again", "audit").wait(60) == 0, (
        stack.folder / "audit-again.log"
    ).read_text()


def _give(folder: Path, server: Server) -> None:
    """Let the server's account write to a folder."""
    folder.chmod(0o700)
    account = account_for(cluster_of(server.home))
    if account is not None:
        shutil.chown(folder, account.uid, account.gid)
