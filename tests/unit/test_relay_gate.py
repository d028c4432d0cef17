"""The gate: who may call, when, and by which sender."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.domain.breaker import LEAST, RETURN_S, Breaker
from outbox.domain.outcomes import Result
from outbox.domain.rates import Share, share_of
from outbox.domain.states import Lane
from outbox.relay.gate import PROBE_S, Gate, Verdict, Way, is_outage
from outbox.store.gates import SenderKey
from tests.unit.relay_ways import (
    ACCEPTED,
    BROKEN,
    REFUSED,
    SLOWER,
    Clock,
    gate_of,
    opened,
    outcome,
    way,
)


def test_an_open_way_stops_every_lane_and_says_when_to_ask_again() -> None:
    gate, one = opened(Clock())
    for lane in Lane:
        verdict = gate.ask(one, lane)
        assert (verdict.go, verdict.why, verdict.is_down) == (False, "down", True)
        assert 0.5 <= verdict.wait_s <= 6.0
    assert gate.is_down("twilio")


def test_a_provider_is_down_only_when_all_its_ways_are() -> None:
    clock = Clock()
    gate, one = opened(clock)
    gate.ways.append(way(clock, sender="b"))
    assert gate.is_down("twilio") is False
    gate.ways[1].shared_open = True
    assert gate.is_down("twilio") is True
    # Somebody has to try: with a probe to make it is not down for who asks.
    one.probe_until = clock() + PROBE_S
    assert gate.is_down("twilio") is False


def test_the_probe_is_one_call_and_the_next_one_is_stopped() -> None:
    clock = Clock()
    gate, one = opened(clock)
    one.probe_until = clock() + PROBE_S
    first, second = gate.ask(one, Lane.BULK), gate.ask(one, Lane.SAFETY)
    assert (first.go, first.probe) == (True, True)
    assert (second.go, second.why) == (False, "down")
    gate.heard(one, first, BROKEN)
    assert one.ended == [False]
    assert gate.ask(one, Lane.SAFETY).why == "down"


def test_a_probe_that_is_not_made_in_time_is_none() -> None:
    clock = Clock()
    gate, one = opened(clock)
    one.probe_until = clock() + PROBE_S
    clock.now += PROBE_S
    assert gate.ask(one, Lane.SAFETY).why == "down"


@pytest.mark.parametrize(("passed", "share"), [(0.0, 0.1), (2.0, 0.1), (10.0, 0.5), (19.0, 0.95)])
def test_a_way_that_returns_takes_exactly_its_share(passed: float, share: float) -> None:
    clock = Clock()
    one = way(clock)
    chances = iter([n / 1000 for n in range(1000)])
    gate = Gate([one], clock=clock, jitter=lambda: next(chances))
    one.breaker.open(clock())
    one.breaker.close(clock())
    clock.now += passed
    verdicts = [gate.ask(one, Lane.SAFETY) for _ in range(1000)]
    assert sum(verdict.go for verdict in verdicts) == round(share * 1000)
    assert {verdict.why for verdict in verdicts if not verdict.go} == {"returning"}


def test_a_way_that_has_returned_takes_everything() -> None:
    clock = Clock()
    one = way(clock)
    gate = gate_of(clock, one, jitter=0.999)
    one.breaker.open(clock())
    one.breaker.close(clock())
    clock.now += RETURN_S
    assert all(gate.ask(one, Lane.BULK).go for _ in range(100))


def test_what_was_under_way_when_it_opened_says_nothing_after_it_closed() -> None:
    clock = Clock()
    one = way(clock)
    gate = gate_of(clock, one)
    calls = [gate.ask(one, Lane.SAFETY) for _ in range(100)]
    # A black hole: they end one after the other, at their time-out.
    for verdict in calls[:LEAST]:
        gate.heard(one, verdict, BROKEN)
    clock.now += 5.0
    one.probe_until = clock() + PROBE_S
    gate.heard(one, gate.ask(one, Lane.SAFETY), ACCEPTED)
    for verdict in calls[LEAST:]:
        gate.heard(one, verdict, BROKEN)
    assert not one.breaker.is_open


def test_a_wish_of_the_provider_is_obeyed_to_its_end_by_all_lanes() -> None:
    clock = Clock()
    one = way(clock)
    gate = gate_of(clock, one)
    gate.heard(one, gate.ask(one, Lane.SAFETY), SLOWER)
    for left in (30.0, 15.0, 0.001):
        clock.now = 1000.0 + 30.0 - left
        for lane in Lane:
            verdict = gate.ask(one, lane)
            assert (verdict.go, verdict.why, verdict.is_down) == (False, "held", False)
            assert verdict.wait_s == pytest.approx(left)
    clock.now = 1030.0
    assert gate.ask(one, Lane.SAFETY).go


def test_a_wish_is_of_the_account_and_binds_its_other_senders_but_no_other_provider() -> None:
    clock = Clock()
    one, other = way(clock), way(clock, sender="b")
    fcm = Way(key=SenderKey("fcm", ""), label="1", rate=None, breaker=Breaker(lambda: 0.5))
    gate = gate_of(clock, one, other, fcm)
    gate.heard(one, gate.ask(one, Lane.SAFETY), SLOWER)
    assert gate.ask(other, Lane.SAFETY).why == "held"
    assert gate.ask(fcm, Lane.SAFETY).go


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0.1, 60)), min_size=1, max_size=8))
def test_of_several_wishes_the_one_that_ends_last_holds(wishes: list[tuple[float, float]]) -> None:
    clock = Clock()
    one = way(clock)
    gate = gate_of(clock, one)
    calls = [gate.ask(one, Lane.BULK) for _ in wishes]
    ends = 0.0
    for verdict, (pause, wish) in zip(calls, wishes, strict=True):
        clock.now += pause
        gate.heard(one, verdict, outcome(Result.RETRYABLE, "429", wish))
        ends = max(ends, clock.now + wish)
    clock.now = max(clock.now, ends - 0.001)
    assert not gate.ask(one, Lane.BULK).go
    clock.now = ends + 0.001
    assert gate.ask(one, Lane.BULK).go


def test_to_be_told_to_slow_down_opens_nothing() -> None:
    clock = Clock()
    one = way(clock)
    gate = gate_of(clock, one)
    for _ in range(100):
        gate.heard(one, Verdict(go=True), outcome(Result.RETRYABLE, "QUOTA_EXCEEDED"))
    assert not one.breaker.is_open


@pytest.mark.parametrize(
    ("result", "code", "outage"),
    [
        (Result.ACCEPTED, None, False),
        (Result.WARNING, "30038", False),
        (Result.CHANNEL_FINAL, "21614", False),
        (Result.RECIPIENT_SUPPRESSED, "21610", False),
        (Result.CONTENT_FINAL, "30007", False),
        (Result.CONFIGURATION_FAULT, "20003", False),
        (Result.RETRYABLE, "20429", False),
        (Result.RETRYABLE, "429", False),
        (Result.RETRYABLE, "connect", True),
        (Result.RETRYABLE, "UNAVAILABLE", True),
        (Result.OUTCOME_UNKNOWN, "timeout", True),
        (Result.OUTCOME_UNKNOWN, "20503", True),
    ],
)
def test_only_what_speaks_of_the_provider_counts_against_it(
    result: Result, code: str | None, outage: bool
) -> None:
    assert is_outage(outcome(result, code)) == outage


def test_a_sender_that_is_refused_rests_a_minute_and_another_one_does_not() -> None:
    clock = Clock()
    one, other = way(clock), way(clock, sender="b")
    gate = gate_of(clock, one, other)
    gate.heard(one, gate.ask(one, Lane.SAFETY), REFUSED)
    assert gate.ask(one, Lane.SAFETY).why == "down"
    assert one.breaker.open_until == clock() + 60.0
    assert gate.ask(other, Lane.SAFETY).go


def test_a_probe_that_the_sender_is_refused_by_ends_for_all_relays() -> None:
    clock = Clock()
    gate, one = opened(clock)
    one.probe_until = clock() + PROBE_S
    gate.heard(one, gate.ask(one, Lane.SAFETY), REFUSED)
    assert one.ended == [False]
    assert one.breaker.open_until == clock() + 60.0


@pytest.mark.parametrize(("lane", "own"), [(lane, share_of(lane)) for lane in Lane])
def test_a_lane_spends_the_tokens_of_its_share_alone(lane: Lane, own: Share) -> None:
    clock = Clock()
    one = way(clock, rate=10.0)
    gate = gate_of(clock, one)
    one.tokens = dict.fromkeys(Share, 3)
    assert [gate.ask(one, lane).go for _ in range(5)] == [True] * 3 + [False] * 2
    assert one.tokens == {share: 0 if share is own else 3 for share in Share}
    assert one.wanted == {own: 2}
    assert gate.hungry.is_set()


def test_who_finds_no_token_waits_the_longer_the_longer_the_queue_is_but_an_alert_does_not() -> (
    None
):
    gate = gate_of(clock := Clock(), one := way(clock, rate=10.0))
    waits = [gate.ask(one, Lane.BULK).wait_s for _ in range(600)]
    assert waits == sorted(waits)
    assert (waits[0], waits[99], waits[-1]) == (0.2, 10.0, 30.0)
    assert {gate.ask(one, Lane.SAFETY).wait_s for _ in range(600)} == {0.2}


def test_claims_are_bounded_by_the_tokens_at_hand_unless_a_sender_has_no_limit() -> None:
    clock = Clock()
    gate = gate_of(clock, one := way(clock, rate=10.0), other := way(clock, rate=10.0, sender="b"))
    one.tokens, other.tokens = {Share.OTHER: 4}, {Share.OTHER: 3}
    assert gate.budget("twilio", Lane.BULK, 100) == 7
    assert gate.budget("twilio", Lane.BULK, 3) is None
    assert one.wanted == {Share.OTHER: 93}
    other.rate = None
    assert gate.budget("twilio", Lane.BULK, 100) is None
