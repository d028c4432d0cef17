"""What a person withdraws: nothing more of it is sent."""

from __future__ import annotations

import pytest

from outbox.domain.messages import Push
from outbox.domain.outcomes import Outcome, Result
from outbox.relay.clock import LEASE_S
from tests.integration.relay_acted_on import cancel_it, make_note, one_call, redrive_it

from .relay_fakes import NEVER_ARRIVED, UNKNOWN, refused, said
from .relay_hand import Hand


class BugError(Exception):
    """A fault of ours."""


async def test_what_nobody_claimed_is_cancelled_and_never_sent(by_hand: Hand) -> None:
    notification = await make_note(by_hand)
    assert await cancel_it(by_hand, notification) == ("cancelled", "cancelled")
    await by_hand.to_the_end()
    assert by_hand.state(notification) == ("cancelled", "cancelled")
    assert by_hand.due(notification) is None
    assert (by_hand.twilio.calls, by_hand.fcm.calls) == ([], [])


@pytest.mark.parametrize("word", ["delivered", "undelivered"])
async def test_a_call_in_flight_is_followed_to_its_end_and_is_the_last(
    by_hand: Hand, word: str
) -> None:
    notification = await make_note(by_hand)
    settlement = await one_call(by_hand)
    assert await cancel_it(by_hand, notification) == ("in_flight", "open")
    await by_hand.settle(settlement)
    await by_hand.work()
    assert by_hand.state(notification) == ("open", None)
    await by_hand.hear(said(by_hand.twilio.taken[0], word, "30008"))
    await by_hand.to_the_end()
    expected = ("delivered", None) if word == "delivered" else ("undeliverable", "withdrawn")
    assert by_hand.state(notification) == expected
    assert (len(by_hand.twilio.calls), by_hand.fcm.calls) == (1, [])


async def test_a_call_in_flight_that_was_refused_ends_as_cancelled(by_hand: Hand) -> None:
    by_hand.twilio.answer = lambda _: refused(Result.RETRYABLE, "20429")
    notification = await make_note(by_hand)
    settlement = await one_call(by_hand)
    assert await cancel_it(by_hand, notification) == ("in_flight", "open")
    await by_hand.settle(settlement)
    await by_hand.work()
    assert by_hand.state(notification) == ("cancelled", "cancelled")
    assert (by_hand.twilio.taken, len(by_hand.twilio.calls), by_hand.fcm.calls) == ([], 1, [])


async def test_a_call_in_flight_whose_failure_would_park_it_ends_as_cancelled(
    by_hand: Hand,
) -> None:
    by_hand.twilio.answer = lambda _: refused(Result.CONFIGURATION_FAULT, "20003")
    notification = await make_note(by_hand)
    settlement = await one_call(by_hand)
    assert await cancel_it(by_hand, notification) == ("in_flight", "open")
    await by_hand.settle(settlement)
    # It is withdrawn: nobody is asked to look after it.
    assert by_hand.state(notification) == ("open", None)
    await by_hand.work()
    assert by_hand.state(notification) == ("cancelled", "cancelled")
    assert (by_hand.twilio.taken, len(by_hand.twilio.calls), by_hand.fcm.calls) == ([], 1, [])


async def test_what_waits_for_its_next_try_is_cancelled_at_once(by_hand: Hand) -> None:
    by_hand.twilio.answer = lambda _: refused(Result.RETRYABLE, "20429", wish=60.0)
    notification = await make_note(by_hand)
    await by_hand.work()
    assert await cancel_it(by_hand, notification) == ("in_flight", "open")
    await by_hand.work()
    assert by_hand.state(notification) == ("cancelled", "cancelled")
    assert len(by_hand.twilio.calls) == 1


async def test_what_awaits_its_receipt_is_asked_for_as_ever_and_not_sent_again(
    by_hand: Hand,
) -> None:
    notification = await make_note(by_hand)
    await by_hand.work()
    assert await cancel_it(by_hand, notification) == ("in_flight", "open")
    # Not a question a moment: as if nobody had cancelled.
    await by_hand.pass_(299.0, step=5.0)
    assert 2 <= by_hand.twilio.fetched <= 6
    assert by_hand.state(notification) == ("open", None)
    await by_hand.pass_(5.0)
    assert by_hand.state(notification) == ("undeliverable", "withdrawn")
    assert by_hand.fcm.calls == []


async def test_what_awaits_its_receipt_may_yet_be_delivered(by_hand: Hand) -> None:
    notification = await make_note(by_hand)
    await by_hand.work()
    await cancel_it(by_hand, notification)
    await by_hand.hear(said(by_hand.twilio.taken[0], "delivered"))
    assert by_hand.state(notification) == ("delivered", None)


