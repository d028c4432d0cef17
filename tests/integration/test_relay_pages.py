"""Alerts that reach nobody: one page, and what follows from it."""

from __future__ import annotations

import pytest

from outbox.domain.outcomes import Result
from outbox.store import actions
from tests.integration.relay_alerted import DEAD_NUMBER, raise_alert

from .relay_fakes import accepted, refused, said
from .relay_hand import Hand, person


async def test_a_second_missed_check_in_tells_only_those_who_are_new(by_hand: Hand) -> None:
    member, first, second = person("m")[0], person(), person()
    await by_hand.accept(by_hand.missed(member, first))
    await by_hand.work()
    told = await by_hand.accept(by_hand.missed(member, first, second, hour=1))
    assert list(told) == [second[0]]
    await by_hand.work()
    assert [one.sms.to for one in by_hand.twilio.taken] == [first[1], second[1]]


async def test_all_contacts_are_told_at_once(by_hand: Hand) -> None:
    contacts = [person() for _ in range(7)]
    await by_hand.accept(by_hand.missed(person("m")[0], *contacts))
    assert len(await by_hand.claim()) == 7


async def test_the_operator_is_paged_when_the_last_contact_has_failed_and_once(
    by_hand: Hand,
) -> None:
    member, contacts = person("m")[0], [person() for _ in range(3)]
    by_hand.twilio.answer = lambda _: DEAD_NUMBER
    await by_hand.accept(by_hand.missed(member, *contacts))
    held = []
    # Until each has only its end before it.
    for _ in range(2):
        for assignment in await by_hand.claim():
            await by_hand.settle(await by_hand.call(assignment))
    held = [await by_hand.call(each) for each in await by_hand.claim()]
    assert len(held) == 3
    for settlement in held[:2]:
        await by_hand.settle(settlement)
    await by_hand.work()
    assert by_hand.pager.reasons == []
    await by_hand.settle(held[2])
    await by_hand.work()
    assert by_hand.pager.reasons == ["no_contact_reached"]
    # A Contact who is new and fails too is the same alert.
    await by_hand.accept(by_hand.missed(member, person(), hour=1))
    await by_hand.to_the_end()
    assert by_hand.pager.reasons == ["no_contact_reached"]
    (page,) = by_hand.pager.pages.values()
    assert "none of 3 Contacts" in page.summary
    assert "Alice" not in page.summary
    assert "Bob" not in page.summary


async def test_one_contact_who_was_reached_is_enough_and_one_who_may_be_is_waited_for(
    by_hand: Hand,
) -> None:
    member, dead, alive = person("m")[0], person(), person()
    by_hand.twilio.answer = lambda sms: DEAD_NUMBER if sms.to == dead[1] else accepted()
    await by_hand.accept(by_hand.missed(member, dead, alive))
    await by_hand.work()
    assert by_hand.pager.reasons == []
    await by_hand.hear(said(by_hand.twilio.taken[0], "delivered"))
    await by_hand.to_the_end()
    assert by_hand.pager.reasons == []


async def test_two_last_contacts_that_fail_together_page_once(by_hand: Hand) -> None:
    for _ in range(5):
        by_hand.twilio.answer = lambda _: DEAD_NUMBER
        await by_hand.accept(by_hand.missed(person("m")[0], person(), person()))
        await by_hand.to_the_end()
    assert by_hand.pager.reasons == ["no_contact_reached"] * 5


async def test_nobody_to_tell_is_paged_at_once(by_hand: Hand) -> None:
    await by_hand.accept(by_hand.missed(person("m")[0]))
    await by_hand.work()
    assert by_hand.pager.reasons == ["no_contact"]


async def test_a_contact_without_a_number_begins_at_the_next_channel(by_hand: Hand) -> None:
    contact = (person()[0], None)
    await by_hand.device(contact[0])
    await by_hand.accept(by_hand.missed(person("m")[0], contact))
    await by_hand.work()
    assert by_hand.twilio.calls == []
    assert len(by_hand.fcm.taken) == 1
    await by_hand.to_the_end()
    assert by_hand.pager.reasons == ["no_contact_reached"]


