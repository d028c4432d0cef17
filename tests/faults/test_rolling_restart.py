"""Gateways and relays are restarted one after the other under load: nobody notices."""

from __future__ import annotations

import time

import pytest

from outbox.relay.process import DRAIN_S
from tests.faults.balancer import Balancer
from tests.faults.conftest import Begin
from tests.faults.house import END_S, House
from tests.faults.load import loading, recover, settle_up
from tests.faults.stack import Stack, wait_for

_LATENCY_MS = 400
"""Long enough that there are always calls in flight."""
_RESOLVED = (
    "SELECT count(*) FROM attempt WHERE result = 'outcome_unknown'"
    " OR (what = 'ask' AND detail NOT LIKE 'asked for its receipt%')"
)
"""What is only done for a claim whose owner never settled."""


@pytest.mark.faults
@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.long)])
def test_a_rolling_restart_under_load_loses_and_repeats_nothing(
    forked: Stack, scenario: Begin, rounds: int
) -> None:
    row = scenario(number=1, name=f"rolling restart under load, {rounds} times round")
    row.why = "recovery: the longest drain"
    with Balancer() as balancer:
        house = House(forked, balancer)
        forked.faults(provider="twilio", latency_ms=_LATENCY_MS)
        with loading(forked, writers=6) as load:
            load.pause_s = 0.1
            for _ in range(rounds):
                for name in house.running:
                    before = len(load.accepted)
                    house.restart(name, row)
                    wait_for(lambda n=before: len(load.accepted) > n + 20, within_s=30, what="202s")  # type: ignore[misc]
        recover(forked, within_s=60)
        # Whoever claimed something has settled it: nothing had to be asked about.
        assert forked.query(_RESOLVED) == [(0,)], "a claim was left behind"
        settle_up(forked, load, row)


@pytest.mark.faults
def test_a_relay_that_is_told_to_end_settles_what_is_in_flight_and_claims_no_more(
    forked: Stack, scenario: Begin
) -> None:
    row = scenario(number=1, name="SIGTERM of the only relay, calls in flight")
    forked.start_edge()
    forked.faults(provider="twilio", latency_ms=1_500)
    with loading(forked, writers=6) as load:
        relay = forked.start_relay("relay")
        held = "SELECT count(*) FROM due WHERE owner IS NOT NULL"
        wait_for(lambda: forked.query(held)[0][0] > 10, within_s=30, what="calls in flight")
        began = time.monotonic()
        relay.terminate()
        assert relay.wait(DRAIN_S + END_S) == 0
        row.tries, row.recovered_s = 1, time.monotonic() - began
        assert forked.query(held) == [(0,)], "it left something claimed"
        stale = forked.query("SELECT count(*) FROM attempt WHERE stale")
        assert stale == [(0,)]
        made = forked.query("SELECT count(*) FROM attempt WHERE what = 'send'")[0][0]
        assert len(forked.entries("twilio")) == made, "a call without its attempt"
        forked.calm()
        forked.start_relay("relay-2")
    recover(forked, within_s=60)
    settle_up(forked, load, row)


@pytest.mark.long
@pytest.mark.faults
def test_providers_that_hang_do_not_hold_a_relay_longer_than_its_drain(
    forked: Stack, scenario: Begin
) -> None:
    row = scenario(number=9, name="SIGTERM of a relay whose calls hang")
    forked.start_edge()
    forked.faults(provider="twilio", latency_ms=60_000)
    with loading(forked, writers=2) as load:
        relay = forked.start_relay("relay")
        held = "SELECT count(*) FROM due WHERE owner IS NOT NULL"
        wait_for(lambda: forked.query(held)[0][0] > 5, within_s=30, what="calls in flight")
        began = time.monotonic()
        relay.terminate()
        assert relay.wait(DRAIN_S + END_S) == 0
        row.tries, row.recovered_s = 1, time.monotonic() - began
        assert forked.query(held) == [(0,)], "a call that timed out was not settled"
        forked.calm()
        forked.start_relay("relay-2")
    recover(forked, within_s=120)
    settle_up(forked, load, row)
