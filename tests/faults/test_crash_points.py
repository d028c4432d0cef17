"""SIGKILL of gateway or relay at each named point: what was promised is kept, by who comes next."""

from __future__ import annotations

import http.client
import time
from collections import Counter
from collections.abc import Iterable

import pytest

from outbox.relay.clock import LEASE_S
from tests.faults.alerts import DEVICES, alert, bring, is_paged, is_pushed, register, way
from tests.faults.conftest import Begin
from tests.faults.point import Point
from tests.faults.points import (
    ALL,
    APPLIES,
    CALLBACKS,
    CALLS,
    INTAKE,
    SETTLES,
)
from tests.faults.stack import Stack, number, wait_for
from tests.faults.table import Scenario
from tests.faults.victims import (
    LATE,
    QUESTIONS,
    armed,
    ask,
    freeze,
    killed,
    let_pass,
    thaw,
)


def test_the_gateway_is_killed_between_a_request_and_its_202(
    forked: Stack, scenario: Begin
) -> None:
    row = scenario(number=1, name=f"gateway killed at {len(INTAKE)} points before its 202")
    _, gateway = forked.start_edge()
    for n, _ in enumerate(INTAKE):
        ask(forked, "PUT", f"/v1/recipients/c{n}", {"phone": number(n)})
    gateway.kill()
    for n, point in enumerate(INTAKE.values()):
        with armed(forked, point) as note:
            gateway = forked.start_gateway()
        with pytest.raises((OSError, http.client.HTTPException)):
            ask(forked, "POST", "/v1/events", alert(n, number(n), only_id=True))
        killed(gateway, point, note)
        stored = forked.query(f"SELECT 1 FROM event_key WHERE source_id = 'checkin.missed-{n}-8'")
        assert bool(stored) == (point.truth == ALL), point.name
    forked.start_gateway()
    forked.start_relay("relay")
    began = time.monotonic()
    for n, point in enumerate(INTAKE.values()):
        said = ask(forked, "POST", "/v1/events", alert(n, number(n), only_id=True))
        assert said["duplicate"] == (point.truth == ALL), point.name
    forked.wait_until_final(within_s=60)
    row.recovered_s = time.monotonic() - began
    row.tries = len(INTAKE)
    _judge_texts(forked, row, range(len(INTAKE)))


def _judge_texts(stack: Stack, row: Scenario, numbers: Iterable[int]) -> None:
    """Each was texted, and delivered."""
    ledger = stack.ledger()
    times = [ledger["twilio", number(n)] for n in numbers]
    row.lost = times.count(0)
    row.duplicated = sum(n - 1 for n in times if n > 1)
    assert set(_states(stack)) == {"delivered"}


def _kill_a_relay(stack: Stack, point: Point, n: int) -> None:
    """A relay with the point armed, and an alert that comes by it."""
    if is_pushed(point):
        register(stack, n)
    with armed(stack, point) as note:
        # Not waited for: whatever is due may bring it to the point before it answers.
        victim = stack.start("victim", "relay")
    ask(stack, "POST", "/v1/events", alert(n, way(point, n)))
    bring(stack, point, n)
    killed(victim, point, note)
    # Or on a slow machine the next one would be killed by what this one leaves.
    freeze(stack)


_GROUPS = {
    "calls": (CALLS, 0.0, "relay killed at {} points from its claim to its call's answer"),
    "settles": (SETTLES, 1.0, "relay killed at {} points of settle and of asking; no callback"),
    "applies": (APPLIES, 0.0, "relay killed at {} points of applying a receipt"),
}
"""Points, share of the callbacks that are lost, and the row's name."""


def _recover(stack: Stack, row: Scenario, *, in_time: bool) -> None:
    """No relay is left: the leases end, and a sound relay does the rest."""
    began = time.monotonic()
    if in_time:
        thaw(stack, lease_s=LEASE_S)
        stack.start_relay("relay")
        stack.wait_until_final(within_s=120)
    else:
        row.why = "time is moved on to the end of the leases (20 s)"
        thaw(stack, lease_s=0.0)
        stack.start_relay("relay")
        stack.wait_until_final(
            within_s=60, meanwhile=lambda: let_pass(stack, f"{QUESTIONS} OR {LATE}")
        )
    row.recovered_s = time.monotonic() - began


