"""Receipts that come early, late, never, or only when they are asked for."""

from __future__ import annotations

import pytest

from outbox.domain.outcomes import Result
from outbox.domain.states import Work
from tests.integration.relay_awaited import raise_alert

from .relay_fakes import UNKNOWN, accepted, refused, said
from .relay_hand import Hand, person


async def test_a_receipt_that_comes_before_the_answer_ends_it(by_hand: Hand) -> None:
    notification = await raise_alert(by_hand)
    (assignment,) = await by_hand.claim()
    settlement = await by_hand.call(assignment)
    await by_hand.hear(said(by_hand.twilio.taken[0], "delivered"))
    assert by_hand.state(notification) == ("delivered", None)
    await by_hand.settle(settlement)
    assert by_hand.state(notification) == ("delivered", None)
    assert by_hand.due(notification) is None
    # The call is on record, as one whose claim was gone.
    assert by_hand.rows("SELECT stale FROM attempt WHERE notification = %s", (notification,)) == [
        (True,)
    ]


async def test_a_failure_that_comes_before_the_answer_takes_the_next_step_at_the_settle(
    by_hand: Hand,
) -> None:
    await raise_alert(by_hand)
    (assignment,) = await by_hand.claim()
    settlement = await by_hand.call(assignment)
    await by_hand.hear(said(by_hand.twilio.taken[0], "undelivered", "30008"))
    assert by_hand.fcm.taken == []
    await by_hand.settle(settlement)
    await by_hand.work()
    assert len(by_hand.fcm.taken) == 1


async def test_a_failure_of_a_step_that_is_over_moves_nothing(by_hand: Hand) -> None:
    notification = await raise_alert(by_hand)
    await by_hand.pass_(61.0, step=61.0)
    assert len(by_hand.fcm.taken) == 1
    before = by_hand.due(notification)
    await by_hand.hear(said(by_hand.twilio.taken[0], "undelivered", "30008"))
    await by_hand.work()
    after = by_hand.due(notification)
    assert before is not None
    assert after is not None
    assert {**after, "in_s": 0} == {**before, "in_s": 0}
    assert len(by_hand.fcm.taken) == 1


@pytest.mark.parametrize("word", ["delivered", "read"])
async def test_a_late_success_lifts_what_had_been_given_up(by_hand: Hand, word: str) -> None:
    notification = await raise_alert(by_hand, device=False)
    await by_hand.to_the_end()
    assert by_hand.state(notification) == ("undeliverable", "no_receipt")
    await by_hand.hear(said(by_hand.twilio.taken[0], word))
    assert by_hand.state(notification) == ("delivered", None)
    assert by_hand.proof(notification) == ("carrier", "sms")
    await by_hand.hear(said(by_hand.twilio.taken[1], "undelivered", "30003"))
    assert by_hand.state(notification) == ("delivered", None)


async def test_the_deadline_fires_when_nothing_is_heard(by_hand: Hand) -> None:
    by_hand.twilio.can_be_asked = False
    notification = await raise_alert(by_hand)
    await by_hand.work()
    await by_hand.pass_(58.0)
    assert by_hand.fcm.taken == []
    await by_hand.pass_(3.0)
    assert len(by_hand.fcm.taken) == 1
    await by_hand.pass_(31.0)
    assert [one.reference.step for one in by_hand.twilio.taken] == [0, 2]
    await by_hand.pass_(61.0)
    assert by_hand.state(notification) == ("undeliverable", "no_receipt")


async def test_a_receipt_that_did_not_come_is_asked_for(by_hand: Hand) -> None:
    """An outage of our own webhook takes no step and loses nothing."""
    notification = await raise_alert(by_hand)
    by_hand.twilio.status = lambda _: ("delivered", None)
    await by_hand.work()
    await by_hand.pass_(14.0)
    assert by_hand.twilio.fetched == 0
    await by_hand.pass_(2.0)
    assert by_hand.twilio.fetched == 1
    assert by_hand.state(notification) == ("delivered", None)
    assert by_hand.proof(notification) == ("carrier", "sms")
    assert by_hand.fcm.taken == []


async def test_a_failure_that_was_asked_for_takes_the_next_step(by_hand: Hand) -> None:
    await raise_alert(by_hand)
    by_hand.twilio.status = lambda _: ("undelivered", "30008")
    await by_hand.pass_(17.0)
    assert len(by_hand.fcm.taken) == 1


async def test_questions_about_a_receipt_are_few_and_the_last_comes_before_the_deadline(
    by_hand: Hand,
) -> None:
    await raise_alert(by_hand)
    by_hand.twilio.status = lambda _: ("sent", None)
    await by_hand.work()
    asked: list[int] = []
    for second in range(60):
        await by_hand.pass_(1.0)
        asked += [second] * (by_hand.twilio.fetched - len(asked))
    assert 2 <= len(asked) <= 4
    assert 53 <= asked[-1] <= 56


async def test_a_question_that_is_not_answered_is_asked_again(by_hand: Hand) -> None:
    notification = await raise_alert(by_hand)
    by_hand.twilio.status = lambda _: ("delivered", None)
    by_hand.twilio.can_be_asked = False
    await by_hand.pass_(20.0)
    assert by_hand.twilio.fetched == 1
    by_hand.twilio.can_be_asked = True
    await by_hand.pass_(37.0)
    assert by_hand.state(notification) == ("delivered", None)


