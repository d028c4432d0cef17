"""What follows from an answer: again, another sender, other words, or the next step."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from outbox.domain.messages import Sms
from outbox.domain.outcomes import Outcome, Result
from outbox.relay.clock import START_WITHIN_S
from outbox.settings import Settings
from tests.integration.relay_told import SLOWER, make_note, raise_alert

from .relay_fakes import SENDERS, accepted, refused, said
from .relay_hand import Hand, hand


async def test_a_temporary_fault_is_tried_again_inside_the_steps_window_and_not_after(
    by_hand: Hand,
) -> None:
    by_hand.twilio.answer = lambda _: SLOWER
    notification = await raise_alert(by_hand)
    await by_hand.work()
    for _ in range(50):
        if by_hand.fcm.taken:
            break
        assert (by_hand.due(notification) or {})["in_s"] <= 8.0
        await by_hand.pass_(1.0)
    tries = len(by_hand.twilio.calls)
    # Ceilings of 0.5, 1, 2, 4, 8, 8 … s with full jitter: far fewer than one a second.
    assert 4 <= tries <= 60
    assert len(by_hand.fcm.taken) == 1
    query = "SELECT max(try) FROM attempt WHERE notification = %s AND step = 0"
    assert by_hand.rows(query, (notification,)) == [(tries,)]


async def test_a_temporary_fault_that_passes_is_forgotten(by_hand: Hand) -> None:
    answers = iter([SLOWER, SLOWER])
    by_hand.twilio.answer = lambda _: next(answers, accepted())
    notification = await raise_alert(by_hand)
    await by_hand.pass_(10.0)
    await by_hand.hear(said(by_hand.twilio.taken[0], "delivered"))
    assert by_hand.state(notification) == ("delivered", None)
    assert [result for *_, result, _ in by_hand.attempts(notification)] == [
        "retryable",
        "retryable",
        "accepted",
    ]


async def test_a_providers_wish_is_kept_by_a_note_and_by_all_others(by_hand: Hand) -> None:
    answers = iter([refused(Result.RETRYABLE, "20429", wish=30.0)])
    by_hand.twilio.answer = lambda _: next(answers, accepted())
    await make_note(by_hand)
    await by_hand.work()
    await make_note(by_hand, count=5)
    await by_hand.pass_(29.0)
    assert len(by_hand.twilio.calls) == 1
    await by_hand.pass_(35.0)
    assert len(by_hand.twilio.taken) == 6


async def test_an_alert_waits_for_no_wish_that_is_longer_than_its_step(by_hand: Hand) -> None:
    answers = iter([refused(Result.RETRYABLE, "20429", wish=300.0)])
    by_hand.twilio.answer = lambda _: next(answers, accepted())
    notification = await raise_alert(by_hand)
    other = await raise_alert(by_hand)
    await by_hand.work()
    assert len(by_hand.fcm.taken) == 2
    assert len(by_hand.twilio.calls) == 1
    # The one that never called says that it did not.
    assert {by_hand.attempts(each)[0][1] for each in (notification, other)} == {"send", "skip"}


async def test_a_permanent_refusal_is_never_tried_again(by_hand: Hand) -> None:
    by_hand.twilio.answer = lambda _: refused(Result.CHANNEL_FINAL, "21614")
    notification = await raise_alert(by_hand, device=False)
    await by_hand.to_the_end()
    # Another sender cannot help a landline.
    assert len(by_hand.twilio.calls) == 1
    assert by_hand.state(notification)[0] == "undeliverable"
    assert by_hand.pager.reasons == ["no_contact_reached"]


async def test_what_is_too_late_expires_and_is_not_sent(by_hand: Hand) -> None:
    notification = await raise_alert(by_hand)
    await by_hand.skip(86_401)
    await by_hand.to_the_end()
    assert by_hand.state(notification) == ("expired", "too_late")
    assert by_hand.twilio.calls == []
    assert by_hand.pager.reasons == ["no_contact_reached"]


async def test_a_claim_that_cannot_start_in_time_is_given_back_and_counts_nothing(
    by_hand: Hand,
) -> None:
    notification = await raise_alert(by_hand)
    (assignment,) = await by_hand.claim()
    late = replace(assignment, claimed_at=assignment.claimed_at - START_WITHIN_S - 0.1)
    await by_hand.settle(await by_hand.call(late))
    assert by_hand.twilio.calls == []
    due = by_hand.due(notification)
    assert due is not None
    assert (due["attempt"], due["claimed"]) == (0, False)
    await by_hand.work()
    assert len(by_hand.twilio.taken) == 1


# Senders and texts.


async def test_a_sender_that_is_refused_is_replaced_within_the_step_and_comes_back(
    by_hand: Hand,
) -> None:
    broken = True

    def answer(sms: Sms) -> Outcome:
        first = sms.sender == SENDERS[0]
        return refused(Result.SENDER_FAULT, "21606") if broken and first else accepted()

    by_hand.twilio.answer = answer
    await by_hand.share()
    (first,) = await make_note(by_hand)
    await by_hand.work()
    assert [sms.sender for sms in by_hand.twilio.calls] == list(SENDERS)
    assert [(step, code) for step, *_, code in by_hand.attempts(first)] == [(0, "21606"), (0, None)]
    # It rests: nobody else pays for finding out.
    await make_note(by_hand, count=10)
    await by_hand.work()
    assert [sms.sender for sms in by_hand.twilio.calls[2:]] == [SENDERS[1]] * 10
    broken = False
    await by_hand.skip(61)
    await by_hand.share()
    await make_note(by_hand, count=200)
    await by_hand.work()
    came = [sms.sender for sms in by_hand.twilio.calls[12:]]
    # One probe, then about a tenth.
    assert came[0] == SENDERS[0]
    assert came.count(SENDERS[1]) >= 50
    await by_hand.skip(21)
    await make_note(by_hand, count=10)
    await by_hand.work()
    assert [sms.sender for sms in by_hand.twilio.calls[-10:]] == [SENDERS[0]] * 10


async def test_when_every_sender_is_refused_a_note_parks_and_an_alert_goes_on(
    by_hand: Hand,
) -> None:
    by_hand.twilio.answer = lambda _: refused(Result.SENDER_FAULT, "21606")
    alert = await raise_alert(by_hand)
    await by_hand.work()
    assert len(by_hand.fcm.taken) == 1
    assert by_hand.state(alert) == ("open", None)
    by_hand.calm()
    (note,) = await make_note(by_hand, device=True)
    await by_hand.work()
    assert by_hand.state(note)[0] == "parked"
    assert len(by_hand.fcm.taken) == 1


@pytest.mark.parametrize("code", ["21611", "21612"])
async def test_what_no_sender_can_carry_goes_the_next_way_and_waits_for_nobody(
    by_hand: Hand, code: str
) -> None:
    """A full queue, or no way into this country: nobody's repair is worth waiting for."""
    by_hand.twilio.answer = lambda _: refused(Result.SENDER_FAULT, code)
    (note,) = await make_note(by_hand, device=True)
    await by_hand.work()
    assert [sms.sender for sms in by_hand.twilio.calls] == list(SENDERS)
    assert by_hand.state(note) == ("delivered", None)
    assert by_hand.proof(note) == ("accepted", "push")


