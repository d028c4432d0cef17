"""What follows from what is stored of a notification, and how its state is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from outbox.domain import plans
from outbox.domain.history import Called, Heard, History, reason_of
from outbox.domain.outcomes import SENT, Result
from outbox.domain.receipts import Rank
from outbox.domain.states import FINAL, Lane, State, Work, live_state

_CALL = Called(
    step=0,
    fence=1,
    what="send",
    channel="sms",
    provider="twilio",
    sender=0,
    result=Result.ACCEPTED,
    code=None,
    provider_id=None,
)
_HEARD = Heard(
    step=0,
    fence=1,
    source="twilio",
    status="undelivered",
    code="30005",
    rank=Rank.FAILED,
    provider_id="SM1",
    result=Result.CHANNEL_FINAL,
)

_calls = st.builds(
    replace,
    st.just(_CALL),
    step=st.integers(0, 2),
    fence=st.integers(1, 9),
    what=st.sampled_from(["send", "ask", "skip"]),
    channel=st.sampled_from(["sms", "push"]),
    sender=st.none() | st.integers(0, 2),
    result=st.sampled_from(Result),
    code=st.none() | st.sampled_from(["30003", "no_device"]),
    provider_id=st.none() | st.just("SM2"),
)
_receipts = st.builds(
    replace,
    st.just(_HEARD),
    fence=st.integers(1, 9),
    rank=st.sampled_from(Rank),
    code=st.none() | st.just("30005"),
    provider_id=st.none() | st.just("SM1"),
    result=st.none() | st.sampled_from(Result),
)
_histories = st.builds(
    lambda calls, receipts: History(tuple(sorted(calls, key=lambda c: c.fence)), tuple(receipts)),
    st.lists(_calls, max_size=5),
    st.lists(_receipts, max_size=5),
)


@given(_histories)
def test_a_reason_is_short_and_says_nothing_of_a_person(history: History) -> None:
    why = history.why()
    assert why
    assert why.replace("_", "").isalnum()
    assert (why == "no_channel") == all(call.what == "ask" for call in history.calls)


@pytest.mark.parametrize(
    ("history", "why"),
    [
        (History(), "no_channel"),
        (History((_CALL,)), "no_receipt"),
        (History((_CALL,), (_HEARD,)), "twilio_30005"),
        (History((_CALL,), (replace(_HEARD, code=None),)), "twilio_undelivered"),
        (History((_CALL,), (replace(_HEARD, fence=2),)), "no_receipt"),
        (History((replace(_CALL, result=Result.RETRYABLE, code="503"),)), "twilio_503"),
        (History((replace(_CALL, result=Result.RETRYABLE),)), "twilio_retryable"),
        (History((replace(_CALL, result=Result.CHANNEL_FINAL, code="no_number"),)), "no_number"),
        # Found by asking: it was taken after all, and then nothing was heard.
        (
            History((
                replace(_CALL, result=Result.OUTCOME_UNKNOWN),
                replace(_CALL, fence=2, what="ask", result=Result.ACCEPTED),
            )),
            "no_receipt",
        ),
    ],
)  # fmt: skip
def test_the_last_failure_is_the_reason(history: History, why: str) -> None:
    assert history.why() == why


@given(_histories)
def test_what_may_be_on_a_handset_is_never_taken_for_unsent(history: History) -> None:
    taken = [c for c in history.calls if c.what == "send" and c.result in SENT]
    if taken:
        assert history.may_have_been_sent()
    if history.receipts:
        assert history.may_have_been_sent()
    elif all(call.what == "skip" for call in history.calls):
        assert not history.may_have_been_sent()


@given(_histories, st.integers(1, 9))
def test_a_message_is_named_by_what_was_said_of_that_call_or_found_later(
    history: History, fence: int
) -> None:
    name = history.message_of(fence)
    heard = [r.provider_id for r in history.receipts if r.fence == fence and r.provider_id]
    later = [
        c.provider_id
        for c in history.calls
        if c.fence >= fence and c.result in SENT and c.provider_id
    ]
    assert name == next(iter([*heard, *later]), None)


@given(_histories)
def test_a_number_is_unusable_when_a_provider_or_carrier_refused_the_number_itself(
    history: History,
) -> None:
    itself = {Result.CHANNEL_FINAL, Result.RECIPIENT_SUPPRESSED}
    refused = any(c.channel == "sms" and c.result in itself for c in history.calls)
    assert history.number_is_unusable() == (
        refused or any(r.result in itself for r in history.receipts)
    )


def test_a_dead_device_says_nothing_about_the_number() -> None:
    push = replace(_CALL, channel="push", provider="fcm", result=Result.CHANNEL_FINAL)
    assert not History((push,)).number_is_unusable()


@given(_histories)
def test_a_sender_is_refused_for_its_step_alone(history: History) -> None:
    for step in range(3):
        refused = {
            call.sender
            for call in history.calls
            if call.step == step and call.result == Result.SENDER_FAULT
        }
        assert history.senders_refused(step) == refused - {None}
    used = {call.sender for call in history.calls if call.result in SENT}
    assert history.senders_used() == used - {None}


@given(_histories)
def test_a_text_was_refused_by_whoever_said_so(history: History) -> None:
    said = [*(c.result for c in history.calls), *(r.result for r in history.receipts)]
    assert history.text_was_refused() == (Result.CONTENT_FINAL in said)


def test_our_own_codes_stand_for_themselves() -> None:
    assert reason_of("fcm", "no_device", Result.CHANNEL_FINAL) == "no_device"
    assert reason_of("fcm", "UNREGISTERED", Result.CHANNEL_FINAL) == "fcm_UNREGISTERED"
    assert reason_of("fcm", None, Result.RETRYABLE) == "fcm_retryable"


@pytest.mark.parametrize("state", sorted(FINAL | {State.PARKED}))
@pytest.mark.parametrize("work", [None, *Work])
def test_a_state_that_is_stored_is_told_as_it_is(state: State, work: Work | None) -> None:
    assert live_state(state, work=work, claimed=False) == state


@pytest.mark.parametrize(
    ("work", "claimed", "told"),
    [
        (Work.SEND, False, "pending"),
        (Work.SEND, True, "sending"),
        (Work.AWAIT, False, "awaiting_receipt"),
        (Work.ASK, False, "awaiting_receipt"),
        (Work.ASK, True, "awaiting_receipt"),
        (Work.RESOLVE, False, "sending"),
        (Work.RESOLVE, True, "sending"),
        (Work.HOLD, False, "pending"),
        (Work.HOLD, True, "sending"),
    ],
)
def test_an_open_one_is_told_by_its_due_row(work: Work, claimed: bool, told: str) -> None:
    assert live_state(State.OPEN, work=work, claimed=claimed) == told


def test_states_lanes_and_work_never_change_between_versions() -> None:
    # They are stored; relays of two versions work on the same rows while one replaces the other.
    assert [(lane.name, lane.value) for lane in Lane] == [
        ("SAFETY", 0),
        ("CODES", 1),
        ("TRANSACTIONAL", 2),
        ("BULK", 3),
    ]
    works = [("SEND", 0), ("AWAIT", 1), ("RESOLVE", 2), ("ASK", 3), ("HOLD", 4)]
    assert [(work.name, work.value) for work in Work] == works


@pytest.mark.parametrize("kind", sorted(plans.defaults()))
def test_a_plan_is_stored_whole_and_has_the_time_for_all_of_its_steps(kind: str) -> None:
    plan = plans.defaults()[kind]
    assert plans.decode(plans.encode(plan)) == plan
    needed = sum(step.retry_within_s + (step.receipt_within_s or 0) for step in plan.steps)
    assert needed <= plan.expires_after_s


def test_an_alert_is_urgent_and_answers_in_minutes_and_prefers_a_duplicate() -> None:
    plan = plans.defaults()["checkin.missed"]
    assert (plan.lane_number, plan.urgent, plan.quiet_hours) == (Lane.SAFETY, True, None)
    assert plan.on_unknown is plans.OnUnknown.RESEND
    # No proof by a provider's acceptance alone.
    assert all(step.receipt_within_s for step in plan.steps)
    assert [(s.channel, s.receipt_within_s) for s in plan.steps] == [
        ("sms", 60),
        ("push", 30),
        ("sms", 60),
    ]
    assert plan.steps[2].sender is plans.Sender.OTHER
