"""What happens next: from a step's outcome to the move of its due row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.domain import decide, plans
from outbox.domain.decide import Final, Move
from outbox.domain.outcomes import SENT, STEP_IS_OVER, Outcome, Result
from outbox.domain.plans import Channel, OnUnknown, Plan
from outbox.domain.states import FINAL, Lane, State, Work
from tests.unit.plans_drawn import _jitters, _outcomes, _plans, after

_answers = st.sampled_from(["absent", "silent", "found", "found failed"])

# What comes on top of a step's windows: an unknown outcome, its questions, and their backoff.
_ON_TOP_S = decide.RESOLVE_AFTER_S + 3 * decide.ASK_AGAIN_S + 2 * 120
_MOST_MOVES = 20_000


class _Life:
    """One notification, moved by what is decided; time passes by the decided delays alone."""

    def __init__(self, plan: Plan, data: st.DataObject) -> None:
        self.plan = plan
        self.data = data
        self.now = 0.0
        self.step_at = 0.0
        self.receipt_until = 0.0
        self.visited = [0]
        self.asked = 0

    def run(self) -> Move | Final:
        """Decide until it is over, or parked."""
        move: Move | Final = Move(work=Work.SEND, step=0, attempt=0)
        for _ in range(_MOST_MOVES):
            if isinstance(move, Final) or move.delay_s is None:
                return move
            assert move.delay_s >= 0
            self.now += move.delay_s
            if move.step != self.visited[-1]:
                self.visited.append(move.step)
                self.step_at = self.now
            move = self._next(move)
        return pytest.fail("it does not end")

    @property
    def age_s(self) -> float:
        return self.now - self.step_at

    def _next(self, move: Move) -> Move | Final:
        if move.work == Work.AWAIT:
            if move.receipt_within_s is not None:
                self.receipt_until = self.now - (move.delay_s or 0) + move.receipt_within_s
            return self._await(move)
        if move.work == Work.RESOLVE:
            return self._resolve(move)
        return decide.after_call(
            self.plan,
            step=move.step,
            attempt=move.attempt + 1,
            step_age_s=self.age_s,
            outcome=self.data.draw(_outcomes),
            jitter=lambda: self.data.draw(_jitters),
        )

    def _await(self, move: Move) -> Move | Final:
        left_s = self.receipt_until - self.now
        # A question never comes after the deadline.
        assert left_s > -0.001
        if left_s <= 0.001 or self.data.draw(st.booleans()):
            return decide.next_step(self.plan, move.step, "no_receipt")
        return decide.after_look(
            self.plan, step=move.step, attempt=move.attempt, asked=move.asked + 1, left_s=left_s
        )

    def _resolve(self, move: Move) -> Move | Final:
        answer = self.data.draw(_answers)
        given = {"step": move.step, "attempt": move.attempt}
        if answer == "absent":
            return decide.after_absent(
                self.plan, **given, asked=move.asked + 1, step_age_s=self.age_s
            )
        if answer == "silent":
            return decide.after_unanswered(
                self.plan,
                **given,
                asked=move.asked,
                step_age_s=self.age_s,
                jitter=lambda: self.data.draw(_jitters),
            )
        failed = "twilio_30005" if answer == "found failed" else None
        return decide.after_found(self.plan, **given, failed=failed)


@given(_plans, st.data())
def test_whatever_is_said_it_ends_in_time_step_after_step(plan: Plan, data: st.DataObject) -> None:
    life = _Life(plan, data)
    end = life.run()
    # Every step at most once, in their order: exactly one fallback for each.
    assert life.visited == sorted(set(life.visited))
    assert life.visited[-1] < len(plan.steps)
    longest = sum(
        step.retry_within_s + 1 + (step.receipt_within_s or 0) + _ON_TOP_S for step in plan.steps
    )
    assert life.now <= longest
    if isinstance(end, Final):
        assert end.state in FINAL
        assert (end.state == State.DELIVERED) == (end.proof is not None)
        assert end.state == State.DELIVERED or end.reason
    else:
        # An alert never waits for a person; what does says why.
        assert plan.lane_number is not Lane.SAFETY
        assert end.parked


@given(_plans, _outcomes.filter(lambda outcome: outcome.result in STEP_IS_OVER), st.data())
def test_what_is_final_for_the_channel_takes_the_next_step_at_once(
    plan: Plan, outcome: Outcome, data: st.DataObject
) -> None:
    step = data.draw(st.integers(0, len(plan.steps) - 1))
    move = after(plan, outcome, step=step)
    if step + 1 < len(plan.steps):
        assert move == Move(work=Work.SEND, step=step + 1, attempt=0, delay_s=0.0)
    else:
        suppressed = outcome.result is Result.RECIPIENT_SUPPRESSED
        assert isinstance(move, Final)
        assert move.state == (State.SUPPRESSED if suppressed else State.UNDELIVERABLE)
        assert move.reason


@given(_plans, st.integers(1, 100_000), _jitters, st.floats(0, 5000), st.none() | st.floats(0, 9e4))
def test_a_temporary_fault_is_tried_again_inside_the_steps_window_or_not_at_all(
    plan: Plan, attempt: int, jitter: float, age_s: float, wish_s: float | None
) -> None:
    outcome = Outcome(result=Result.RETRYABLE, provider="twilio", retry_after_s=wish_s)
    move = after(plan, outcome, attempt=attempt, jitter=lambda: jitter, step_age_s=age_s)
    if isinstance(move, Move) and move.step == 0:
        assert (move.work, move.attempt) == (Work.SEND, attempt)
        assert move.delay_s is not None
        assert age_s + move.delay_s <= plan.steps[0].retry_within_s
        assert move.delay_s >= (wish_s or 0)
    else:
        # There was no room for the wait that was due.
        least = wish_s if wish_s is not None else 0
        assert age_s + max(least, 120) + 1 > plan.steps[0].retry_within_s


@given(_plans, _outcomes.filter(lambda outcome: outcome.result in SENT))
def test_what_was_taken_waits_for_its_receipt_or_is_delivered_if_none_is_asked_for(
    plan: Plan, outcome: Outcome
) -> None:
    move, step = after(plan, outcome), plan.steps[0]
    if step.receipt_within_s is None:
        assert move == Final(state=State.DELIVERED, proof="accepted", channel=step.channel)
    else:
        assert isinstance(move, Move)
        assert (move.work, move.step) == (Work.AWAIT, 0)
        assert move.receipt_within_s == step.receipt_within_s
        assert move.delay_s is not None
        # Looked at before the deadline where the provider can be asked, and at it in any case.
        assert 0 < move.delay_s <= step.receipt_within_s
        assert step.channel is Channel.SMS or move.delay_s == step.receipt_within_s


@given(_plans, st.sampled_from([Result.CONFIGURATION_FAULT, Result.SENDER_FAULT]))
def test_a_fault_of_ours_parks_a_note_and_sends_an_alert_on(plan: Plan, result: Result) -> None:
    move = after(plan, Outcome(result=result, provider="twilio", code="20003"))
    if plan.lane_number is Lane.SAFETY:
        assert move == decide.next_step(plan, 0, "twilio_20003")
    else:
        assert isinstance(move, Move)
        assert (move.delay_s, move.parked, move.attempt) == (None, "twilio_20003", 0)


@given(_plans, st.integers(1, 9))
def test_another_sender_is_tried_at_once_within_the_step(plan: Plan, attempt: int) -> None:
    refused = Outcome(result=Result.SENDER_FAULT, provider="twilio", code="21606")
    move = after(plan, refused, attempt=attempt, another_sender=True)
    assert move == Move(work=Work.SEND, step=0, attempt=attempt, delay_s=0.0)


def test_a_page_is_never_given_up_for_a_fault_of_ours() -> None:
    plan = plans.defaults()["operator.page"]
    for result in (Result.CONFIGURATION_FAULT, Result.SENDER_FAULT):
        move = after(plan, Outcome(result=result, provider="operator"))
        assert move == Move(work=Work.SEND, step=0, attempt=1, delay_s=decide.PAGE_RETRY_S)


@given(_plans)
def test_an_unknown_outcome_is_asked_about_where_that_is_possible_and_repeated_where_not(
    plan: Plan,
) -> None:
    move = after(plan, Outcome(result=Result.OUTCOME_UNKNOWN, provider="x"), jitter=lambda: 0.0)
    assert isinstance(move, Move)
    sms = plan.steps[0].channel is Channel.SMS
    assert move.work == (Work.RESOLVE if sms else Work.SEND)
    assert move.delay_s == (decide.RESOLVE_AFTER_S if sms else 0)


@given(_plans, st.integers(1, 3), st.floats(0, 9000))
def test_absent_is_believed_the_second_time(plan: Plan, asked: int, age_s: float) -> None:
    move = decide.after_absent(plan, step=0, attempt=2, asked=asked, step_age_s=age_s)
    if asked < 2:
        assert move == Move(
            work=Work.RESOLVE, step=0, attempt=2, asked=asked, delay_s=decide.ASK_AGAIN_S
        )
    elif age_s <= plan.steps[0].retry_within_s:
        assert move == Move(work=Work.SEND, step=0, attempt=2)
    else:
        assert move == decide.next_step(plan, 0, "outcome_unknown")


@given(_plans, st.floats(0, 9000))
def test_after_the_window_an_alert_prefers_a_duplicate_and_a_note_silence(
    plan: Plan, age_s: float
) -> None:
    move = decide.after_unanswered(
        plan, step=0, attempt=1, asked=1, step_age_s=age_s, jitter=lambda: 0.5
    )
    if age_s <= plan.steps[0].retry_within_s:
        assert isinstance(move, Move)
        assert (move.work, move.asked) == (Work.RESOLVE, 1)
        assert move.delay_s is not None
        assert move.delay_s >= decide.ASK_AGAIN_S
    elif plan.on_unknown is OnUnknown.RESEND:
        assert move == decide.next_step(plan, 0, "outcome_unknown")
