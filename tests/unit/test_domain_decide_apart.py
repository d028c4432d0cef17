"""What happens next where no call is made, or no more calls are wanted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from outbox.domain import decide, plans
from outbox.domain.decide import Final, Move, Standing
from outbox.domain.history import Called, History
from outbox.domain.outcomes import Outcome, Result
from outbox.domain.plans import Channel, Plan
from outbox.domain.states import Lane, State, Work
from tests.unit.plans_drawn import _jitters, _plans, after


class _Block(Struct, frozen=True):
    """Why no call may be made."""

    is_down: bool
    wait_s: float
    age_s: float
    jitter: float


_blocks = st.builds(
    _Block,
    is_down=st.booleans(),
    wait_s=st.floats(0.1, 5000),
    age_s=st.floats(0, 5000),
    jitter=_jitters,
)


@given(_plans, _blocks, st.sets(st.sampled_from(Channel)), st.data())
def test_a_call_that_could_not_be_made_costs_no_attempt_and_fails_nothing(
    plan: Plan,
    block: _Block,
    usable: set[Channel],
    data: st.DataObject,
) -> None:
    step = data.draw(st.integers(0, len(plan.steps) - 1))
    move, tell = decide.after_blocked(
        plan,
        step=step,
        attempt=3,
        step_age_s=block.age_s,
        is_down=block.is_down,
        wait_s=block.wait_s,
        jitter=lambda: block.jitter,
        usable=usable.__contains__,
    )
    urgent = plan.lane_number is Lane.SAFETY
    assert move.parked is None
    assert move.delay_s is not None
    if move.step == step:
        assert move.attempt == 2
        assert 0.75 * block.wait_s <= move.delay_s <= 2 * block.wait_s
        # Somebody must know of an alert that nobody can deliver, and of nothing else.
        assert tell == (urgent and block.is_down)
    else:
        assert urgent
        assert not tell
        assert plan.steps[move.step].channel in usable
        skipped = plan.steps[step + 1 : move.step]
        assert not any(each.channel in usable for each in skipped)
        assert block.is_down or block.age_s + block.wait_s > plan.steps[step].retry_within_s
    later = [each.channel for each in plan.steps[step + 1 :]]
    if urgent and block.is_down and any(channel in usable for channel in later):
        assert move.step > step


@given(_plans, st.sampled_from(Work), st.integers(0, 5), st.data())
def test_a_fault_of_our_code_is_tried_once_more_and_then_out_of_everybodys_way(
    plan: Plan, work: Work, suspect: int, data: st.DataObject
) -> None:
    step = data.draw(st.integers(0, len(plan.steps) - 1))
    move = decide.after_fault(plan, work=work, step=step, attempt=1, suspect=suspect)
    if suspect + 1 < decide.FAULTS:
        assert isinstance(move, Move)
        assert (move.step, move.suspect, move.parked) == (step, suspect + 1, None)
        assert move.delay_s == decide.FAULT_PAUSE_S
        sms = plan.steps[step].channel is Channel.SMS
        # A text may be out already: it is not sent again unasked.
        assert move.work == (Work.RESOLVE if sms and work != Work.HOLD else work)
    elif plan.lane_number is Lane.SAFETY:
        assert move == decide.next_step(plan, step, "quarantined")
    else:
        assert isinstance(move, Move)
        assert (move.parked, move.delay_s) == ("quarantined", None)


def _called(what: str, result: Result) -> Called:
    return Called(
        step=0,
        fence=1,
        what=what,
        channel="sms",
        provider="twilio",
        sender=0,
        result=result,
        code=None,
        provider_id=None,
    )


_calls = st.builds(_called, st.sampled_from(["send", "ask", "skip"]), st.sampled_from(Result))
_histories = st.lists(_calls, max_size=4).map(lambda calls: History(tuple(calls)))


def _maybe_sent(history: History) -> bool:
    maybe = {Result.ACCEPTED, Result.WARNING, Result.OUTCOME_UNKNOWN}
    sends = [call for call in history.calls if call.what == "send"]
    asked = any(call.what == "ask" for call in history.calls)
    return asked or any(call.result in maybe for call in sends)


@given(_histories)
def test_cancelled_means_that_nothing_is_at_a_provider(history: History) -> None:
    end = decide.after_cancel(history)
    assert (end.state == State.CANCELLED) == (not _maybe_sent(history))
    assert end.reason


@given(_histories, st.sampled_from(State), st.none() | st.sampled_from(Work), st.booleans())
def test_an_all_clear_goes_to_exactly_those_who_were_or_may_have_been_alerted(
    history: History, state: State, work: Work | None, claimed: bool
) -> None:
    move = decide.after_hold(Standing(state, work, claimed, history))
    told = state == State.DELIVERED or work in {Work.AWAIT, Work.ASK} or _maybe_sent(history)
    if told:
        assert move == Move(work=Work.SEND, step=0, attempt=0)
    elif work is not None or claimed:
        assert move == Move(work=Work.HOLD, step=0, attempt=0, delay_s=decide.HOLD_AGAIN_S)
    else:
        assert move == Final(state=State.CANCELLED, reason="never_alerted")


def test_an_alert_that_is_not_there_is_taken_back_from_nobody() -> None:
    assert decide.after_hold(None) == Final(state=State.CANCELLED, reason="never_alerted")


def _looks(plan: Plan) -> Iterator[float]:
    """When a receipt that never comes is asked for, in seconds since the acceptance."""
    within = float(plan.steps[0].receipt_within_s or 0)
    move = after(plan, Outcome(result=Result.ACCEPTED, provider="twilio"))
    now, asked = 0.0, 0
    while True:
        assert isinstance(move, Move)
        now += move.delay_s or 0.0
        if now >= within:
            return
        yield now
        asked += 1
        move = decide.after_look(plan, step=0, attempt=1, asked=asked, left_s=within - now)


@pytest.mark.parametrize(
    ("kind", "looks"),
    [
        ("checkin.missed", [15, 45, 55]),
        ("checkin.all_clear", [15, 45, 105, 115]),
        ("checkin.confirmed", [30, 90, 210, 295]),
    ],
)
def test_a_receipt_is_asked_for_ever_more_rarely_and_once_shortly_before_its_deadline(
    kind: str, looks: list[float]
) -> None:
    assert list(_looks(plans.defaults()[kind])) == looks
