"""A synchronous standby that does not confirm: no answer may say that the event is durable."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from outbox.store.embedded import EmbeddedPostgres
from outbox.store.group_commit import NotDurableError
from outbox.store.intake import Accepted, Request
from outbox.store.migrate import migrate
from tests.integration.stored import Intake, again, committing, counts, missed

_PATIENCE_S = 60
_WAITING = (
    "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'test'"
)


@pytest.fixture
def lonely(data_dir: Path) -> Iterator[str]:
    """A migrated database of a server whose standby never comes."""
    folder = Path(tempfile.mkdtemp(prefix="lonely-", dir=data_dir))
    folder.chmod(0o711)
    server = EmbeddedPostgres(folder / "data")
    try:
        url, _ = server.ensure()
        migrate(url)
        _set_standbys(url, "somebody")
        yield url
    finally:
        server.crash()
        shutil.rmtree(folder, ignore_errors=True)


def _set_standbys(url: str, names: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        connection.execute("SELECT pg_reload_conf()")


async def _give_up(url: str, times: int) -> None:
    """Let as many COMMITs stop waiting for the standby, one after the other."""
    done: set[int] = set()
    watcher = await psycopg.AsyncConnection.connect(url, autocommit=True)
    async with asyncio.timeout(_PATIENCE_S), watcher:
        while len(done) < times:
            for (pid,) in await (await watcher.execute(_WAITING)).fetchall():
                if pid not in done:
                    await watcher.execute("SELECT pg_cancel_backend(%s)", (pid,))
                    done.add(pid)
            await asyncio.sleep(0.01)


async def _submitted(commits: Intake) -> asyncio.Task[list[Accepted]]:
    return asyncio.create_task(commits.submit(Request((missed("c_1"),))))


async def test_a_commit_that_stopped_waiting_for_its_standby_is_not_answered_as_durable(
    lonely: str,
) -> None:
    async with committing(lonely, workers=1) as commits:
        task = await _submitted(commits)
        # Both runs: the first, and the one after the first was not believed.
        await _give_up(lonely, 2)
        with pytest.raises(NotDurableError):
            await task
        # Here it is stored, but what no standby has may be gone tomorrow.
        assert counts(lonely)["event"] == 1


async def test_a_repetition_does_not_confirm_what_no_standby_has(lonely: str) -> None:
    told = missed("c_1")
    async with committing(lonely, workers=1) as commits:
        first = asyncio.create_task(commits.submit(Request((told,))))
        await _give_up(lonely, 2)
        with pytest.raises(NotDurableError):
            await first
        async with asyncio.timeout(_PATIENCE_S):
            # The worker has hung up, and refuses at once until it is back.
            while not commits.connected:  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.01)
        repeated = asyncio.create_task(commits.submit(Request((again(told),))))
        await _give_up(lonely, 2)
        with pytest.raises(NotDurableError):
            await repeated


async def test_an_answer_waits_until_the_standby_has_it(lonely: str) -> None:
    async with committing(lonely, workers=1) as commits:
        task = await _submitted(commits)
        watcher = await psycopg.AsyncConnection.connect(lonely, autocommit=True)
        async with asyncio.timeout(_PATIENCE_S), watcher:
            while not await (await watcher.execute(_WAITING)).fetchall():  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.01)
        assert not task.done()
        # As if it came, or as if an operator decided to go on without.
        await asyncio.to_thread(_set_standbys, lonely, "")
        async with asyncio.timeout(_PATIENCE_S):
            [accepted] = await task
        assert not accepted.duplicate
