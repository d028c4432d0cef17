"""Breakers, probes and wishes are shared by all relays."""

from __future__ import annotations

import asyncio

from outbox.domain.outcomes import Outcome, Result
from outbox.relay.clock import TOTAL_TIMEOUT_S
from outbox.relay.gate import PROBE_S, Verdict
from tests.integration.relay_fleet import ACCEPTED, BROKEN, SLOWER, Relay, relays
from tests.integration.relay_told import make_note, raise_alert

from .conftest import rows
from .relay_fakes import SENDERS
from .relay_hand import Hand


async def test_one_relay_with_a_dead_line_stops_only_itself(database_url: str) -> None:
    async with relays(database_url, 3) as ((one, two, three), _):
        one.fail()
        for relay in (one, two, three):
            await relay.round()
        assert one.ask().why == "down"
        assert two.ask().go
        assert three.ask().go


async def test_a_majority_of_live_relays_stops_them_all_and_dead_ones_have_no_vote(
    database_url: str,
) -> None:
    async with relays(database_url, 3) as ((one, two, three), _):
        for relay in (one, two):
            relay.fail()
            await relay.round()
        await three.round()
        assert three.ask().why == "down"
        assert three.gate.is_down("twilio")
        # One of the two is no more: one of two that live is no majority.
        connection = await three.session.get()
        await connection.execute(
            "UPDATE relay SET seen_at = now() - interval '16 seconds' WHERE id = %s", (one.id,)
        )
        await three.round()
        assert not three.gate.is_down("twilio")
        # It was open for all, so it comes back little by little.
        assert three.way.breaker.share(1000.0) == 0.1


async def test_half_of_the_relays_is_no_majority(database_url: str) -> None:
    async with relays(database_url, 4) as (made, _):
        for relay in made[:2]:
            relay.fail()
            await relay.round()
        await made[3].round()
        assert made[3].ask().go


async def test_a_lone_relay_is_its_own_majority(database_url: str) -> None:
    async with relays(database_url, 1) as ((one,), _):
        one.fail()
        await one.round()
        assert one.way.shared_open


async def test_one_probe_at_a_time_and_its_end_is_known_to_all(database_url: str) -> None:
    async with relays(database_url, 3) as (made, clock):
        for relay in made:
            relay.fail()
            await relay.round()
        clock.now += 6.0
        await asyncio.gather(*(relay.round() for relay in made))
        asked = [(relay, relay.ask()) for relay in made]
        probing = [(relay, verdict) for relay, verdict in asked if verdict.go]
        assert len(probing) == 1
        prober, verdict = probing[0]
        assert verdict.probe
        # While it is under way nobody else begins one, nor the same relay another.
        await asyncio.gather(*(relay.round() for relay in made))
        assert not any(relay.ask().go for relay in made)
        prober.gate.heard(prober.way, verdict, ACCEPTED)
        await prober.round()
        for relay in made:
            await relay.round()
            assert not relay.way.breaker.is_open
            assert relay.way.breaker.share(clock()) == 0.1
            assert relay.ask().go


async def test_after_a_probe_that_failed_nobody_probes_before_its_time(database_url: str) -> None:
    async with relays(database_url, 2) as ((one, two), clock):
        for relay in (one, two):
            relay.fail()
            await relay.round()
        clock.now += 6.0
        await one.round()
        one.gate.heard(one.way, one.ask(), BROKEN)
        await one.round()
        await two.round()
        assert not two.ask().go
        left = rows(database_url, "SELECT extract(epoch FROM probe_until - now()) FROM breaker")
        assert 5.0 < float(left[0][0]) <= 10.0
        await _forget_the_lease(two)
        await two.round()
        assert two.ask().probe


async def _forget_the_lease(relay: Relay) -> None:
    """Time passes at the database."""
    connection = await relay.session.get()
    await connection.execute("UPDATE breaker SET probe_until = now() - interval '1 millisecond'")


