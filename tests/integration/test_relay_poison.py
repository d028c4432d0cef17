"""Rows that our own code cannot handle: set aside, and nobody else waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from msgspec.structs import replace

from outbox.domain.messages import Push, Sms
from outbox.domain.outcomes import Outcome, Result
from outbox.settings import Settings

from .relay_fakes import accepted, refused, said
from .relay_hand import Hand, hand, person


@pytest.fixture
async def by_hand(settings: Settings) -> AsyncIterator[Hand]:
    async with hand(settings) as made:
        yield made


class BugError(Exception):
    """A fault of ours."""


def _bug_in_texts_to(by_hand: Hand, phone: str) -> None:
    def answer(sms: Sms) -> Outcome:
        if sms.to == phone:
            raise BugError
        return accepted()

    by_hand.twilio.answer = answer


def _bug_in_pushes(_: Push) -> Outcome:
    raise BugError


async def _alerted(by_hand: Hand, contact: tuple[str, str] | None = None) -> UUID:
    contact = contact or person()
    return (await by_hand.accept(by_hand.missed(person("m")[0], contact)))[contact[0]]


async def test_an_alert_that_meets_a_bug_is_tried_once_more_and_goes_on(by_hand: Hand) -> None:
    poison, others = person(), [person() for _ in range(10)]
    await by_hand.device(poison[0])
    _bug_in_texts_to(by_hand, poison[1])
    told = await by_hand.accept(by_hand.missed(person("m")[0], poison, *others))
    await by_hand.work()
    # Its batch goes on.
    assert len(by_hand.twilio.taken) == 10
    for _ in range(20):
        await by_hand.pass_(1.0)
    tries = [sms for sms in by_hand.twilio.calls if sms.to == poison[1]]
    assert len(tries) == 2
    assert [push.data["notification_id"] for push, _ in by_hand.fcm.taken] == [str(told[poison[0]])]


async def test_the_last_step_of_an_alert_that_meets_a_bug_pages(by_hand: Hand) -> None:
    poison = person()
    _bug_in_texts_to(by_hand, poison[1])
    notification = await _alerted(by_hand, poison)
    await by_hand.to_the_end()
    assert by_hand.state(notification) == ("undeliverable", "quarantined")
    assert by_hand.pager.reasons == ["no_contact_reached"]
    # Two tries of each of the two texts.
    assert len(by_hand.twilio.calls) == 4


async def test_a_note_that_meets_a_bug_is_set_aside_and_a_person_is_told(by_hand: Hand) -> None:
    poison, other = person(), person()
    _bug_in_texts_to(by_hand, poison[1])
    told = await by_hand.accept(by_hand.confirmed(person("m")[0], poison, other))
    await by_hand.pass_(30.0)
    assert by_hand.state(told[poison[0]]) == ("parked", "quarantined")
    assert by_hand.pager.reasons == ["parked:quarantined"]
    assert len([sms for sms in by_hand.twilio.calls if sms.to == poison[1]]) == 2
    await by_hand.hear(said(by_hand.twilio.taken[0], "delivered"))
    assert by_hand.state(told[other[0]]) == ("delivered", None)


async def test_a_bug_in_a_push_is_no_other(by_hand: Hand) -> None:
    by_hand.twilio.answer = lambda _: refused(Result.CHANNEL_FINAL, "21614")
    by_hand.fcm.answer = _bug_in_pushes
    contact = person()
    await by_hand.device(contact[0])
    notification = await _alerted(by_hand, contact)
    await by_hand.to_the_end()
    assert by_hand.state(notification)[0] == "undeliverable"
    assert len(by_hand.fcm.calls) == 2
    assert by_hand.pager.reasons == ["no_contact_reached"]


async def test_a_bug_that_is_mended_in_time_leaves_no_trace(by_hand: Hand) -> None:
    poison = person()
    _bug_in_texts_to(by_hand, poison[1])
    notification = await _alerted(by_hand, poison)
    await by_hand.work()
    by_hand.twilio.answer = lambda _: accepted()
    await by_hand.pass_(20.0)
    await by_hand.hear(said(by_hand.twilio.taken[0], "delivered"))
    assert by_hand.state(notification) == ("delivered", None)


@pytest.mark.parametrize("kind", ["alert", "note"])
async def test_what_does_not_even_open_is_set_aside(by_hand: Hand, kind: str) -> None:
    poison, other = person(), person()
    await by_hand.device(poison[0])
    make = by_hand.missed if kind == "alert" else by_hand.confirmed
    told = await by_hand.accept(make(person("m")[0], poison, other))
    by_hand.rows(
        "UPDATE notification SET content = 'damaged' WHERE id = %s RETURNING id",
        (told[poison[0]],),
    )
    for _ in range(4):
        await by_hand.pass_(30.0, step=10.0)
    assert len(by_hand.twilio.texts_of(told[other[0]])) >= 1
    if kind == "note":
        assert by_hand.state(told[poison[0]]) == ("parked", "quarantined")
        assert "parked:quarantined" in by_hand.pager.reasons
        return
    for one in by_hand.twilio.taken:
        await by_hand.hear(said(one, "undelivered", "30003"))
    await by_hand.to_the_end()
    assert by_hand.state(told[poison[0]]) == ("undeliverable", "quarantined")
    assert by_hand.pager.reasons == ["no_contact_reached"]


@pytest.mark.parametrize("kind", ["alert", "note"])
async def test_a_plan_that_cannot_be_read_is_the_default_one(by_hand: Hand, kind: str) -> None:
    """Another version may have written it."""
    contact = person()
    await by_hand.device(contact[0])
    make = by_hand.missed if kind == "alert" else by_hand.confirmed
    told = await by_hand.accept(make(person("m")[0], contact))
    by_hand.rows("UPDATE notification SET plan = '{\"new\": 1}' RETURNING id")
    await by_hand.to_the_end()
    assert len(by_hand.twilio.texts_of(told[contact[0]])) == (2 if kind == "alert" else 1)
    assert len(by_hand.fcm.taken) == 1


@pytest.mark.parametrize("kind", ["alert", "note"])
async def test_a_kind_that_nobody_knows_is_set_aside(by_hand: Hand, kind: str) -> None:
    contact = person()
    make = by_hand.missed if kind == "alert" else by_hand.confirmed
    told = await by_hand.accept(make(person("m")[0], contact))
    by_hand.rows("UPDATE notification SET plan = '', kind = 'from.tomorrow' RETURNING id")
    await by_hand.to_the_end()
    state = "undeliverable" if kind == "alert" else "parked"
    assert by_hand.state(told[contact[0]]) == (state, "quarantined")


@pytest.mark.parametrize("kind", ["alert", "note"])
async def test_a_settle_that_the_database_refuses_stops_no_other(
    by_hand: Hand, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    poison, other = person(), person()
    make = by_hand.missed if kind == "alert" else by_hand.confirmed
    told = await by_hand.accept(make(person("m")[0], poison, other))
    by_hand.twilio.answer = lambda sms: (
        # Text that Postgres does not take, out of an answer that nobody expected.
        refused(Result.CHANNEL_FINAL, "bad\0code") if sms.to == poison[1] else accepted()
    )
    assignments = await by_hand.claim()
    settlements = [await by_hand.call(each) for each in assignments]
    worker = by_hand._worker(assignments[0].claim.lane)
    assert worker.settler is not None
    await worker.settler._write(settlements)
    assert (by_hand.due(told[other[0]]) or {})["claimed"] is False
    # Seen, and not lost: its lease runs out, and it is resolved.
    assert (by_hand.due(told[poison[0]]) or {})["claimed"] is True
    assert "refused" in caplog.text
    by_hand.twilio.answer = lambda _: accepted()
    await by_hand.pass_(60.0, step=5.0)
    assert len(by_hand.twilio.texts_of(told[poison[0]])) >= 1


@pytest.mark.parametrize("kind", ["alert", "note"])
async def test_a_settle_that_is_refused_again_is_told_in_our_own_words(
    by_hand: Hand, kind: str
) -> None:
    """Or the row would be claimed for ever, and an alert never take its next step."""
    contact = person()
    make = by_hand.missed if kind == "alert" else by_hand.confirmed
    notification = (await by_hand.accept(make(person("m")[0], contact)))[contact[0]]
    by_hand.twilio.answer = lambda _: refused(Result.CHANNEL_FINAL, "bad\0code")
    by_hand.rows("UPDATE due SET suspect = 1 RETURNING seq")
    await by_hand.work()
    assert (by_hand.due(notification) or {"step": 1})["step"] == 1
    rows = by_hand.rows("SELECT result, code, detail FROM attempt WHERE provider = 'twilio'")
    assert rows == [("channel_final", None, "what the provider said cannot be stored")]


async def test_what_cannot_be_stored_in_any_words_moves_on_without_them(by_hand: Hand) -> None:
    notification = await _alerted(by_hand)
    by_hand.rows("UPDATE due SET suspect = 1 RETURNING seq")
    by_hand._owner.execute("ALTER TABLE attempt ADD CHECK (step > 0) NOT VALID")
    by_hand.twilio.answer = lambda _: refused(Result.CHANNEL_FINAL, "21614")
    await by_hand.work()
    assert (by_hand.due(notification) or {"step": 1})["step"] == 1


async def test_a_settle_that_pages_and_is_refused_stops_no_other(
    by_hand: Hand, caplog: pytest.LogCaptureFixture
) -> None:
    """The end of an alert is settled under the Member's lock, by itself."""
    contact = person()
    notification = await _alerted(by_hand, contact)
    by_hand.twilio.answer = lambda _: refused(Result.CHANNEL_FINAL, "bad\0code")
    for _ in range(2):
        (assignment,) = await by_hand.claim()
        settlement = await by_hand.call(assignment)
        sound = replace(settlement, attempts=())
        await by_hand.settle(sound)
    (assignment,) = await by_hand.claim()
    settlement = await by_hand.call(assignment)
    bad = refused(Result.CHANNEL_FINAL, "bad\0code")
    attempt = replace(settlement.attempts[0], outcome=bad) if settlement.attempts else None
    assert attempt is not None
    await by_hand.settle(replace(settlement, attempts=(attempt,)))
    assert "refused" in caplog.text
    assert by_hand.state(notification) == ("open", None)
    by_hand.twilio.answer = lambda _: refused(Result.CHANNEL_FINAL, "21614")
    await by_hand.to_the_end()
    assert by_hand.state(notification)[0] == "undeliverable"
    assert by_hand.pager.reasons == ["no_contact_reached"]