async def test_after_a_page_and_a_check_in_a_new_alert_pages_anew(by_hand: Hand) -> None:
    member, contact = person("m")[0], person()
    by_hand.twilio.answer = lambda _: DEAD_NUMBER
    for hour in (0, 2):
        await by_hand.accept(by_hand.missed(member, contact, hour=hour))
        await by_hand.to_the_end()
        await by_hand.accept(by_hand.confirmed(member, contact, hour=hour + 1))
        await by_hand.to_the_end()
    assert by_hand.pager.reasons == ["no_contact_reached", "resolved"] * 2


async def test_an_alert_that_no_provider_can_take_pages_and_is_sent_when_one_can(
    by_hand: Hand,
) -> None:
    for way in by_hand.parts.gate.ways:
        way.shared_open = True
    alerted = await raise_alert(by_hand, device=True)
    other = await raise_alert(by_hand, device=True)
    await by_hand.pass_(10.0)
    assert by_hand.pager.reasons == ["all_providers_down"] * 2
    assert (by_hand.twilio.calls, by_hand.fcm.calls) == ([], [])
    assert by_hand.state(alerted.alert) == ("open", None)
    # Neither the wait nor the page uses a try, or the window of a step, up.
    await by_hand.pass_(3600.0, step=60.0)
    assert {try_ for (try_,) in by_hand.rows("SELECT attempt FROM due WHERE lane = 0")} == {0}
    for way in by_hand.parts.gate.ways:
        way.shared_open = False
    await by_hand.pass_(5.0)
    for one in by_hand.twilio.taken:
        await by_hand.hear(said(one, "delivered"))
    for each in (alerted, other):
        assert by_hand.state(each.alert) == ("delivered", None)
    assert len(by_hand.pager.pages) == 2


async def test_an_alert_passes_over_a_provider_that_is_down_without_a_call(by_hand: Hand) -> None:
    for way in by_hand.parts.gate.of("twilio"):
        way.shared_open = True
    alerted = await raise_alert(by_hand, device=True)
    await by_hand.work()
    assert len(by_hand.fcm.taken) == 1
    assert by_hand.twilio.calls == []
    assert by_hand.attempts(alerted.alert)[0] == (
        0,
        "skip",
        "sms",
        "retryable",
        "provider_down",
    )
    assert by_hand.pager.reasons == []


@pytest.mark.parametrize("claimed", [True, False])
async def test_a_person_who_withdraws_the_last_hope_makes_the_page(
    by_hand: Hand, claimed: bool
) -> None:
    """One Contact has failed; the alert to the other is withdrawn by hand: nobody knows."""
    member, dead, pending = person("m")[0], person(), person()
    by_hand.twilio.answer = lambda sms: (
        DEAD_NUMBER if sms.to == dead[1] else refused(Result.RETRYABLE, "20429", wish=20.0)
    )
    told = await by_hand.accept(by_hand.missed(member, dead, pending))
    if not claimed:
        by_hand.rows(
            "UPDATE due SET due_at = now() + interval '1 hour' WHERE notification ="
            " %s RETURNING seq",
            (told[pending[0]],),
        )
    await by_hand.work()
    assert by_hand.pager.reasons == []
    await actions.cancel(await by_hand.gateway(), told[pending[0]], actor="me", reason="wrong one")
    await by_hand.work()
    assert by_hand.state(told[pending[0]]) == ("cancelled", "cancelled")
    assert by_hand.pager.reasons == ["no_contact_reached"]


async def test_a_person_who_withdraws_a_whole_alert_wakes_nobody(by_hand: Hand) -> None:
    by_hand.twilio.answer = lambda _: refused(Result.RETRYABLE, "20429", wish=20.0)
    contacts = [person(), person()]
    told = await by_hand.accept(by_hand.missed(person("m")[0], *contacts))
    await by_hand.work()
    for one in told.values():
        await actions.cancel(await by_hand.gateway(), one, actor="me", reason="a drill")
    await by_hand.to_the_end()
    assert {by_hand.state(one)[0] for one in told.values()} == {"cancelled"}
    assert by_hand.pager.reasons == []
