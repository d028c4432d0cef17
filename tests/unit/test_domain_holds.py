"""What a hold covers, and which channels are down with it."""

from __future__ import annotations

import pytest

from outbox.domain.holds import CHANNELS, Sender, covers, down_with
from outbox.domain.plans import Channel
from outbox.domain.states import Lane
from tests.unit.relay_ways import ACCEPTED, Clock, gate_of, way

_TWO = [
    Sender("twilio", "a", usable=True),
    Sender("twilio", "b", usable=True),
    Sender("fcm", "", usable=True),
    Sender("fcm_topics", "", usable=True),
    Sender("stripe", "", usable=True),
]


def test_a_hold_of_a_provider_is_one_of_all_its_senders_and_of_fcm_one_of_its_topics() -> None:
    assert [covers("twilio", "", each) for each in _TWO] == [True, True, False, False, False]
    assert [covers("twilio", "a", each) for each in _TWO] == [True, False, False, False, False]
    assert [covers("fcm", "", each) for each in _TWO] == [False, False, True, True, False]
    assert [covers("fcm_topics", "", each) for each in _TWO] == [False, False, False, True, False]


def test_a_channel_is_down_when_no_sender_is_left() -> None:
    assert down_with("twilio", "a", _TWO) == []
    assert down_with("twilio", "", _TWO) == [Channel.SMS]
    # What does not work anyhow is no way either.
    broken = [Sender("twilio", "b", usable=False), *_TWO[:1], *_TWO[2:]]
    assert down_with("twilio", "a", broken) == [Channel.SMS]
    assert down_with("fcm", "", broken[:1]) == [Channel.SMS, *CHANNELS["fcm"]]


def test_before_a_relay_says_what_it_calls_only_the_whole_is_down() -> None:
    assert down_with("twilio", "", []) == [Channel.SMS]
    assert down_with("twilio", "a", []) == []


@pytest.mark.parametrize(("lane", "again_s"), [(Lane.SAFETY, 2.0), (Lane.BULK, 30.0)])
def test_what_is_held_is_down_until_its_time_is_over(lane: Lane, again_s: float) -> None:
    clock = Clock()
    one = way(clock)
    gate = gate_of(clock, one)
    one.on_hold_until = clock() + 60.0
    verdict = gate.ask(one, lane)
    assert (verdict.go, verdict.why, verdict.is_down) == (False, "on_hold", True)
    assert verdict.wait_s == again_s
    assert gate.is_down("twilio")
    assert gate.is_held("twilio")
    # Not even a probe that was leased before goes out.
    one.probe_until = clock() + 10.0
    assert not gate.ask(one, lane).go
    assert gate.is_down("twilio")
    clock.now += 59.0
    assert gate.ask(one, lane).wait_s == pytest.approx(1.0)
    clock.now += 1.0
    one.probe_until = 0.0
    verdict = gate.ask(one, lane)
    assert verdict.go
    gate.heard(one, verdict, ACCEPTED)
    assert not gate.is_held("twilio")


def test_while_one_sender_is_left_the_provider_is_not_held() -> None:
    clock = Clock()
    held, left = way(clock), way(clock, sender="b")
    gate = gate_of(clock, held, left)
    held.on_hold_until = clock() + 60.0
    assert not gate.is_held("twilio")
    assert not gate.is_down("twilio")
    # Of no senders at all nobody holds any.
    assert not gate.is_held("fcm")