@pytest.mark.parametrize("arrived", [True, False])
async def test_an_unknown_outcome_is_found_out_and_nothing_more_is_sent(
    by_hand: Hand, arrived: bool
) -> None:
    by_hand.twilio.answer = lambda _: UNKNOWN if arrived else NEVER_ARRIVED
    notification = await make_note(by_hand)
    await by_hand.work()
    assert await cancel_it(by_hand, notification) == ("in_flight", "open")
    await by_hand.to_the_end()
    # It may have been sent: that is not what *cancelled* promises.
    assert by_hand.state(notification) == ("undeliverable", "withdrawn")
    assert by_hand.twilio.asked >= 1
    assert (len(by_hand.twilio.calls), by_hand.fcm.calls) == (1, [])


async def test_a_call_whose_relay_died_is_found_out_too(by_hand: Hand) -> None:
    notification = await make_note(by_hand)
    await one_call(by_hand)
    assert await cancel_it(by_hand, notification) == ("in_flight", "open")
    await by_hand.skip(21.0)
    await by_hand.work()
    assert by_hand.twilio.asked == 1
    await by_hand.hear(said(by_hand.twilio.taken[0], "delivered"))
    assert by_hand.state(notification) == ("delivered", None)
    assert len(by_hand.twilio.calls) == 1


async def test_what_is_parked_is_cancelled(by_hand: Hand) -> None:
    by_hand.twilio.answer = lambda _: refused(Result.CONFIGURATION_FAULT, "20003")
    notification = await make_note(by_hand)
    await by_hand.work()
    assert await cancel_it(by_hand, notification) == ("in_flight", "open")
    await by_hand.work()
    assert by_hand.state(notification) == ("cancelled", "cancelled")


async def test_what_is_final_stays_as_it_is(by_hand: Hand) -> None:
    notification = await make_note(by_hand)
    await by_hand.work()
    await by_hand.hear(said(by_hand.twilio.taken[0], "delivered"))
    assert await cancel_it(by_hand, notification) == ("already_final", "delivered")
    assert await redrive_it(by_hand, notification) == ("already_final", "delivered")


async def test_a_claim_that_is_made_meanwhile_decides_for_in_flight(by_hand: Hand) -> None:
    """The cancel waits for the claim's lock, and sees what it did."""
    notification = await make_note(by_hand)
    await by_hand.claim()
    assert await cancel_it(by_hand, notification) == ("in_flight", "open")


async def test_every_action_is_recorded_with_who_and_why(by_hand: Hand) -> None:
    notification = await make_note(by_hand)
    await cancel_it(by_hand, notification)
    await cancel_it(by_hand, notification)
    query = "SELECT what, actor, reason, result FROM action WHERE notification = %s ORDER BY at"
    assert by_hand.rows(query, (notification,)) == [
        ("cancel", "me", "sent by mistake", "cancelled"),
        ("cancel", "me", "sent by mistake", "already_final"),
    ]


@pytest.mark.parametrize("by", ["relay", "code"])
async def test_a_push_of_which_nobody_told_is_not_taken_for_none(
    by_hand: Hand, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its relay died, or our own code failed after the call; FCM cannot be asked."""
    by_hand.twilio.answer = lambda _: refused(Result.CHANNEL_FINAL, "21614")
    notification = await make_note(by_hand)
    await by_hand.settle(await one_call(by_hand))
    if by == "relay":
        await one_call(by_hand)
        await by_hand.skip(LEASE_S + 1)
        # It is found out that it cannot be found out, and would be sent again.
        await by_hand.settle(await one_call(by_hand))
    else:
        send = by_hand.fcm.send

        async def take_it_and_fail(push: Push) -> Outcome:
            await send(push)
            raise BugError

        monkeypatch.setattr(by_hand.fcm, "send", take_it_and_fail)
        await by_hand.settle(await one_call(by_hand))
    assert len(by_hand.fcm.taken) == 1
    assert await cancel_it(by_hand, notification) == ("in_flight", "open")
    await by_hand.pass_(10.0)
    assert by_hand.state(notification) == ("undeliverable", "withdrawn")
    assert len(by_hand.fcm.taken) == 1


async def test_a_text_that_only_its_receipt_tells_of_is_not_taken_for_none(by_hand: Hand) -> None:
    notification = await make_note(by_hand)
    await one_call(by_hand)
    await by_hand.skip(LEASE_S + 1)
    await by_hand.hear(said(by_hand.twilio.taken[0], "undelivered", "30008"))
    await by_hand.settle(await one_call(by_hand))
    assert await cancel_it(by_hand, notification) == ("in_flight", "open")
    await by_hand.work()
    assert by_hand.state(notification) == ("undeliverable", "withdrawn")
    assert (len(by_hand.twilio.taken), by_hand.fcm.taken) == (1, [])
