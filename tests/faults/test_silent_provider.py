"""A provider that never answers, or never ends its answer: the others and alerts go on as ever."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from outbox.simulators import magic
from tests.faults.conftest import Begin
from tests.faults.provider_line import Mode, ProviderLine
from tests.faults.stack import Stack, number, wait_for
from tests.faults.traffic import Accepted, backend, contact, event

_PUSHES = 400
"""More than all slots that a relay has for notes."""
_ALERTS = 60
_PER_S = 20.0
_FIRST_ALERT = 10_000
_BOUND_S = 3.0
"""From the 202 to Twilio, for a loaded machine; what it took is shown."""


async def _load(stack: Stack) -> tuple[list[Accepted], list[Accepted]]:
    """Notes that go by push in a flood, then alerts at a pace, which go by text."""
    notes = [
        event("checkin.confirmed", n, contact(n, magic.number("landline", n)))
        for n in range(_PUSHES)
    ]
    alerts = [
        event("checkin.missed", n, contact(n, number(n)))
        for n in range(_FIRST_ALERT, _FIRST_ALERT + _ALERTS)
    ]
    async with backend(stack) as caller:
        await caller.devices((f"c{n}", magic.token("delivered", n)) for n in range(_PUSHES))
        pushed = await caller.post_all(notes)
        return pushed, await caller.post_at_a_pace(alerts, per_s=_PER_S)


@pytest.mark.parametrize(
    ("mode", "to_the_end"),
    [
        (Mode.BLACK_HOLE, False),
        (Mode.SLOW_LORIS, False),
        pytest.param(Mode.BLACK_HOLE, True, marks=pytest.mark.long),
        pytest.param(Mode.SLOW_LORIS, True, marks=pytest.mark.long),
    ],
    ids=["hole", "loris", "hole and back", "loris and back"],
)
def test_alerts_do_not_wait_for_a_provider_that_does_not_answer(
    forked: Stack, scenario: Begin, mode: Mode, *, to_the_end: bool
) -> None:
    """``to_the_end``: FCM answers again, and its breaker lets the pushes through by and by."""
    words = mode.name.lower().replace("_", " ")
    row = scenario(number=9, name=f"FCM is a {words} in a flood of pushes; alerts go by text")
    forked.start_edge()
    with ProviderLine(forked.simulators) as line:
        forked.environ["FCM_API_BASE"] = line.url
        line.become(mode)
        forked.start_relay("relay")
        _, alerts = asyncio.run(_load(forked))
        wait_for(
            lambda: _delivered(forked) >= _ALERTS, within_s=60, what="all alerts are delivered"
        )
        texted = _texted(forked, alerts)
        row.tries = line.held
        line.become(Mode.GOOD)
        if to_the_end:
            row.recovered_s = forked.wait_until_final(within_s=120)
    states = dict(
        forked.query("SELECT kind, count(*) FROM notification WHERE state = 'delivered' GROUP BY 1")
    )
    pushes = [times for (provider, _), times in forked.ledger().items() if provider == "fcm"]
    row.lost = _ALERTS - states.get("checkin.missed", 0)
    row.duplicated = sum(times - 1 for times in pushes)
    row.why = (
        f"alerts at Twilio after {texted[len(texted) // 2]:.3f} s (median),"
        f" {texted[-1]:.3f} s (last), while {row.tries} calls of FCM hung"
    )
    assert texted[-1] < _BOUND_S
    if to_the_end:
        assert states == {"checkin.missed": _ALERTS, "checkin.confirmed": _PUSHES}
        assert len(pushes) == _PUSHES


def _delivered(stack: Stack) -> int:
    query = "SELECT count(*) FROM notification WHERE kind = 'checkin.missed'"
    return int(stack.query(f"{query} AND state = 'delivered'")[0][0])


def _texted(stack: Stack, alerts: list[Accepted]) -> list[float]:
    """Seconds from each 202 to its text, in order."""
    at = {
        entry["to"]: datetime.fromisoformat(entry["accepted_at"]).timestamp()
        for entry in stack.entries("twilio")
    }
    return sorted(at[number(n)] - one.at for n, one in enumerate(alerts, _FIRST_ALERT))