async def test_the_probe_of_a_relay_that_died_is_made_by_another(database_url: str) -> None:
    async with relays(database_url, 2) as ((dead, alive), clock):
        for relay in (dead, alive):
            relay.fail()
            await relay.round()
        clock.now += 6.0
        await dead.round()
        assert dead.ask().probe
        await alive.round()
        assert not alive.ask().go
        await _forget_the_lease(alive)
        await alive.round()
        assert alive.ask().probe


async def test_a_probe_never_outlives_its_lease(database_url: str) -> None:
    async with relays(database_url, 2) as ((one, two), clock):
        for relay in (one, two):
            relay.fail()
            await relay.round()
        clock.now += 6.0
        await one.round()
        # The lease ends at the database in PROBE_S: a call may not begin so late that it is still
        # under way when another relay may begin one.
        clock.now += PROBE_S - TOTAL_TIMEOUT_S
        assert not one.ask().go
        # No traffic came in that time; the same relay may go on with its lease.
        await one.round()
        assert one.ask().probe


async def test_a_relapse_right_after_the_return_is_a_vote_of_its_own(database_url: str) -> None:
    """Else each relapse within one round would be taken back by the probe before it."""
    async with relays(database_url, 2) as ((one, two), clock):
        for relay in (one, two):
            relay.fail()
            await relay.round()
        clock.now += 6.0
        await one.round()
        one.gate.heard(one.way, one.ask(), ACCEPTED)
        await one.round()
        await two.round()
        assert two.ask().go
        clock.now += 0.01
        two.fail()
        assert two.ask().why == "down"
        for _ in range(3):
            await two.round()
        assert two.ask().why == "down"


async def test_a_wish_of_the_provider_binds_all_relays(database_url: str) -> None:
    async with relays(database_url, 3) as (made, clock):
        first = made[0]
        first.gate.heard(first.way, first.ask(), SLOWER)
        await first.round()
        for relay in made[1:]:
            await relay.round()
            verdict = relay.ask()
            assert (verdict.go, verdict.why) == (False, "held")
            assert 20.0 < verdict.wait_s <= 30.0
        # Its own first word is not forgotten by a shorter one, nor told again and again.
        short = Outcome(result=Result.RETRYABLE, provider="twilio", code="20429", retry_after_s=1.0)
        made[1].gate.heard(made[1].way, Verdict(go=True, at=clock()), short)
        before = rows(database_url, "SELECT hold_until FROM breaker")
        for relay in made:
            await relay.round()
        assert rows(database_url, "SELECT hold_until FROM breaker") == before


async def test_what_a_relay_could_not_tell_it_tells_when_the_database_is_back(
    database_url: str,
) -> None:
    async with relays(database_url, 2) as ((one, two), clock):
        for relay in (one, two):
            relay.fail()
            await relay.round()
        clock.now += 6.0
        await one.round()
        one.gate.heard(one.way, one.ask(), ACCEPTED)
        one.gate.heard(one.way, Verdict(go=True, at=clock()), SLOWER)
        with_one = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ="
        rows(
            database_url,
            f"{with_one} current_database() AND pid <> pg_backend_pid()",
        )
        await one.round()
        await two.round()
        assert not two.way.breaker.is_open
        assert two.ask().why == "held"


async def test_a_sender_that_was_down_is_tried_again_although_another_one_works(
    by_hand: Hand,
) -> None:
    first, second = by_hand.parts.gate.of("twilio")
    second.breaker.open(by_hand.clock())
    await by_hand.share()
    await by_hand.pass_(60)
    await by_hand.share()
    # An alert goes by what works; what can wait finds out.
    await raise_alert(by_hand)
    await by_hand.work()
    assert [one.sms.sender for one in by_hand.twilio.taken] == [SENDERS[0]]
    await make_note(by_hand, count=2)
    await by_hand.work()
    assert sorted(one.sms.sender for one in by_hand.twilio.taken[1:]) == sorted(SENDERS[:2])
    assert not any(way.breaker.is_open for way in (first, second))
