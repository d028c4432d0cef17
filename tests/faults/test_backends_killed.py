"""Backends are killed under load, in the middle of COMMIT too: one result each, no false 202."""

from __future__ import annotations

import random
import time
from pathlib import Path

import psycopg
import pytest

from tests.faults.conftest import Begin
from tests.faults.load import loading, recover, settle_up
from tests.faults.nursery import Nursery
from tests.faults.servers import Server, own_server, stack_on
from tests.faults.stack import wait_for
from tests.faults.table import Scenario

_OURS = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'pruuf%'"
_IN_COMMIT = f"{_OURS} AND wait_event = 'SyncRep'"


def _kill_some(server: Server, chance: random.Random, row: Scenario, *, for_s: float) -> None:
    """Kill ours, one after the other, whatever they are at."""
    until = time.monotonic() + for_s
    with psycopg.connect(server.url, autocommit=True) as killer:
        while time.monotonic() < until:
            if pids := [pid for (pid,) in killer.execute(_OURS).fetchall()]:
                killer.execute("SELECT pg_terminate_backend(%s)", (chance.choice(pids),))
                row.tries += 1
            time.sleep(chance.uniform(0.0, 0.06))


def _kill_in_commit(server: Server, row: Scenario, *, for_s: float) -> None:
    """Kill those that have committed here and wait for a standby that never comes."""
    until = time.monotonic() + for_s
    with psycopg.connect(server.url, autocommit=True) as killer:
        while time.monotonic() < until:
            for (pid,) in killer.execute(_IN_COMMIT).fetchall():
                killer.execute("SELECT pg_terminate_backend(%s)", (pid,))
                row.tries += 1
            time.sleep(0.02)


def _play(
    folder: Path,
    data_dir: Path,
    nursery: Nursery,
    rows: tuple[Scenario, Scenario],
    chance: random.Random,
    *,
    for_s: float,
) -> None:
    anywhere, in_commit = rows
    with (
        own_server(data_dir, "killed") as server,
        stack_on(server.url, folder, nursery) as stack,
    ):
        processes = [*stack.start_edge(), *(stack.start_relay(f"relay-{n}") for n in range(2))]
        with loading(stack, "killed") as load:
            _kill_some(server, chance, anywhere, for_s=for_s)
            began = time.time()
            wait_for(lambda: load.accepts(began) is not None, within_s=30, what="a 202")
            anywhere.recovered_s = time.time() - began
            server.configure(synchronous_standby_names="nobody")
            with psycopg.connect(server.url, autocommit=True) as watcher:
                wait_for(
                    lambda: bool(watcher.execute(_IN_COMMIT).fetchall()),
                    within_s=30,
                    what="a COMMIT that waits for its standby",
                )
            hung = time.time()
            _kill_in_commit(server, in_commit, for_s=for_s)
            # A commit of just before may have been answered a moment after.
            assert load.accepts(hung + 1.0) is None, "a 202 for what no standby has"
            server.configure(synchronous_standby_names="")
            began = time.time()
            wait_for(lambda: load.accepts(began) is not None, within_s=30, what="a 202")
            in_commit.recovered_s = time.time() - began
        recover(stack, within_s=90)
        ended = [process.name for process in processes if process.poll() is not None]
        settle_up(stack, load, in_commit)
    assert not ended, f"had to be restarted: {ended}"
    assert anywhere.tries > for_s * 5
    assert in_commit.tries > for_s * 2
    anywhere.lost, anywhere.duplicated = in_commit.lost, in_commit.duplicated
    anywhere.why = in_commit.why = "tries are backends killed; recovery is until the next 202"


def _rows(scenario: Begin, words: str) -> tuple[Scenario, Scenario]:
    return (
        scenario(number=6, name=f"backends killed at random {words}"),
        scenario(number=6, name=f"backends killed in the middle of COMMIT {words}"),
    )


def test_backends_are_killed(
    tmp_path: Path,
    data_dir: Path,
    nursery: Nursery,
    scenario: Begin,
    chance: random.Random,
) -> None:
    _play(tmp_path, data_dir, nursery, _rows(scenario, "for 2 s"), chance, for_s=2.0)


@pytest.mark.long
def test_backends_are_killed_for_a_minute(
    tmp_path: Path,
    data_dir: Path,
    nursery: Nursery,
    scenario: Begin,
    chance: random.Random,
) -> None:
    _play(tmp_path, data_dir, nursery, _rows(scenario, "for a minute"), chance, for_s=60.0)
