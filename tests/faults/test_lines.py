"""Slow, stopped, half-open and cut lines to Postgres, and wake-ups that do not come through."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from outbox.store.connect import SILENCE_S
from tests.faults import altered
from tests.faults.conftest import Begin
from tests.faults.load import Load, first_delivery, loading, recover, settle_up
from tests.faults.nursery import Nursery
from tests.faults.proxy import Proxy
from tests.faults.servers import stack_on
from tests.faults.stack import Stack, wait_for
from tests.faults.table import Scenario
from tests.faults.traffic import contact, event
from tests.faults.victims import ask

_SHORT_S = 2.0
"""Silence of the short form."""
_POLL_S = {"safety": 0.25 * 1.25, "others": 1.0 * 1.25}
"""How often a relay looks by itself, at most."""
_WORK_S = 1.0
"""For the call and a machine that is busy."""

Fault = Callable[[Proxy, float], None]


def _slow(line: Proxy, for_s: float) -> None:
    line.delay_s = 0.15
    time.sleep(for_s)
    line.delay_s = 0.0


def _stops(line: Proxy, for_s: float) -> None:
    line.stall()
    time.sleep(for_s)
    line.flow()


def _half_open(line: Proxy, for_s: float) -> None:
    assert line.forget() > 0


def _cut(line: Proxy, for_s: float) -> None:
    assert line.cut() > 0


def _refused(line: Proxy, for_s: float) -> None:
    line.refuses = True
    line.cut()
    time.sleep(for_s)
    line.refuses = False


_FAULTS: dict[str, Fault] = {
    "slow": _slow,
    "stopped": _stops,
    "half-open": _half_open,
    "cut": _cut,
    "cut and refused": _refused,
}


def _comes_back(stack: Stack, load: Load, *, within_s: float) -> float:
    """Seconds until something that is accepted from now on is delivered."""
    since = time.time()
    wait_for(
        lambda: first_delivery(stack, load, since) is not None,
        within_s=within_s,
        what="an event that is accepted and delivered",
    )
    return time.time() - since


def _play(
    folder: Path,
    database_url: str,
    nursery: Nursery,
    scenario: Begin,
    chance: random.Random,
    *,
    silence_s: float,
    for_s: float,
) -> None:
    rows: dict[str, Scenario] = {}
    with Proxy(database_url) as line, stack_on(database_url, folder, nursery) as stack:
        stack.environ["DATABASE_URL"] = line.url
        if silence_s < SILENCE_S:
            stack.environ[altered.SILENCE] = str(silence_s)
        processes = [*stack.start_edge(), *(stack.start_relay(f"relay-{n}") for n in range(2))]
        with loading(stack, "lines") as load:
            for name in chance.sample(list(_FAULTS), len(_FAULTS)):
                row = rows[name] = scenario(number=15, name=f"line to Postgres {name}")
                row.tries = 1
                time.sleep(0.3)
                _FAULTS[name](line, for_s)
                # One silence to find out, another where the second try ran into it as well.
                row.recovered_s = _comes_back(stack, load, within_s=2 * silence_s + 20.0)
        recover(stack, within_s=90)
        ended = [process.name for process in processes if process.poll() is not None]
        settle_up(stack, load, row)
    assert not ended, f"had to be restarted: {ended}"
    for each in rows.values():
        each.lost, each.duplicated = row.lost, row.duplicated
        each.why = f"silence is borne for {silence_s:g} s; slowest answer {load.longest_s:.1f} s"
    # Nobody waits longer than for his turn, and one silence.
    assert load.longest_s < 10.0 + 2 * silence_s + 5.0


def test_lines_that_are_slow_or_stop_or_break(
    tmp_path: Path,
    database_url: str,
    nursery: Nursery,
    scenario: Begin,
    chance: random.Random,
) -> None:
    _play(
        tmp_path, database_url, nursery, scenario, chance, silence_s=_SHORT_S, for_s=_SHORT_S + 0.5
    )


@pytest.mark.long
def test_lines_that_stop_for_longer_than_the_product_bears(
    tmp_path: Path,
    database_url: str,
    nursery: Nursery,
    scenario: Begin,
    chance: random.Random,
) -> None:
    _play(tmp_path, database_url, nursery, scenario, chance, silence_s=SILENCE_S, for_s=45.0)


def _waits(stack: Stack, kind: str, count: int, first: int) -> float:
    """Longest time from a 202 to the provider, one event after the other."""
    longest = 0.0
    for n in range(first, first + count):
        phone = f"+1998{n:07d}"
        ask(stack, "POST", "/v1/events", event(kind, n, contact(n, phone)))
        accepted = time.monotonic()
        wait_for(
            lambda phone=phone: stack.ledger()["twilio", phone] > 0,  # type: ignore[misc]
            within_s=30,
            what="the text",
        )
        longest = max(longest, time.monotonic() - accepted)
        time.sleep(0.1)
    return longest


def _deaf(stack: Stack, line: Proxy, row: Scenario, *, count: int) -> None:
    stack.start_edge()
    stack.environ["DATABASE_URL"] = line.url
    stack.start_relay("relay")
    line.deaf = True
    alerts = _waits(stack, "checkin.missed", count, 0)
    notes = _waits(stack, "checkin.confirmed", count, count)
    assert line.dropped >= 2 * count, "not a single wake-up was to come through"
    row.tries = line.dropped
    row.recovered_s = alerts
    row.why = (
        f"alerts are found within {alerts:.2f} s, notes within {notes:.2f} s; polled every"
        f" {_POLL_S['safety']:.2f} and {_POLL_S['others']:.2f} s at most"
    )
    stack.wait_until_final(within_s=60)
    row.lost = 2 * count - sum(times > 0 for times in stack.ledger().values())
    row.duplicated = sum(times - 1 for times in stack.ledger().values())
    assert alerts < _POLL_S["safety"] + _WORK_S
    assert notes < _POLL_S["others"] + _WORK_S


def test_wake_ups_that_are_lost_cost_a_poll_interval(
    tmp_path: Path, database_url: str, nursery: Nursery, scenario: Begin
) -> None:
    row = scenario(number=7, name="every NOTIFY dropped on its way")
    with Proxy(database_url) as line, stack_on(database_url, tmp_path, nursery) as stack:
        _deaf(stack, line, row, count=3)


@pytest.mark.long
def test_a_hundred_wake_ups_that_are_lost(
    tmp_path: Path, database_url: str, nursery: Nursery, scenario: Begin
) -> None:
    row = scenario(number=7, name="every NOTIFY dropped on its way, 100 events of each kind")
    with Proxy(database_url) as line, stack_on(database_url, tmp_path, nursery) as stack:
        _deaf(stack, line, row, count=100)