@pytest.mark.parametrize(("code", "preferred"), [("30034", 1), ("30040", 0), ("30005", 0)])
async def test_a_sender_that_carriers_refuse_after_the_fact_comes_last_for_a_while(
    by_hand: Hand, code: str, preferred: int
) -> None:
    """Twilio takes its texts all the same: only the receipts tell."""
    await make_note(by_hand)
    await by_hand.work()
    await by_hand.hear(said(by_hand.twilio.taken[0], "undelivered", code))
    await make_note(by_hand)
    await by_hand.work()
    assert by_hand.twilio.calls[-1].sender == SENDERS[preferred]
    await by_hand.skip(601)
    await make_note(by_hand)
    await by_hand.work()
    assert by_hand.twilio.calls[-1].sender == SENDERS[0]


async def test_a_doubted_sender_goes_on_where_there_is_no_other(settings: Settings) -> None:
    async with hand(settings, senders=SENDERS[:1]) as by_hand:
        await make_note(by_hand)
        await by_hand.work()
        await by_hand.hear(said(by_hand.twilio.taken[0], "undelivered", "30034"))
        await make_note(by_hand)
        await by_hand.work()
        assert [sms.sender for sms in by_hand.twilio.calls] == [SENDERS[0]] * 2


async def test_an_alerts_second_text_comes_from_another_sender(by_hand: Hand) -> None:
    notification = await raise_alert(by_hand, device=False)
    await by_hand.to_the_end()
    assert [one.sms.sender for one in by_hand.twilio.texts_of(notification)] == list(SENDERS)


@pytest.mark.parametrize("how", ["answer", "receipt"])
async def test_a_text_that_was_refused_is_told_in_few_words_the_next_time(
    by_hand: Hand, how: str
) -> None:
    notification = await raise_alert(by_hand, device=False)
    if how == "answer":
        answers = iter([refused(Result.CONTENT_FINAL, "30007")])
        by_hand.twilio.answer = lambda _: next(answers, accepted())
        await by_hand.work()
    else:
        await by_hand.work()
        await by_hand.hear(said(by_hand.twilio.taken[0], "undelivered", "30007"))
        await by_hand.work()
    usual, short = (sms.body for sms in by_hand.twilio.calls)
    assert "+12025550100" in usual
    assert "+12025550100" not in short
    assert len(short) < len(usual)
    assert by_hand.state(notification)[0] == "open"


async def test_a_text_that_was_not_refused_is_told_in_full_again(by_hand: Hand) -> None:
    await raise_alert(by_hand, device=False)
    await by_hand.to_the_end()
    first, second = (sms.body for sms in by_hand.twilio.calls)
    # All but the reference, which tells the step.
    assert first[:-1] == second[:-1]
    assert first != second
