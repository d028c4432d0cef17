"""What a person puts back to work."""

from __future__ import annotations

from uuid import UUID

import pytest

from outbox.domain.outcomes import Result
from outbox.store import actions
from outbox.store.actions import Done
from tests.integration.relay_acted_on import cancel_it, make_note, one_call, redrive_it

from .relay_fakes import UNKNOWN, accepted, refused, said
from .relay_hand import Hand, person


async def _given_up(by_hand: Hand) -> UUID:
    by_hand.twilio.answer = lambda _: refused(Result.CHANNEL_FINAL, "21614")
    by_hand.fcm.answer = lambda _: refused(Result.CHANNEL_FINAL, "UNREGISTERED", provider="fcm")
    notification = await make_note(by_hand)
    await by_hand.work()
    assert by_hand.state(notification)[0] == "undeliverable"
    by_hand.twilio.answer = lambda _: accepted()
    return notification


async def test_what_was_given_up_is_sent_again_from_its_first_step(by_hand: Hand) -> None:
    notification = await _given_up(by_hand)
    fences = by_hand.rows("SELECT max(fence) FROM attempt")
    assert await redrive_it(by_hand, notification) == ("redriven", "open")
    await by_hand.work()
    (taken,) = by_hand.twilio.taken
    assert taken.reference.step == 0
    # Its calls have names of their own.
    assert taken.reference.fence > fences[0][0]
    await by_hand.hear(said(taken, "delivered"))
    assert by_hand.state(notification) == ("delivered", None)


async def test_what_is_under_way_is_not_put_to_work_twice(by_hand: Hand) -> None:
    notification = await make_note(by_hand)
    assert await redrive_it(by_hand, notification) == ("in_flight", "open")
    await by_hand.work()
    assert await redrive_it(by_hand, notification) == ("in_flight", "open")
    assert len(by_hand.twilio.calls) == 1


async def test_what_had_expired_has_its_time_again(by_hand: Hand) -> None:
    notification = await make_note(by_hand)
    await by_hand.skip(43_201)
    await by_hand.work()
    assert by_hand.state(notification) == ("expired", "too_late")
    assert await redrive_it(by_hand, notification) == ("redriven", "open")
    await by_hand.work()
    assert len(by_hand.twilio.taken) == 1


async def test_what_was_cancelled_stays_so(by_hand: Hand) -> None:
    notification = await make_note(by_hand)
    await cancel_it(by_hand, notification)
    assert await redrive_it(by_hand, notification) == ("already_final", "cancelled")


async def test_an_old_receipt_says_nothing_about_the_new_call(by_hand: Hand) -> None:
    """The first relay died after its call: the receipt is all that is known of it."""
    invitee = person()
    told = await by_hand.accept(by_hand.invited(invitee))
    notification = told[invitee[0]]
    await one_call(by_hand)
    await by_hand.hear(said(by_hand.twilio.taken[0], "undelivered", "30008"))
    await by_hand.skip(21.0)
    await by_hand.work()
    assert by_hand.state(notification)[0] == "undeliverable"
    assert await redrive_it(by_hand, notification) == ("redriven", "open")
    by_hand.twilio.answer = lambda _: UNKNOWN
    await by_hand.pass_(4.0)
    assert len(by_hand.twilio.taken) == 2
    # The new message is waited for, by its own name.
    assert by_hand.state(notification) == ("open", None)
    await by_hand.hear(said(by_hand.twilio.taken[0], "failed", "30003"))
    await by_hand.work()
    assert by_hand.state(notification) == ("open", None)
    await by_hand.hear(said(by_hand.twilio.taken[1], "delivered"))
    assert by_hand.state(notification) == ("delivered", None)


async def test_an_alert_that_is_over_is_not_told_again(by_hand: Hand) -> None:
    by_hand.twilio.answer = lambda _: refused(Result.CHANNEL_FINAL, "21614")
    contact, member = person(), person("m")[0]
    told = await by_hand.accept(by_hand.missed(member, contact))
    await by_hand.to_the_end()
    assert await redrive_it(by_hand, told[contact[0]]) == ("redriven", "open")
    await by_hand.to_the_end()
    # The operator knows of this alert already.
    assert by_hand.pager.reasons == ["no_contact_reached"]
    await by_hand.accept(by_hand.confirmed(member, contact, hour=1))
    state = by_hand.state(told[contact[0]])[0]
    assert await redrive_it(by_hand, told[contact[0]]) == ("already_final", state)


@pytest.mark.parametrize("act", [actions.cancel, actions.redrive])
async def test_there_is_nothing_to_do_to_what_is_not_there(by_hand: Hand, act: object) -> None:
    assert callable(act)
    nobody = UUID("019a0000-0000-7000-8000-000000000001")
    done: Done | None = await act(await by_hand.gateway(), nobody, actor="me", reason="x")
    assert done is None
