"""Postgres crashes under load and comes back: no false 202, nobody restarted, all delivered."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Begin
from tests.faults.load import Load, first_delivery, loading, recover, settle_up
from tests.faults.nursery import Nursery
from tests.faults.servers import Server, own_server, stack_on
from tests.faults.stack import Stack, wait_for
from tests.faults.table import Scenario

_BACK_WITHIN_S = 5.0
"""From the return of Postgres to the first delivery of something accepted after it."""


def _crash(stack: Stack, server: Server, load: Load, row: Scenario, *, away_s: float) -> None:
    """Crash it, bring it back after a while, and measure how fast all follow."""
    row.tries += 1
    server.crash()
    gone = time.time()
    time.sleep(away_s)
    assert load.accepts(gone + 0.2) is None, "a 202 came while Postgres was away"
    server.start()
    back = time.time()
    wait_for(lambda: load.accepts(back) is not None, within_s=30, what="a gateway that accepts")
    wait_for(
        lambda: first_delivery(stack, load, back) is not None,
        within_s=30,
        what="relays that deliver",
    )
    took = first_delivery(stack, load, back)
    assert took is not None
    row.recovered_s = max(row.recovered_s or 0.0, took)


def _play(
    folder: Path,
    data_dir: Path,
    nursery: Nursery,
    row: Scenario,
    aways_s: list[float],
) -> None:
    with (
        own_server(data_dir, "away") as server,
        stack_on(server.url, folder, nursery) as stack,
    ):
        processes = [*stack.start_edge(), *(stack.start_relay(f"relay-{n}") for n in range(2))]
        with loading(stack, "away") as load:
            time.sleep(1.0)
            for away_s in aways_s:
                _crash(stack, server, load, row, away_s=away_s)
                time.sleep(0.5)
        recover(stack, within_s=90)
        ended = [process.name for process in processes if process.poll() is not None]
        settle_up(stack, load, row)
    assert not ended, f"had to be restarted: {ended}"
    assert load.answers[503] > 0
    assert row.recovered_s is not None
    assert row.recovered_s < _BACK_WITHIN_S
    row.why = "recovery: from Postgres' return to the first delivery of something accepted since"


def test_postgres_crashes_and_comes_back(
    tmp_path: Path, data_dir: Path, nursery: Nursery, scenario: Begin
) -> None:
    row = scenario(number=4, name="Postgres crashes and is away for 2 s under load")
    _play(tmp_path, data_dir, nursery, row, [2.0])


@pytest.mark.long
def test_postgres_crashes_again_and_again(
    tmp_path: Path,
    data_dir: Path,
    nursery: Nursery,
    scenario: Begin,
    chance: random.Random,
) -> None:
    row = scenario(number=4, name="Postgres crashes ten times, away for up to 20 s each")
    aways = [20.0, *(chance.uniform(0.0, 12.0) for _ in range(9))]
    _play(tmp_path, data_dir, nursery, row, aways)
