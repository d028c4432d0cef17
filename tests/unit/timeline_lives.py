"""Lives of notifications, as relays write them, for the tests of their stories."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from msgspec.structs import replace

from outbox.domain import plans, timeline
from outbox.domain.outcomes import Result
from outbox.domain.receipts import Rank
from outbox.domain.states import FINAL, State
from outbox.domain.timeline import Call, Life, Receipt

START = datetime(2026, 11, 23, 9, tzinfo=UTC)
PLAN = plans.defaults()["checkin.missed"]
CHANNELS = [step.channel for step in PLAN.steps]
_PROVIDERS = {"sms": "twilio", "push": "fcm", "page": "operator"}


def moment(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def made(step: int, fence: int, at: float, result: Result, **changed: object) -> Call:
    channel = CHANNELS[step]
    one = Call(
        at=moment(at),
        step=step,
        fence=fence,
        attempt=1,
        what="send",
        channel=channel,
        provider=_PROVIDERS[channel],
        provider_id=None,
        result=result,
        code=None,
        detail=None,
        latency_ms=100,
        stale=False,
    )
    return replace(one, **changed)


def heard(call: Call, at: float, status: str, rank: Rank, code: str | None = None) -> Receipt:
    return Receipt(
        at=moment(at),
        step=call.step,
        fence=call.fence,
        source=call.provider,
        provider_id=None,
        status=status,
        code=code,
        rank=rank,
    )


def lived(**changed: object) -> Life:
    life = Life(
        plan=PLAN,
        state=State.OPEN,
        reason=None,
        proof=None,
        channel=None,
        created_at=START,
        final_at=None,
        step=0,
        origin="backend (e_1)",
        calls=(),
        receipts=(),
    )
    return replace(life, **changed)


@st.composite
def lives(draw: st.DrawFn) -> Life:
    """A life as relays write it: steps one after the other, each with its calls and receipts."""
    calls: list[Call] = []
    receipts: list[Receipt] = []
    now, fence = 0.0, 0
    visited = sorted(draw(st.sets(st.integers(0, len(CHANNELS) - 1))))
    gaps = st.integers(1, 200)
    for step in visited:
        for attempt in range(1, draw(st.integers(1, 3)) + 1):
            now, fence = now + draw(gaps), fence + 1
            one = made(step, fence, now, draw(st.sampled_from(Result)), attempt=attempt)
            skipped = draw(st.integers(0, 5)) == 0
            code = draw(st.sampled_from(["provider_down", "rate"])) if skipped else "30003"
            what = "skip" if skipped else draw(st.sampled_from(["send", "send", "send", "ask"]))
            calls.append(replace(one, what=what, code=code))
            if draw(st.booleans()):
                now += draw(gaps)
                failed = draw(st.booleans())
                status, rank = ("undelivered", Rank.FAILED) if failed else ("sent", Rank.SENT)
                receipts.append(heard(one, now, status, rank, "30005" if failed else None))
        now += draw(st.integers(60, 400))
    state = draw(st.sampled_from(State))
    last = visited[-1] if visited else 0
    return lived(
        state=state,
        reason=None if state in {State.OPEN, State.DELIVERED} else draw(_reasons),
        proof="carrier" if state == State.DELIVERED else None,
        final_at=moment(now) if state in FINAL else None,
        step=draw(st.integers(last, len(CHANNELS))),
        calls=tuple(calls),
        receipts=tuple(receipts),
    )


_reasons = st.sampled_from([*timeline._REASONS, "twilio_30005"])
