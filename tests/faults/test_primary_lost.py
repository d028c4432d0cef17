"""The primary is lost under load, its synchronous standby promoted: all find it by themselves."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.faults import altered
from tests.faults.conftest import Begin
from tests.faults.load import first_delivery, loading, recover, settle_up
from tests.faults.nursery import Nursery
from tests.faults.servers import Server, both, own_server, stack_on, with_standby
from tests.faults.stack import Stack, wait_for

_BACK_WITHIN_S = 10.0


def _owners(server: Server) -> list[tuple[object, ...]]:
    return server.execute("SELECT shard, seq, fence, owner FROM due WHERE owner IS NOT NULL")


def _old_owners_are_refused(stack: Stack, server: Server, held: list[tuple[object, ...]]) -> int:
    """Nothing that was settled since under a fence of before moved a row that moved on."""
    moved = server.execute("SELECT count(*) FROM attempt WHERE stale")[0][0]
    alive = {row[:3] for row in _owners(server)}
    assert not alive & {row[:3] for row in held}, "a claim of the lost primary is still believed"
    wrong = stack.query(
        "SELECT count(*) FROM due d JOIN notification n ON n.shard = d.shard"
        " AND n.id = d.notification WHERE n.state NOT IN ('open', 'parked')"
    )
    assert wrong == [(0,)]
    return int(moved)


def test_the_primary_is_lost_and_its_standby_promoted(
    tmp_path: Path,
    data_dir: Path,
    nursery: Nursery,
    scenario: Begin,
) -> None:
    row = scenario(number=5, name="primary lost, its synchronous standby promoted, under load")
    with (
        own_server(data_dir, "primary") as primary,
        with_standby(primary, data_dir) as standby,
        stack_on(both(primary, standby.server), tmp_path, nursery) as stack,
    ):
        # Reads of the test itself: of whichever takes writes.
        stack.database_url += "&target_session_attrs=read-write"
        processes = [*stack.start_edge(), *(stack.start_relay(f"relay-{n}") for n in range(2))]
        # Calls that outlive the primary: their owners come to settle at the new one.
        stack.faults(provider="twilio", latency_ms=700)
        with loading(stack, "lost") as load:
            wait_for(lambda: len(_owners(primary)) > 10, within_s=30, what="claims in flight")
            held = _owners(primary)
            primary.crash()
            row.tries += 1
            lost = time.time()
            standby.promote()
            back = time.time()
            wait_for(
                lambda: first_delivery(stack, load, back) is not None,
                within_s=60,
                what="a delivery by the new primary",
            )
            row.recovered_s = first_delivery(stack, load, back)
            assert all(at < lost + 0.2 or at > back - 0.5 for at in load.at.values())
            time.sleep(1.0)
        recover(stack, within_s=90)
        stale = _old_owners_are_refused(stack, standby.server, held)
        ended = [process.name for process in processes if process.poll() is not None]
        settle_up(stack, load, row)
    assert not ended, f"had to be restarted: {ended}"
    assert row.recovered_s is not None
    assert row.recovered_s < _BACK_WITHIN_S
    row.why = (
        f"{len(held)} claims were in flight, {stale} results came too late to move anything;"
        " recovery: from the promotion to the first delivery of something accepted since"
    )


@pytest.mark.long
def test_a_lost_primary_that_comes_back_confirms_nothing(
    tmp_path: Path,
    data_dir: Path,
    nursery: Nursery,
    scenario: Begin,
    chance: random.Random,
) -> None:
    """It takes writes, and so whoever connects may meet it; its commits wait for its standby."""
    row = scenario(number=5, name="a lost primary comes back beside the promoted standby")
    with (
        own_server(data_dir, "primary") as primary,
        with_standby(primary, data_dir) as standby,
        stack_on(both(primary, standby.server), tmp_path, nursery) as stack,
    ):
        stack.environ[altered.SILENCE] = "3"
        stack.start_edge()
        stack.start_relay("relay")
        with loading(stack, "split") as load:
            time.sleep(chance.uniform(1.0, 3.0))
            primary.crash()
            standby.promote()
            primary.start()
            row.tries += 1
            began = time.monotonic()
            time.sleep(chance.uniform(2.0, 5.0))
            assert primary.execute("SELECT count(*) FROM pg_stat_replication") == [(0,)]
            stack.database_url = standby.server.url
        recover(stack, within_s=120)
        row.recovered_s = time.monotonic() - began
        settle_up(stack, load, row)
        new = standby.server.execute("SELECT id::text FROM event")
        assert set(load.accepted) <= {event for (event,) in new}
