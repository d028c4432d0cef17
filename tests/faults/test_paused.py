"""A relay is paused for longer than its lease and goes on: its stale result moves nothing."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from gateway.cli.supervisor import Process
from tests.faults.alerts import DEVICES, alert, bring, is_pushed, register, way
from tests.faults.conftest import Begin
from tests.faults.point import Point
from tests.faults.points import CALLS, SETTLES
from tests.faults.stack import Stack, wait_for
from tests.faults.victims import LATE, LEASES, QUESTIONS, armed, ask, let_pass, stopped

_LEASE_S = 20.0
_POINTS = {**CALLS, **SETTLES}

_AFTER_THE_CALL = (
    "text: answered, not settled",
    "push: between two devices",
    "page: answered, not settled",
    "settle: before the transaction",
    "resolve: answered, not settled",
)
"""Whoever stands there is past every look at the clock, so that the clock may be moved on."""

_CALLS_ALL_THE_SAME = {"text: before the call"}
"""Paused between the last look at the clock and the call: that one goes out, however late."""


def _pause(stack: Stack, point: Point, n: int) -> Process:
    if is_pushed(point):
        register(stack, n)
    with armed(stack, point, does="STOP") as note:
        relay = stack.start(f"paused-{n}", "relay")
    ask(stack, "POST", "/v1/events", alert(n, way(point, n)))
    bring(stack, point, n)
    stopped(relay, point, note)
    return relay


def _stories(stack: Stack) -> list[tuple[Any, ...]]:
    return stack.query("SELECT id, state, reason, proof, final_at FROM notification ORDER BY id")


@pytest.mark.parametrize(
    ("names", "in_time"),
    [
        (_AFTER_THE_CALL, False),
        # In three parts: a relay has more than a dozen connections.
        *(pytest.param(tuple(_POINTS)[n::3], True, marks=pytest.mark.long) for n in range(3)),
    ],
    ids=["moved on", "in time 1", "in time 2", "in time 3"],
)
def test_a_paused_relay_moves_nothing_when_it_goes_on(
    forked: Stack, scenario: Begin, names: tuple[str, ...], *, in_time: bool
) -> None:
    row = scenario(number=3, name=f"relay stopped at {len(names)} points for longer than its lease")
    forked.start_edge()
    forked.faults(provider="twilio", callbacks={"lose": 1.0})
    points = [_POINTS[name] for name in names]
    relays = [_pause(forked, point, n) for n, point in enumerate(points)]
    held = forked.query(f"SELECT notification, fence FROM due WHERE {LEASES}")
    began = time.monotonic()
    if in_time:
        time.sleep(_LEASE_S)
    else:
        let_pass(forked, LEASES)
    forked.start_relay("relay")
    forked.wait_until_final(
        within_s=120,
        meanwhile=None if in_time else lambda: let_pass(forked, f"{QUESTIONS} OR {LATE}"),
    )
    row.recovered_s = time.monotonic() - began
    before, attempts = _stories(forked), _attempts(forked)
    for relay in relays:
        os.kill(relay.pid, signal.SIGCONT)
    wait_for(
        lambda: _attempts(forked) - attempts >= _with_a_result(points),
        within_s=60,
        what="the results of those that were paused",
    )
    for relay in relays:
        relay.terminate()
    assert [relay.wait(40) for relay in relays] == [0] * len(relays)
    assert _stories(forked) == before, "a stale result moved something"

    row.tries = len(points)
    ledger = forked.ledger()
    texts = [ledger["twilio", way(point, n)] for n, point in enumerate(points)]
    pushes = [ledger["fcm", f"sim-ok-{n}-{d}"] for n in range(len(points)) for d in range(DEVICES)]
    texts_twice, pushes_twice = _beyond_the_first(texts), _beyond_the_first(pushes)
    # One that stands before its claim leaves its alert to the next: which call it was is open.
    late = sum(point.name in _CALLS_ALL_THE_SAME for point in points)
    pushing = sum(is_pushed(point) for point in points) * DEVICES
    row.duplicated = texts_twice + pushes_twice
    row.explained = min(texts_twice, late) + min(pushes_twice, pushing)
    states = dict(forked.query("SELECT subject, state FROM notification WHERE kind LIKE 'check%'"))
    print(f"\n{len(held)} claims were held; {states}")
    row.lost = sum(state not in {"delivered", "undeliverable"} for state in states.values())
    pages = [entry["reference"] for entry in forked.entries("operator")]
    assert len(pages) == len(set(pages)) == sum(s == "undeliverable" for s in states.values())
    row.why = (
        f"{texts_twice} by a call that was about to be made when time stood, {pushes_twice} pushes,"
        " as FCM cannot be asked"
    )


def _beyond_the_first(times: list[int]) -> int:
    return sum(max(0, n - 1) for n in times)


def _attempts(stack: Stack) -> int:
    return int(stack.query("SELECT count(*) FROM attempt")[0][0])


def _with_a_result(points: list[Point]) -> int:
    """Those that were paused with the result of a call in hand."""
    return sum(point.name in _AFTER_THE_CALL for point in points)
