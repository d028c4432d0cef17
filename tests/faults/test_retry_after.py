"""FCM says 429 with Retry-After: nobody calls it before the time is over, to the second."""

from __future__ import annotations

import asyncio
import time

from outbox.simulators import magic
from tests.faults.conftest import Begin
from tests.faults.stack import Stack
from tests.faults.traffic import backend, contact, event

_PER_S = 20.0
_WISH_S = 6
_LOAD_S = 12.0
_OTHERS_HEAR_S = 1.5
"""Relays tell each other about once a second."""


async def _load(stack: Stack) -> int:
    """Alerts to landlines, which go by push at once; FCM refuses for a moment in the middle."""
    count = int(_PER_S * _LOAD_S)
    async with backend(stack) as caller:
        await caller.devices((f"c{n}", magic.token("delivered", n)) for n in range(count))
        alerts = [
            event("checkin.missed", n, contact(n, magic.number("landline", n)))
            for n in range(count)
        ]
        posting = asyncio.create_task(caller.post_at_a_pace(alerts, per_s=_PER_S))
        await asyncio.sleep(3.0)
        fault = {"provider": "fcm", "status": 429, "retry_after": _WISH_S, "for_s": 1.0}
        await asyncio.to_thread(stack.faults, **fault)
        await posting
    return count


def test_a_wish_of_fcm_is_obeyed_to_the_second_by_all_relays(
    forked: Stack, scenario: Begin
) -> None:
    """Two relays, 20 alerts a second."""
    stack = forked
    row = scenario(number=9, name="429 with Retry-After from FCM, two relays")
    stack.start_edge()
    for name in ("relay-a", "relay-b"):
        stack.start_relay(name)
    count = asyncio.run(_load(stack))
    stack.wait_until_final(within_s=60)

    calls = stack.query(
        "SELECT extract(epoch FROM at)::float8, latency_ms / 1000.0::float8, code FROM attempt"
        " WHERE provider = 'fcm' AND what = 'send' ORDER BY at"
    )
    refused = [(float(at), float(at) + float(took)) for at, took, code in calls if code is not None]
    first, told = refused[0][0], refused[0][1]
    ends = max(at for _, at in refused) + _WISH_S
    meanwhile = [float(at) - told for at, *_ in calls if told < float(at) < told + _WISH_S]
    resumed = min(float(at) for at, *_ in calls if float(at) >= told + _WISH_S)
    states = dict(stack.query("SELECT state, count(*) FROM notification GROUP BY 1"))
    print(
        f"\n{count} alerts by push at {_PER_S:.0f}/s, 2 relays, Retry-After {_WISH_S} s: "
        f"{len(refused)} refused, {len(meanwhile)} called within the wait (the last "
        f"{max(meanwhile, default=0):.2f} s into it), called again "
        f"{resumed - ends:+.2f} s after its end; {states}",
    )
    row.tries, row.recovered_s = len(refused), max(0.0, resumed - ends)
    row.lost = count - states.get("delivered", 0)
    assert len(refused) >= 1
    # Only what was under way, or what another relay had not heard of yet.
    assert max(meanwhile, default=0.0) <= _OTHERS_HEAR_S
    assert len(meanwhile) <= _PER_S * _OTHERS_HEAR_S
    assert first <= told
    assert -0.01 <= resumed - ends <= 4.0
    assert states == {"delivered": count}
    assert time.time() > ends
