"""What waits: for the end of quiet hours, for a person, for a device."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg

from observability.slos import definitions
from outbox.domain.messages import Push
from outbox.domain.outcomes import Outcome, Result
from outbox.settings import Settings
from outbox.store import actions, objectives
from outbox.store.connect import Role, conninfo
from tests.integration.relay_told import make_note, raise_alert

from .relay_fakes import accepted, refused, said
from .relay_hand import Hand, hand, person

# Quiet hours.


def _quiet(zone: str, *, begin_h: float, end_h: float) -> str:
    """Quiet hours around now, by a clock in this zone."""
    now = datetime.now(ZoneInfo(zone))
    begin, end = (f"{now + timedelta(hours=h):%H:%M}" for h in (begin_h, end_h))
    return f'["checkin.confirmed"]\nquiet_hours = "{begin}-{end}"\n'


async def test_a_note_waits_for_the_end_of_the_quiet_hours_where_its_recipient_is(
    settings: Settings,
) -> None:
    async with hand(settings, policy=_quiet("Asia/Tokyo", begin_h=-1, end_h=3)) as by_hand:
        by_hand.timezone = "Asia/Tokyo"
        (quiet,) = await make_note(by_hand)
        by_hand.timezone = "America/New_York"
        (awake,) = await make_note(by_hand)
        await by_hand.work()
        due = by_hand.due(quiet)
        assert due is not None
        # Spread over ten minutes, so that not everybody wakes in one second.
        assert 3 * 3600 - 120 <= due["in_s"] <= 3 * 3600 + 660
        assert (due["attempt"], by_hand.attempts(quiet)) == (0, [])
        assert len(by_hand.twilio.texts_of(awake)) == 1
        # The window of its step begins when it may be sent.
        await by_hand.skip(due["in_s"] + 1)
        (assignment,) = [a for a in await by_hand.claim() if a.claim.notification == quiet]
        assert assignment.claim.step_age_s < 60


async def test_an_alert_knows_no_quiet_hours(settings: Settings) -> None:
    async with hand(settings, policy=_quiet("UTC", begin_h=-1, end_h=3)) as by_hand:
        await raise_alert(by_hand)
        await by_hand.work()
        assert len(by_hand.twilio.taken) == 1


# Parking.


def _faults(by_hand: Hand) -> dict[str, float]:
    """What the alert about our configuration looks at, by provider."""
    url = by_hand.settings.require_database()
    with psycopg.connect(conninfo(url, Role.DASHBOARD, application="tests")) as reader:
        seen = objectives.look(reader, definitions())
    return {r.label: r.value for r in seen.readings if r.measure == "configuration_faults"}


async def test_what_a_provider_refuses_for_our_configuration_is_told_with_its_page(
    by_hand: Hand,
) -> None:
    by_hand.twilio.answer = lambda _: refused(Result.CONFIGURATION_FAULT, "20003")
    await make_note(by_hand, count=2)
    await by_hand.work()
    (page,) = by_hand.pager.pages.values()
    assert "(twilio_20003)" in page.summary
    assert page.summary.endswith("Do: runbooks/configuration-fault.md")
    assert _faults(by_hand) == {"twilio": 2, "fcm": 0, "stripe": 0}
    parked = "UPDATE notification SET {} WHERE state = 'parked' RETURNING 1"
    by_hand.rows(parked.format("reason = 'no_sender'"))
    assert _faults(by_hand)["twilio"] == 2
    # What our own code failed on, and what somebody left lying, says nothing of a provider now.
    by_hand.rows(parked.format("reason = 'quarantined'"))
    assert _faults(by_hand)["twilio"] == 0
    old = "reason = 'twilio_20003', created_at = now() - interval '61 minutes'"
    by_hand.rows(parked.format(old))
    assert _faults(by_hand)["twilio"] == 0


async def test_a_fault_of_ours_parks_notes_and_is_told_once_an_hour(by_hand: Hand) -> None:
    by_hand.twilio.answer = lambda _: refused(Result.CONFIGURATION_FAULT, "20003")
    notes = await make_note(by_hand, device=True, count=20)
    await by_hand.work()
    assert {by_hand.state(note) for note in notes} == {("parked", "twilio_20003")}
    assert all((by_hand.due(note) or {})["parked"] for note in notes)
    assert [page.reason for page in by_hand.pager.pages.values()] == ["parked:twilio_20003"]
    assert by_hand.fcm.calls == []
    await by_hand.skip(3000)
    await make_note(by_hand)
    await by_hand.work()
    assert len(by_hand.pager.pages) == 1
    await by_hand.skip(700)
    await make_note(by_hand)
    await by_hand.work()
    assert len(by_hand.pager.pages) == 2
    # Another fault is another matter.
    by_hand.twilio.answer = lambda _: refused(Result.CONFIGURATION_FAULT, "21408")
    await make_note(by_hand)
    await by_hand.work()
    assert len(by_hand.pager.pages) == 3


async def test_an_alert_does_not_park_for_a_fault_of_ours(by_hand: Hand) -> None:
    by_hand.twilio.answer = lambda _: refused(Result.CONFIGURATION_FAULT, "20003")
    notification = await raise_alert(by_hand)
    await by_hand.work()
    assert by_hand.state(notification) == ("open", None)
    assert len(by_hand.fcm.taken) == 1


async def test_what_is_parked_is_sent_when_it_is_put_back_to_work(by_hand: Hand) -> None:
    by_hand.twilio.answer = lambda _: refused(Result.CONFIGURATION_FAULT, "20003")
    (note,) = await make_note(by_hand)
    await by_hand.work()
    await by_hand.skip(100_000)
    await by_hand.work()
    assert len(by_hand.twilio.calls) == 1
    by_hand.twilio.answer = lambda _: accepted()
    done = await actions.redrive(await by_hand.gateway(), note, actor="me", reason="key renewed")
    assert done is not None
    assert (done.result, done.state) == ("redriven", "open")
    await by_hand.work()
    await by_hand.hear(said(by_hand.twilio.taken[0], "delivered"))
    assert by_hand.state(note) == ("delivered", None)


async def test_a_page_that_is_refused_by_a_fault_of_ours_is_tried_for_ever(by_hand: Hand) -> None:
    by_hand.pager.answer = lambda _: refused(
        Result.CONFIGURATION_FAULT, "no_operator_webhook", provider="operator"
    )
    await by_hand.accept(by_hand.missed(person("m")[0]))
    await by_hand.work()
    for _ in range(5):
        assert 50 <= (by_hand.next_in_s() or 0) <= 61
        await by_hand.skip(61)
        await by_hand.work()
    by_hand.pager.answer = lambda _: accepted("operator")
    await by_hand.skip(61)
    await by_hand.work()
    assert by_hand.pager.reasons == ["no_contact"]


# Devices.


async def test_a_push_goes_to_every_device_and_one_that_is_gone_is_forgotten(
    by_hand: Hand,
) -> None:
    by_hand.twilio.answer = lambda _: refused(Result.CHANNEL_FINAL, "21614")
    contact = person()
    gone = await by_hand.device(contact[0], name="old")
    await by_hand.device(contact[0], name="new")

    def answer(push: Push) -> Outcome:
        dead = refused(Result.CHANNEL_FINAL, "UNREGISTERED", provider="fcm")
        return dead if push.address == gone else accepted("fcm", "m")

    by_hand.fcm.answer = answer
    member = person("m")[0]
    await by_hand.accept(by_hand.missed(member, contact))
    await by_hand.work()
    assert len(by_hand.fcm.calls) == 2
    query = "SELECT id, dead_at IS NULL FROM device WHERE recipient = %s ORDER BY id"
    assert by_hand.rows(query, (contact[0],)) == [("new", True), ("old", False)]


async def test_a_device_that_registered_anew_meanwhile_is_kept(by_hand: Hand) -> None:
    by_hand.twilio.answer = lambda _: refused(Result.CHANNEL_FINAL, "21614")
    by_hand.fcm.answer = lambda _: refused(Result.CHANNEL_FINAL, "UNREGISTERED", provider="fcm")
    contact = person()
    await by_hand.device(contact[0])
    await by_hand.accept(by_hand.missed(person("m")[0], contact))
    (first,) = await by_hand.claim()
    await by_hand.settle(await by_hand.call(first))
    (second,) = await by_hand.claim()
    settlement = await by_hand.call(second)
    by_hand.rows(
        "UPDATE device SET token_hash = 'another' WHERE recipient = %s RETURNING id", (contact[0],)
    )
    await by_hand.settle(settlement)
    query = "SELECT dead_at IS NULL FROM device WHERE recipient = %s"
    assert by_hand.rows(query, (contact[0],)) == [(True,)]


async def test_a_push_whose_outcome_is_unknown_is_repeated_under_the_same_name(
    by_hand: Hand,
) -> None:
    by_hand.twilio.answer = lambda _: refused(Result.CHANNEL_FINAL, "21614")
    answers = iter([refused(Result.OUTCOME_UNKNOWN, "timeout", provider="fcm")])
    by_hand.fcm.answer = lambda _: next(answers, accepted("fcm", "m"))
    notification = await raise_alert(by_hand)
    await by_hand.pass_(5.0)
    names = [push.data["notification_id"] for push in by_hand.fcm.calls]
    assert names == [str(notification)] * 2
