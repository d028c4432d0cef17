"""The story of a notification: in order, complete, and with a reason for each decision."""

from __future__ import annotations

import pytest
from hypothesis import given
from msgspec.structs import replace

from outbox.domain import timeline
from outbox.domain.outcomes import SENT, Result
from outbox.domain.receipts import Rank
from outbox.domain.states import FINAL, State
from outbox.domain.timeline import Act, Entry, Life, tell
from tests.unit.timeline_lives import CHANNELS, PLAN, START, heard, lived, lives, made, moment


def _decisions(story: list[Entry]) -> list[Entry]:
    return [entry for entry in story if entry.outcome == "next_step"]


@given(lives())
def test_the_story_begins_with_the_acceptance_and_is_in_order(life: Life) -> None:
    story = tell(life)
    assert story[0] == Entry(at=START, what="accepted", detail="from backend (e_1)")
    assert story == sorted(story, key=lambda entry: entry.at)


@given(lives())
def test_every_call_and_receipt_is_told_once(life: Life) -> None:
    story = tell(life)
    told = [(e.at, e.step, e.outcome) for e in story if e.what == "attempt"]
    called = [(c.at, c.step, c.result) for c in life.calls if c.what != "skip"]
    assert sorted(told) == sorted(called)
    said = [(e.at, e.step, e.outcome, e.code) for e in story if e.what == "receipt"]
    assert sorted(said, key=str) == sorted(
        [(r.at, r.step, r.status, r.code) for r in life.receipts], key=str
    )


@given(lives())
def test_every_change_of_step_is_one_decision_with_its_reason(life: Life) -> None:
    tried = sorted({call.step for call in life.calls if call.what != "ask"})
    told = life.step < len(CHANNELS) and (life.state not in FINAL or not tried)
    reached = [*tried, life.step] if told else tried
    changes = sorted(set(reached))[1:] + ([min(reached)] if reached and min(reached) > 0 else [])
    decisions = _decisions(tell(life))
    assert sorted(each.step or 0 for each in decisions) == sorted(changes)
    for each in decisions:
        assert each.step is not None
        assert each.channel == CHANNELS[each.step]
        assert each.detail
        # In words: nothing of how we name things inside.
        assert "_" not in each.detail
        assert each.channel in each.detail


@given(lives())
def test_a_decision_stands_between_the_call_that_led_to_it_and_the_one_that_follows(
    life: Life,
) -> None:
    sends = [call for call in life.calls if call.what != "ask"]
    for decision in _decisions(tell(life)):
        before = [call for call in sends if call.step < (decision.step or 0)]
        after = [call for call in sends if call.step >= (decision.step or 0)]
        assert all(call.at <= decision.at for call in before)
        assert all(decision.at <= call.at for call in after)


@given(lives())
def test_an_end_is_told_once_and_only_if_there_is_one(life: Life) -> None:
    ends = [entry for entry in tell(life) if entry.outcome == life.state]
    if life.state == State.OPEN:
        assert ends == []
        return
    [end] = ends
    assert end.what == ("cancelled" if life.state == State.CANCELLED else "decision")
    assert end.code == life.reason
    assert end.detail
    assert life.final_at in {None, end.at}


@given(lives())
def test_a_story_is_made_of_the_words_that_the_contract_knows(life: Life) -> None:
    known = {"accepted", "attempt", "receipt", "decision", "cancelled", "redriven"}
    assert {entry.what for entry in tell(life)} <= known


@pytest.mark.parametrize("result", sorted(set(Result) - SENT))
def test_every_class_of_refusal_has_its_words(result: Result) -> None:
    [decision] = _decisions(tell(lived(step=1, calls=(made(0, 1, 1, result),))))
    assert decision.detail is not None
    assert "_" not in decision.detail


def test_a_receipt_that_told_of_a_failure_is_the_reason_with_its_code() -> None:
    text, push = made(0, 1, 1, Result.ACCEPTED), made(1, 2, 9, Result.ACCEPTED)
    failed = heard(text, 7, "undelivered", Rank.FAILED, "30005")
    [decision] = _decisions(tell(lived(step=1, calls=(text, push), receipts=(failed,))))
    assert (decision.at, decision.code) == (moment(7), "30005")
    assert decision.detail == "sms undelivered: next push"


def test_a_receipt_that_did_not_come_is_the_reason_at_its_deadline() -> None:
    # Or when the next call was made, if that was by a clock that is behind.
    for at, decided in ((70, 61.1), (60, 60)):
        calls = (made(0, 1, 1, Result.ACCEPTED), made(1, 2, at, Result.ACCEPTED))
        [decision] = _decisions(tell(lived(step=1, calls=calls)))
        assert decision.at == moment(decided)
    assert decision.detail == "no receipt within 60 s: next push"


