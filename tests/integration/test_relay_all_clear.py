"""An alert's end: all-clears go to exactly those who were alerted."""

from __future__ import annotations

import pytest

from outbox.domain.outcomes import Outcome, Result
from tests.integration.relay_alerted import DEAD_NUMBER, check_in, one_call, raise_alert, texts_to

from .relay_fakes import NEVER_ARRIVED, UNKNOWN, accepted, acknowledged, refused, said
from .relay_hand import Hand, person


async def test_an_alert_that_nobody_claimed_is_never_sent_and_the_check_in_is_told(
    by_hand: Hand,
) -> None:
    alerted = await raise_alert(by_hand)
    made = await check_in(by_hand, alerted)
    assert made[alerted.contact[0]][0] == "checkin.confirmed"
    await by_hand.work()
    assert by_hand.state(alerted.alert) == ("cancelled", "checked_in")
    assert texts_to(by_hand, alerted) == ["Alice"]


@pytest.mark.parametrize("how", ["accepted", "unknown", "lost"])
async def test_an_alert_in_flight_that_was_or_may_have_been_sent_is_taken_back_afterwards(
    by_hand: Hand, how: str
) -> None:
    by_hand.twilio.answer = lambda _: {"unknown": UNKNOWN, "lost": NEVER_ARRIVED}.get(
        how, accepted()
    )
    alerted = await raise_alert(by_hand)
    settlement = await one_call(by_hand)
    made = await check_in(by_hand, alerted)
    kind, clear = made[alerted.contact[0]]
    assert kind == "checkin.all_clear"
    by_hand.twilio.answer = lambda _: accepted()
    # Not before it is known what became of the call.
    await by_hand.pass_(3.0)
    assert "all" not in texts_to(by_hand, alerted)
    await by_hand.settle(settlement)
    await by_hand.pass_(30.0)
    assert texts_to(by_hand, alerted) == (["all"] if how == "lost" else ["alert", "all"])
    await by_hand.hear(said(by_hand.twilio.taken[-1], "delivered"))
    assert by_hand.state(clear) == ("delivered", None)
    await by_hand.to_the_end()
    assert "all" in texts_to(by_hand, alerted)[-1]
    assert texts_to(by_hand, alerted).count("alert") <= 1
    assert by_hand.pager.reasons == []


@pytest.mark.parametrize(
    "answer", [DEAD_NUMBER, refused(Result.RETRYABLE, "20429"), refused(Result.SENDER_FAULT, "1")]
)
async def test_an_alert_in_flight_that_was_certainly_not_sent_is_not_taken_back(
    by_hand: Hand, answer: Outcome
) -> None:
    by_hand.twilio.answer = lambda _: answer
    alerted = await raise_alert(by_hand, device=True)
    settlement = await one_call(by_hand)
    _, clear = (await check_in(by_hand, alerted))[alerted.contact[0]]
    by_hand.twilio.answer = lambda _: accepted()
    await by_hand.settle(settlement)
    await by_hand.to_the_end()
    assert by_hand.state(clear) == ("cancelled", "never_alerted")
    assert by_hand.state(alerted.alert) == ("cancelled", "cancelled")
    assert (by_hand.twilio.taken, by_hand.fcm.taken, by_hand.pager.reasons) == ([], [], [])


async def test_an_alert_that_waits_for_its_next_try_is_withdrawn_and_not_taken_back(
    by_hand: Hand,
) -> None:
    by_hand.twilio.answer = lambda _: refused(Result.RETRYABLE, "20429", wish=10.0)
    alerted = await raise_alert(by_hand)
    await by_hand.work()
    _, clear = (await check_in(by_hand, alerted))[alerted.contact[0]]
    by_hand.twilio.answer = lambda _: accepted()
    await by_hand.pass_(15.0)
    assert by_hand.state(alerted.alert) == ("cancelled", "cancelled")
    assert by_hand.state(clear) == ("cancelled", "never_alerted")
    assert by_hand.twilio.taken == []


async def test_an_alert_whose_relay_died_is_resolved_first(by_hand: Hand) -> None:
    alerted = await raise_alert(by_hand)
    await one_call(by_hand)
    await check_in(by_hand, alerted)
    await by_hand.pass_(10.0)
    assert texts_to(by_hand, alerted) == ["alert"]
    await by_hand.pass_(15.0)
    assert texts_to(by_hand, alerted) == ["alert", "all"]
    assert by_hand.twilio.asked == 1


@pytest.mark.parametrize("word", ["sent", "delivered"])
async def test_an_alert_that_awaits_its_receipt_or_has_it_is_taken_back_at_once(
    by_hand: Hand, word: str
) -> None:
    alerted = await raise_alert(by_hand)
    await by_hand.work()
    await by_hand.hear(said(by_hand.twilio.taken[0], word))
    await check_in(by_hand, alerted)
    await by_hand.work()
    assert texts_to(by_hand, alerted) == ["alert", "all"]


