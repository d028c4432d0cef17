"""Twilio is down altogether: alerts go by push at once, and texts come back little by little."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest
from msgspec import Struct

from outbox.domain.breaker import COOL_S, LEAST, RETURN_S
from outbox.simulators import magic
from tests.faults.conftest import Begin
from tests.faults.stack import Stack, number
from tests.faults.traffic import Accepted, backend, contact, event

_SENDERS = 2
_SPAN_S = 4.0
_BACK = 0.95
"""Share of the texts from which on they are back."""
_DEADLINE_S = 60.0
"""Of the first step of an alert: the text's own."""


class _Run(Struct, kw_only=True):
    """One outage under load."""

    alerts: int
    down_s: float
    after_s: float
    relays: int

    @property
    def per_s(self) -> float:
        return self.alerts / self.down_s


def _alerts(first: int, count: int) -> list[dict[str, object]]:
    return [event("checkin.missed", n, contact(n, number(n))) for n in range(first, first + count)]


async def _load(stack: Stack, run: _Run) -> tuple[list[Accepted], list[Accepted], float, float]:
    """Alerts during the outage, and after it; also when it began and when it ended."""
    later = int(run.per_s * run.after_s)
    span = int(run.per_s * _SPAN_S)
    async with backend(stack) as caller:
        everybody = range(run.alerts + later)
        await caller.devices((f"c{n}", magic.token("delivered", n)) for n in everybody)
        # The breaker is closed, and texts go out.
        calm = await caller.post_all(_alerts(len(everybody), 20))
        await asyncio.to_thread(stack.wait_until_final, within_s=60)
        assert len(calm) == 20
        began = time.time()
        await asyncio.to_thread(stack.faults, provider="twilio", status=503)
        during = await caller.post_at_a_pace(_alerts(0, run.alerts), per_s=run.per_s)
        await asyncio.to_thread(stack.calm)
        ended = time.time()
        after: list[Accepted] = []
        while len(after) < later:
            newest = _alerts(run.alerts + len(after), min(span, later - len(after)))
            after += await caller.post_at_a_pace(newest, per_s=run.per_s)
            await asyncio.sleep(0.5)
            if (await asyncio.to_thread(_shares, stack, ended, after))[-1] >= _BACK:
                break
    return during, after, began, ended


def _waited(stack: Stack, accepted: Sequence[Accepted], sql: str) -> list[float]:
    """Seconds from each 202 to the moment that ``sql`` tells of its notification, in order."""
    at = dict(stack.query(sql))
    ids = [(each.at, next(iter(each.notifications.values()))) for each in accepted]
    return sorted(at[one] - began for began, one in ids)


def _shares(stack: Stack, since: float, accepted: Sequence[Accepted]) -> list[float]:
    """Share of the alerts of each span of time after the outage that went out as a text."""
    texted = {
        one
        for (one,) in stack.query(
            "SELECT DISTINCT notification FROM attempt WHERE step = 0 AND what = 'send'"
            f" AND result = 'accepted' AND at > to_timestamp({since})"
        )
    }
    spans: dict[int, list[bool]] = {}
    for each in accepted:
        one = next(iter(each.notifications.values()))
        spans.setdefault(int((each.at - since) / _SPAN_S), []).append(one in texted)
    return [sum(found) / len(found) for _, found in sorted(spans.items())]


def _outage(stack: Stack, run: _Run, scenario: Begin) -> None:
    row = scenario(number=9, name=f"503 from Twilio for {run.down_s:.0f} s under load")
    stack.start_edge()
    for n in range(run.relays):
        stack.start_relay(f"relay-{n}")
    during, after, began, ended = asyncio.run(_load(stack, run))
    # What is asked of Twilio still needs its time.
    stack.wait_until_final(within_s=180)
    delivered = _waited(
        stack, during, "SELECT id, extract(epoch FROM final_at)::float8 FROM notification"
    )
    calls = stack.query(
        "SELECT count(*) FILTER (WHERE what = 'send'), count(*) FILTER (WHERE what = 'ask'),"
        " count(*) FILTER (WHERE what = 'skip') FROM attempt WHERE provider = 'twilio'"
        f" AND at BETWEEN to_timestamp({began}) AND to_timestamp({ended})"
    )[0]
    shares = _shares(stack, ended, after)
    states = dict(stack.query("SELECT state, count(*) FROM notification GROUP BY 1"))
    print(
        f"\n{run.alerts} alerts in {run.down_s:.0f} s without Twilio, {run.relays} relays: reached "
        f"after {delivered[len(delivered) // 2]:.2f} s (median), "
        f"{delivered[int(len(delivered) * 0.99)]:.2f} s (p99), {delivered[-1]:.2f} s (last); "
        f"{calls[0]} texts tried, {calls[1]} questions, {calls[2]} passed over. Afterwards texts "
        f"by share: {' '.join(f'{share:.0%}' for share in shares)}; {states}",
    )
    row.tries = calls[0]
    row.lost = 20 + len(during) + len(after) - states.get("delivered", 0)
    row.recovered_s = len(shares) * _SPAN_S
    row.why = f"alerts went by push, the last after {delivered[-1]:.1f} s"
    assert states == {"delivered": 20 + len(during) + len(after)}
    assert delivered[-1] < _DEADLINE_S
    # Each sender of each relay fails until its breaker opens, and is probed now and then; what
    # was under way when it opened comes on top.
    probes = 2 + run.down_s / COOL_S[0]
    at_most = run.relays * _SENDERS * (LEAST + probes) + run.per_s * 2
    assert calls[0] <= at_most, f"{calls[0]} texts were tried, at most {at_most:.0f}"
    assert calls[2] >= run.alerts * 0.7
    # A few at first, then all of them.
    assert shares[0] <= 0.6
    assert shares[-1] >= _BACK
    assert len(shares) * _SPAN_S >= RETURN_S / 2
    middle = len(shares) // 2
    assert sum(shares[:middle]) / middle < sum(shares[middle:]) / (len(shares) - middle)


@pytest.mark.long
def test_twilio_is_down_for_a_while(stack: Stack, scenario: Begin) -> None:
    """300 alerts in 20 s."""
    _outage(
        stack, _Run(alerts=300, down_s=20.0, after_s=RETURN_S + COOL_S[1] + 10, relays=1), scenario
    )


@pytest.mark.long
def test_twilio_is_down_for_two_minutes(stack: Stack, scenario: Begin) -> None:
    """5,000 alerts in two minutes."""
    _outage(
        stack,
        _Run(alerts=5_000, down_s=120.0, after_s=RETURN_S + COOL_S[1] + 10, relays=2),
        scenario,
    )
