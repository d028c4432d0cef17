"""Rates are kept by all relays together."""

from __future__ import annotations

import asyncio
import time

import pytest

from outbox.domain.rates import BURST_S, Share
from outbox.domain.states import Lane
from tests.integration.relay_fleet import SHARES, Relay, relays


async def _spend(relay: Relay, lane: Lane, until: float) -> int:
    """Call as often as the gate lets it."""
    spent = 0
    while time.monotonic() < until:
        spent += relay.ask(lane).go
        await asyncio.sleep(0.001)
    return spent


@pytest.mark.parametrize("lanes", [[Lane.SAFETY, Lane.CODES, Lane.TRANSACTIONAL], [Lane.SAFETY]])
async def test_tokens_are_never_overspent_by_several_relays(
    database_url: str, lanes: list[Lane]
) -> None:
    """Three hungry relays share one sender; together they keep to its rate."""
    rate, for_s = 50.0, 3.0
    started = time.monotonic()
    async with relays(database_url, 3, rate=rate, clock=time.monotonic) as (made, _):
        running = [asyncio.create_task(relay.sync.run()) for relay in made]
        until = time.monotonic() + for_s
        spent = await asyncio.gather(
            *(_spend(relay, lane, until) for relay in made for lane in lanes)
        )
        took = time.monotonic() - started
        for relay in made:
            relay.sync.stop()
        await asyncio.gather(*running)
    total = sum(spent)
    print(f"\n{total} calls in {took:.1f} s at {rate:.0f}/s, by lane and relay {spent}")
    assert total <= rate * (took + BURST_S)
    # What was saved up at least, and something of every second.
    assert total >= rate * (for_s / 2)
    if len(lanes) == 1:
        # Nobody else wanted theirs: an alert may have them.
        assert total > rate * SHARES.safety * (took + BURST_S)
        return
    # Alerts go before all others, who keep what is left.
    assert sum(spent[:: len(lanes)]) >= rate * SHARES.safety * for_s


async def test_a_lower_lane_takes_nothing_from_a_higher_one(database_url: str) -> None:
    async with relays(database_url, 1, rate=100.0) as ((one,), clock):
        for _ in range(20):
            one.ask(Lane.BULK)
            one.gate.budget("twilio", Lane.BULK, 1000)
            await one.round()
            clock.now += 0.1
            while one.ask(Lane.BULK).go:
                pass
        one.ask(Lane.SAFETY)
        one.gate.budget("twilio", Lane.SAFETY, 100)
        await one.round()
        got = one.way.tokens.get(Share.SAFETY, 0)
        # Two seconds of its half are saved up, whatever bulk did.
        assert got == 100


async def test_tokens_that_are_old_are_worthless(database_url: str) -> None:
    async with relays(database_url, 1, rate=100.0) as ((one,), clock):
        one.gate.budget("twilio", Lane.SAFETY, 50)
        await one.round()
        assert one.ask().go
        clock.now += 5.0
        await one.round()
        assert not one.ask().go