async def test_an_alert_that_fails_after_the_check_in_takes_no_further_step(by_hand: Hand) -> None:
    alerted = await raise_alert(by_hand, device=True)
    await by_hand.work()
    await check_in(by_hand, alerted)
    await by_hand.work()
    await by_hand.hear(said(by_hand.twilio.taken[0], "undelivered", "30003"))
    await by_hand.hear(said(by_hand.twilio.taken[1], "delivered"))
    await by_hand.to_the_end()
    assert by_hand.fcm.taken == []
    assert texts_to(by_hand, alerted) == ["alert", "all"]
    assert by_hand.state(alerted.alert) == ("undeliverable", "withdrawn")
    # The alert is over: nobody is woken for it.
    assert by_hand.pager.reasons == []


async def test_an_alert_that_reached_nobody_but_was_sent_is_taken_back_and_the_page_too(
    by_hand: Hand,
) -> None:
    alerted = await raise_alert(by_hand)
    await by_hand.to_the_end()
    assert by_hand.state(alerted.alert) == ("undeliverable", "no_receipt")
    assert by_hand.pager.reasons == ["no_contact_reached"]
    made = await check_in(by_hand, alerted)
    assert {who: kind for who, (kind, _) in made.items()} == {
        alerted.contact[0]: "checkin.all_clear",
        "operator": "operator.page",
    }
    await by_hand.work()
    assert by_hand.pager.reasons == ["no_contact_reached", "resolved"]
    assert texts_to(by_hand, alerted)[-1] == "all"


async def test_an_alert_that_could_not_be_sent_is_not_taken_back_but_its_page_is(
    by_hand: Hand,
) -> None:
    by_hand.twilio.answer = lambda _: DEAD_NUMBER
    alerted = await raise_alert(by_hand)
    await by_hand.work()
    assert by_hand.pager.reasons == ["no_contact_reached"]
    made = await check_in(by_hand, alerted)
    await by_hand.to_the_end()
    assert by_hand.state(made[alerted.contact[0]][1]) == ("cancelled", "never_alerted")
    assert by_hand.pager.reasons == ["no_contact_reached", "resolved"]


async def test_a_page_that_nobody_made_yet_is_withdrawn(by_hand: Hand) -> None:
    member = person("m")[0]
    told = await by_hand.accept(by_hand.missed(member))
    await by_hand.accept(by_hand.confirmed(member, hour=1))
    await by_hand.to_the_end()
    assert by_hand.state(told["operator"]) == ("cancelled", "checked_in")
    assert by_hand.pager.reasons == []


async def test_an_alert_by_push_is_taken_back_by_push_where_there_is_no_number(
    by_hand: Hand,
) -> None:
    by_hand.twilio.answer = lambda _: DEAD_NUMBER
    alerted = await raise_alert(by_hand, device=True)
    await by_hand.work()
    await by_hand.hear(acknowledged(by_hand.fcm.taken[0][1]))
    assert by_hand.state(alerted.alert) == ("delivered", None)
    _, clear = (await check_in(by_hand, alerted))[alerted.contact[0]]
    await by_hand.work()
    assert by_hand.state(clear) == ("delivered", None)
    assert [push.data["kind"] for push, _ in by_hand.fcm.taken] == [
        "checkin.missed",
        "checkin.all_clear",
    ]


async def test_of_several_contacts_each_is_told_what_concerns_them(by_hand: Hand) -> None:
    """One was alerted, one is in flight and refused, one was never claimed."""
    member = person("m")[0]
    reached, refusing, pending = person(), person(), person()
    by_hand.twilio.answer = lambda sms: DEAD_NUMBER if sms.to == refusing[1] else accepted()
    told = await by_hand.accept(by_hand.missed(member, reached))
    await by_hand.work()
    more = await by_hand.accept(by_hand.missed(member, reached, refusing))
    settlement = await one_call(by_hand)
    last = await by_hand.accept(by_hand.missed(member, pending))
    event = by_hand.confirmed(member, reached, refusing, pending, hour=1)
    await by_hand.accept(event)
    await by_hand.settle(settlement)
    await by_hand.pass_(2.0)
    query = "SELECT recipient, kind, state FROM notification WHERE event = %s"
    assert sorted(by_hand.rows(query, (event.id,))) == sorted(
        [
            (reached[0], "checkin.all_clear", "open"),
            (refusing[0], "checkin.all_clear", "cancelled"),
            (pending[0], "checkin.confirmed", "open"),
        ]
    )
    assert by_hand.state(told[reached[0]])[0] == "open"
    assert by_hand.state(more[refusing[0]])[0] == "cancelled"
    assert by_hand.state(last[pending[0]]) == ("cancelled", "checked_in")


async def test_a_check_in_older_than_what_was_missed_ends_nothing(by_hand: Hand) -> None:
    member, contact = person("m")[0], person()
    await by_hand.accept(by_hand.missed(member, contact, hour=2))
    await by_hand.work()
    event = by_hand.confirmed(member, contact, hour=1)
    await by_hand.accept(event)
    await by_hand.work()
    assert by_hand.rows("SELECT kind FROM notification WHERE event = %s", (event.id,)) == [
        ("checkin.confirmed",)
    ]


async def test_a_missed_check_in_older_than_the_last_one_is_superseded(by_hand: Hand) -> None:
    member, contact = person("m")[0], person()
    await by_hand.accept(by_hand.confirmed(member, contact, hour=2))
    told = await by_hand.accept(by_hand.missed(member, contact, hour=1))
    await by_hand.work()
    assert by_hand.state(told[contact[0]]) == ("cancelled", "superseded")
    assert len(by_hand.twilio.taken) == 1
