"""Gates with a clock that tests move."""

from __future__ import annotations

from hypothesis import strategies as st

from outbox.domain.breaker import LEAST, Breaker
from outbox.domain.outcomes import Outcome, Result
from outbox.domain.states import Lane
from outbox.relay.gate import Gate, Way
from outbox.store.gates import SenderKey

_pauses = st.sampled_from([0.0, 0.01, 0.5, 1.0, 5.0, 20.0])


class Clock:
    """Goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def outcome(result: Result, code: str | None = None, wish: float | None = None) -> Outcome:
    return Outcome(result=result, provider="twilio", code=code, retry_after_s=wish)


ACCEPTED = outcome(Result.ACCEPTED)
BROKEN = outcome(Result.OUTCOME_UNKNOWN, "20500")
SLOWER = outcome(Result.RETRYABLE, "20429", 30.0)
REFUSED = outcome(Result.SENDER_FAULT, "21606")


def way(clock: Clock, *, rate: float | None = None, sender: str = "a") -> Way:
    return Way(
        key=SenderKey("twilio", sender),
        label=sender,
        rate=rate,
        breaker=Breaker(lambda: 0.5),
    )


def gate_of(clock: Clock, *ways: Way, jitter: float = 0.5) -> Gate:
    return Gate(ways, clock=clock, jitter=lambda: jitter)


def opened(clock: Clock) -> tuple[Gate, Way]:
    one = way(clock)
    gate = gate_of(clock, one)
    for _ in range(LEAST):
        gate.heard(one, gate.ask(one, Lane.SAFETY), BROKEN)
    return gate, one