async def test_the_callback_after_the_question_is_applied_once(by_hand: Hand) -> None:
    notification = await raise_alert(by_hand)
    by_hand.twilio.status = lambda _: ("delivered", None)
    await by_hand.pass_(17.0)
    await by_hand.hear(said(by_hand.twilio.taken[0], "delivered"))
    query = "SELECT status FROM receipt WHERE notification = %s"
    assert by_hand.rows(query, (notification,)) == [("delivered",)]


async def test_a_relay_that_died_after_its_call_is_resolved_by_the_callback(by_hand: Hand) -> None:
    notification = await raise_alert(by_hand)
    (assignment,) = await by_hand.claim()
    await by_hand.call(assignment)
    await by_hand.hear(said(by_hand.twilio.taken[0], "sent"))
    await by_hand.skip(21.0)
    await by_hand.work()
    assert by_hand.twilio.asked == 0
    assert len(by_hand.twilio.taken) == 1
    due = by_hand.due(notification)
    assert due is not None
    assert due["work"] == Work.AWAIT


async def test_a_relay_that_died_after_its_call_is_resolved_by_the_list(by_hand: Hand) -> None:
    notification = await raise_alert(by_hand)
    (assignment,) = await by_hand.claim()
    await by_hand.call(assignment)
    await by_hand.skip(21.0)
    await by_hand.work()
    assert by_hand.twilio.asked == 1
    assert len(by_hand.twilio.taken) == 1
    # Known by its name now: its receipt is asked for like any other.
    by_hand.twilio.status = lambda _: ("delivered", None)
    await by_hand.pass_(16.0)
    assert by_hand.state(notification) == ("delivered", None)


async def test_a_call_that_never_left_is_made_after_two_answers_that_it_did_not(
    by_hand: Hand,
) -> None:
    notification = await raise_alert(by_hand)
    await by_hand.claim()
    await by_hand.skip(21.0)
    await by_hand.work()
    assert (by_hand.twilio.asked, len(by_hand.twilio.taken)) == (1, 0)
    await by_hand.pass_(6.0)
    assert (by_hand.twilio.asked, len(by_hand.twilio.taken)) == (2, 1)
    assert [what for _, what, *_ in by_hand.attempts(notification)] == ["ask", "ask", "send"]


async def test_an_alert_whose_outcome_nobody_tells_takes_its_next_step(by_hand: Hand) -> None:
    by_hand.twilio.answer = lambda _: UNKNOWN
    by_hand.twilio.can_be_asked = False
    notification = await raise_alert(by_hand)
    await by_hand.work()
    await by_hand.pass_(60.0)
    assert len(by_hand.twilio.taken) == 1, "asked, and not sent again in the same step"
    assert len(by_hand.fcm.taken) == 1
    await by_hand.hear(said(by_hand.twilio.taken[0], "delivered"))
    assert by_hand.state(notification) == ("delivered", None)


async def test_a_note_whose_outcome_nobody_tells_is_not_sent_again(by_hand: Hand) -> None:
    by_hand.twilio.answer = lambda _: UNKNOWN
    by_hand.twilio.can_be_asked = False
    contact = person()
    await by_hand.device(contact[0])
    told = await by_hand.accept(by_hand.confirmed(person("m")[0], contact))
    await by_hand.to_the_end()
    assert by_hand.state(told[contact[0]]) == ("undeliverable", "outcome_unknown")
    assert len(by_hand.twilio.taken) == 1
    assert by_hand.fcm.taken == []


async def test_a_lost_settle_is_written_again_and_changes_nothing(by_hand: Hand) -> None:
    """A COMMIT whose answer was lost: the settle is run once more."""
    notification = await raise_alert(by_hand)
    (assignment,) = await by_hand.claim()
    settlement = await by_hand.call(assignment)
    await by_hand.settle(settlement)
    before = (by_hand.due(notification), by_hand.attempts(notification))
    await by_hand.settle(settlement)
    after = (by_hand.due(notification), by_hand.attempts(notification))
    assert before[1] == after[1]
    assert before[0] is not None
    assert after[0] is not None
    assert {**before[0], "in_s": 0} == {**after[0], "in_s": 0}


async def test_a_refusal_after_the_lease_is_over_moves_nothing_and_is_kept(by_hand: Hand) -> None:
    by_hand.twilio.answer = lambda _: refused(Result.CHANNEL_FINAL, "21614")
    notification = await raise_alert(by_hand)
    (first,) = await by_hand.claim()
    stale = await by_hand.call(first)
    by_hand.twilio.answer = lambda _: accepted()
    await by_hand.skip(21.0)
    await by_hand.work()
    before = by_hand.due(notification)
    await by_hand.settle(stale)
    after = by_hand.due(notification)
    assert before is not None
    assert after is not None
    assert {**before, "in_s": 0} == {**after, "in_s": 0}
    query = "SELECT stale FROM attempt WHERE notification = %s AND code = '21614'"
    assert by_hand.rows(query, (notification,)) == [(True,)]