def test_a_failure_of_another_call_is_not_the_reason() -> None:
    early, late = (made(0, fence, fence, Result.ACCEPTED) for fence in (1, 2))
    failed = heard(early, 30, "undelivered", Rank.FAILED, "30005")
    [decision] = _decisions(tell(lived(step=1, calls=(early, late), receipts=(failed,))))
    assert decision.detail == "no receipt within 60 s: next push"


def test_who_has_no_number_starts_with_the_channel_that_can_work() -> None:
    story = tell(lived(step=1, calls=(made(1, 1, 2, Result.ACCEPTED),)))
    [decision] = _decisions(story)
    assert decision.at == START
    assert decision.detail == "starts with push: the steps before cannot work"


@pytest.mark.parametrize(("state", "said"), [(State.OPEN, 1), (State.UNDELIVERABLE, 0)])
def test_a_step_that_was_never_tried_is_not_told_of_a_finished_one(state: State, said: int) -> None:
    calls = (made(0, 1, 1, Result.CHANNEL_FINAL), made(1, 2, 2, Result.CHANNEL_FINAL))
    story = tell(lived(step=2, calls=calls, state=state))
    steps = [entry.step for entry in story if entry.outcome == "next_step"]
    assert steps == [1, 2][: 1 + said]


def test_a_step_that_was_passed_over_is_said() -> None:
    calls = (made(0, 1, 1, Result.CHANNEL_FINAL), made(2, 2, 5, Result.ACCEPTED))
    [decision] = _decisions(tell(lived(step=2, calls=calls)))
    assert decision.detail == "final for sms: next sms, skipping what cannot work"


def test_after_a_redrive_each_run_has_its_own_reasons() -> None:
    refused = made(0, 1, 1, Result.CHANNEL_FINAL, code="30006")
    calls = (
        refused,
        made(1, 2, 2, Result.CHANNEL_FINAL, code="no_device"),
        made(0, 3, 500, Result.RETRYABLE),
        made(1, 4, 600, Result.ACCEPTED),
    )
    act = Act(at=moment(400), what="redrive", actor="key k1", reason="again", result="redriven")
    story = tell(lived(step=1, calls=calls, acts=(act,)))
    first, second = _decisions(story)
    assert (first.step, first.code, first.detail) == (1, "30006", "final for sms: next push")
    assert second.detail == "temporary faults for too long: next push"
    assert first.at < act.at < second.at


def test_the_answer_of_a_lost_claim_turns_no_step_around() -> None:
    # It was made before the push, by a relay whose clock is ahead.
    late = made(0, 1, 60, Result.ACCEPTED, stale=True, latency_ms=90_000)
    calls = (made(0, 2, 50, Result.CHANNEL_FINAL), made(1, 3, 51, Result.ACCEPTED), late)
    [decision] = _decisions(tell(lived(step=1, calls=calls)))
    assert (decision.step, decision.detail) == (1, "final for sms: next push")


def test_what_a_provider_was_only_asked_is_no_try_of_its_step() -> None:
    sent = made(0, 1, 1, Result.OUTCOME_UNKNOWN)
    asked = replace(made(0, 2, 5, Result.ACCEPTED), what="ask")
    story = tell(lived(calls=(sent, asked)))
    assert [entry.what for entry in story] == ["accepted", "attempt", "attempt"]
    assert story[2].detail == timeline.ASKED
    assert _decisions(story) == []


def test_what_moved_nothing_says_so() -> None:
    stale = made(0, 1, 1, Result.ACCEPTED, stale=True, detail="late")
    [_, attempt] = tell(lived(calls=(stale,)))
    assert attempt.detail == "late; its claim had been lost, so it moved nothing"


def test_at_one_moment_the_cause_stands_before_what_follows_from_it() -> None:
    call = made(0, 1, 5, Result.ACCEPTED, latency_ms=0)
    life = lived(
        state=State.DELIVERED,
        proof="carrier",
        final_at=moment(5),
        calls=(call,),
        receipts=(heard(call, 5, "delivered", Rank.DELIVERED),),
        acts=(Act(at=moment(5), what="redrive", actor="key k", reason="x", result="redriven"),),
    )
    assert [entry.what for entry in tell(life)] == [
        "accepted",
        "attempt",
        "receipt",
        "redriven",
        "decision",
    ]


def test_what_people_did_is_told_with_who_and_why() -> None:
    act = Act(at=moment(3), what="cancel", actor="key k1", reason="wrong", result="in_flight")
    [_, entry] = tell(lived(acts=(act,)))
    assert (entry.what, entry.outcome) == ("cancelled", "in_flight")
    assert entry.detail == "by key k1: wrong"


def test_a_receipt_of_a_step_that_a_plan_does_not_have_is_told_without_its_channel() -> None:
    short = replace(PLAN, steps=PLAN.steps[:1])
    strange = heard(made(2, 1, 1, Result.ACCEPTED), 3, "sent", Rank.SENT)
    [_, entry] = tell(lived(plan=short, receipts=(strange,)))
    assert (entry.what, entry.channel, entry.step) == ("receipt", None, 2)