@pytest.mark.parametrize(
    "in_time", [False, pytest.param(True, marks=pytest.mark.long)], ids=["moved on", "in time"]
)
@pytest.mark.parametrize("group", _GROUPS)
def test_a_relay_is_killed_at_each_point(
    forked: Stack, scenario: Begin, group: str, *, in_time: bool
) -> None:
    points, lose, name = _GROUPS[group]
    row = scenario(number=1, name=name.format(len(points)))
    forked.start_edge()
    forked.faults(provider="twilio", callbacks={"lose": lose})
    for n, point in enumerate(points.values()):
        _kill_a_relay(forked, point, n)
        row.tries += 1
    _recover(forked, row, in_time=in_time)
    _judge(forked, row, points.values())


def test_the_gateway_is_killed_between_a_callback_and_its_answer(
    forked: Stack, scenario: Begin
) -> None:
    row = scenario(number=1, name=f"gateway killed at {len(CALLBACKS)} points of a callback")
    _, gateway = forked.start_edge()
    forked.start_relay("relay")
    for n, point in enumerate(CALLBACKS.values()):
        if is_pushed(point):
            register(forked, n)
        gateway.kill()
        with armed(forked, point) as note:
            gateway = forked.start_gateway()
        ask(forked, "POST", "/v1/events", alert(n, way(point, n)))
        killed(gateway, point, note)
        row.tries += 1
        gateway = forked.start_gateway()
        # Repeated callbacks, which the next one shall not meet.
        wait_for(
            lambda: forked.stats()["callbacks"]["waiting"] == 0,
            within_s=60,
            what="no callback under way",
        )
    began = time.monotonic()
    forked.wait_until_final(within_s=60, meanwhile=lambda: let_pass(forked, LATE))
    row.recovered_s = time.monotonic() - began
    _judge(forked, row, CALLBACKS.values())


def _judge(stack: Stack, row: Scenario, points: Iterable[Point]) -> None:
    """Each alert came by the way it was to come, once where the provider can be asked."""
    ledger = stack.ledger()
    pages = Counter(entry["reference"] for entry in stack.entries("operator"))
    states = dict(
        stack.query("SELECT subject, state FROM notification WHERE kind = 'checkin.missed'")
    )
    for n, point in enumerate(points):
        texts = ledger["twilio", way(point, n)]
        pushes = [ledger["fcm", f"sim-ok-{n}-{device}"] for device in range(DEVICES)]
        if is_pushed(point):
            # Once one device has acknowledged it, the others need it no more. An app whose word
            # was lost may have given up meanwhile: then a person is paged.
            ends = {"delivered", "undeliverable"} if "not queued" in point.name else {"delivered"}
            row.lost += not any(pushes) or states[f"m{n}"] not in ends
            more = sum(max(0, times - 1) for times in pushes)
            row.duplicated += more
            # FCM cannot be asked.
            row.explained += min(more, DEVICES)
        elif is_paged(point):
            assert states[f"m{n}"] == "undeliverable", point.name
        else:
            row.lost += texts == 0 or states[f"m{n}"] != "delivered"
            row.duplicated += max(0, texts - 1)
    paged = stack.query("SELECT id::text FROM notification WHERE kind = 'operator.page'")
    assert len(paged) == list(states.values()).count("undeliverable")
    row.lost += sum(pages[one] == 0 for (one,) in paged)
    row.duplicated += sum(pages[one] - 1 for (one,) in paged if pages[one] > 1)
    if row.explained:
        said = "FCM cannot be asked: pushed again under the same id, which the app drops"
        row.why = "; ".join([said, *filter(None, [row.why])])


def _states(stack: Stack) -> dict[str, int]:
    return dict(stack.query("SELECT state, count(*) FROM notification GROUP BY 1"))
