"""A relay is killed again and again under load: nothing is lost, each duplicate is explained."""

from __future__ import annotations

import json
import time

import pytest

from tests.faults.conftest import Begin
from tests.faults.stack import Stack, day, number, wait_for, write_events

_EVENTS = 20_000
_ALERTS_PER_HUNDRED = 25
_KILLS = 5
_LATENCY_MS = 1_500


def _held(stack: Stack) -> set[tuple[str, int, int]]:
    """Calls in flight: notification, fence and lane of every row in a relay's hands."""
    rows = stack.query("SELECT notification::text, fence, lane FROM due WHERE owner IS NOT NULL")
    return set(rows)


def _never_settled(stack: Stack, held: set[tuple[str, int, int]]) -> list[int]:
    """Lanes of those whose call no relay ever settled: its relay was killed in the middle."""
    rows = stack.query("SELECT notification::text, fence FROM attempt")
    settled = set(rows)
    return [lane for notification, fence, lane in held if (notification, fence) not in settled]


@pytest.mark.long
def test_sigkill_of_a_relay_under_load_loses_nothing(stack: Stack, scenario: Begin) -> None:
    """20,000 events, five kills; the ledger holds each alert at least once."""
    row = scenario(number=2, name=f"one of two relays killed under load, {_EVENTS:,} events")
    stack.start_edge()
    stack.faults(provider="twilio", latency_ms=_LATENCY_MS)
    stack.start_relay("relay-a")
    victim = stack.start_relay("relay-b")
    events = day("kill", _EVENTS, alerts_per_hundred=_ALERTS_PER_HUNDRED)
    sending = stack.send(write_events(stack.folder / "events.ndjson", events))
    held: set[tuple[str, int, int]] = set()
    for kill in range(_KILLS):
        wait_for(
            lambda: sum(lane == 0 for _, _, lane in _held(stack)) > 60,
            within_s=60,
            what="alerts in flight",
        )
        # Claims of both relays are in flight; the one that lives settles its own.
        time.sleep(2.5)
        victim.kill()
        held |= _held(stack)
        victim = stack.start_relay(f"relay-b{kill + 2}")
    assert sending.wait(300) == 0
    stack.faults(provider="twilio", latency_ms=0, for_s=1)
    recovery = stack.wait_until_final(within_s=240)

    killed = _never_settled(stack, held)
    states = dict(stack.query("SELECT state, count(*) FROM notification GROUP BY 1"))
    ledger = stack.ledger()
    texts = {n: ledger["twilio", number(n)] for n in range(_EVENTS)}
    alerts = [n for n in texts if n % 100 < _ALERTS_PER_HUNDRED]
    duplicates = sum(times - 1 for times in texts.values() if times > 1)
    asked = stack.query(
        "SELECT count(*) FILTER (WHERE result = 'accepted'),"
        " count(*) FILTER (WHERE result <> 'accepted')"
        " FROM attempt WHERE what = 'ask'",
    )[0]
    print(
        f"\n{_KILLS} kills: {len(killed)} attempts in flight, {killed.count(0)} of them alerts; "
        f"{duplicates} duplicates. Resolved by asking Twilio: {asked[0]} found, "
        f"{asked[1]} times absent or unanswered. States: {states}. "
        f"Final {recovery:.0f} s after the last event.",
    )
    said = (stack.folder / "send.log").read_text()
    # Its progress goes before its answer.
    report = json.loads(said[said.index("{") :])
    assert report["accepted"] + report["duplicate"] == _EVENTS
    assert states == {"delivered": _EVENTS}
    assert all(texts[n] >= 1 for n in alerts), "an alert is missing in the ledger"
    assert all(times >= 1 for times in texts.values())
    row.tries, row.recovered_s = _KILLS, recovery
    row.lost = sum(times == 0 for times in texts.values())
    # Twilio can be asked, so a kill alone repeats nothing.
    row.duplicated, row.explained = duplicates, min(duplicates, len(killed))
    row.why = f"{len(killed)} calls were in flight, of which Twilio was asked"
    assert len(killed) >= 1_000
    assert killed.count(0) >= 100
