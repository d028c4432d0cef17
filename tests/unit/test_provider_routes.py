"""One recipient whom a sender cannot reach takes that sender from nobody else."""

from __future__ import annotations

import pytest

from outbox.domain.breaker import Breaker
from outbox.domain.outcomes import Outcome, Result
from outbox.relay.gate import Gate, Way
from outbox.store.gates import SenderKey


def gate() -> Gate:
    ways = [
        Way(
            key=SenderKey("twilio", sender),
            label=sender,
            rate=None,
            breaker=Breaker(lambda: 0.5),
        )
        for sender in ("first", "second")
    ]
    return Gate(ways, clock=lambda: 100.0, jitter=lambda: 0.5)


@pytest.mark.parametrize(
    ("code", "down"),
    [("21612", False), ("21657", False), ("21606", True), ("21611", True)],
)
def test_only_a_fault_of_the_sender_itself_rests_it(code: str, down: bool) -> None:
    gates = gate()
    for way in gates.ways:
        verdict = gates.ask(way, 0)
        gates.heard(way, verdict, Outcome(result=Result.SENDER_FAULT, provider="twilio", code=code))
    assert gates.is_down("twilio") is down
    assert all(gates.ask(way, 0).go is not down for way in gates.ways)
