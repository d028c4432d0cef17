"""Opt-outs: obeyed at once, told to those whom they concern, ended by START."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from typing import Literal

import pytest

from outbox.domain.inbound import Inbound
from outbox.domain.outcomes import Result
from outbox.settings import Settings
from outbox.store import inbox

from .relay_fakes import accepted, refused, said
from .relay_hand import Hand, hand, person

_texts = count(1)
OptOut = Literal["STOP", "START", "HELP"]


@pytest.fixture
async def by_hand(settings: Settings) -> AsyncIterator[Hand]:
    async with hand(settings) as made:
        yield made


async def _text(by_hand: Hand, phone: str, body: str, opt_out: OptOut | None = None) -> None:
    """Somebody texts us, and the relay applies it."""
    text = Inbound(
        phone=phone,
        to="+12025550191",
        body=body,
        provider_id=f"SM{next(_texts)}",
        opt_out=opt_out,
    )
    connection = await by_hand.gateway()
    async with connection.transaction():
        await inbox.store(connection, [inbox.sealed_text(by_hand.sealer, text)])
    await by_hand.apply()


async def _known(by_hand: Hand, *, device: bool) -> tuple[str, tuple[str, str]]:
    """A Member, and a Contact who has been told of a check-in."""
    member, contact = person("m")[0], person()
    if device:
        await by_hand.device(contact[0])
    await by_hand.accept(by_hand.confirmed(member, contact))
    await by_hand.work()
    await by_hand.hear(said(by_hand.twilio.taken[-1], "delivered"))
    return member, contact


@pytest.mark.parametrize("word", ["STOP", " stop ", "Stop.", "UNSUBSCRIBE", "END", "cancel"])
async def test_after_a_stop_an_alert_goes_by_push_without_a_text(by_hand: Hand, word: str) -> None:
    member, contact = await _known(by_hand, device=True)
    await _text(by_hand, contact[1], word)
    texts = len(by_hand.twilio.calls)
    told = await by_hand.accept(by_hand.missed(member, contact, hour=1))
    await by_hand.work()
    assert len(by_hand.twilio.calls) == texts
    assert [push.data["notification_id"] for push, _ in by_hand.fcm.taken] == [
        str(told[contact[0]])
    ]
    assert by_hand.attempts(told[contact[0]])[0][3:] == ("recipient_suppressed", "opted_out")


async def test_who_opted_out_and_has_no_device_is_told_of_to_the_others_and_the_operator(
    by_hand: Hand,
) -> None:
    member, contact = await _known(by_hand, device=False)
    other = person()
    await by_hand.accept(by_hand.confirmed(member, contact, other, hour=1))
    await by_hand.work()
    by_hand.twilio.taken.clear()
    await _text(by_hand, contact[1], "STOP")
    await by_hand.work()
    assert [(one.sms.to, "cannot" in one.sms.body) for one in by_hand.twilio.taken] == [
        (other[1], False)
    ]
    assert "stopped our texts" in by_hand.twilio.taken[0].sms.body
    assert by_hand.pager.reasons == ["contact_unreachable"]
    (page,) = by_hand.pager.pages.values()
    assert contact[0] in page.summary
    assert contact[1] not in page.summary
    # Once: it is the same opt-out.
    await _text(by_hand, contact[1], "STOP")
    await by_hand.work()
    assert by_hand.pager.reasons == ["contact_unreachable"]


async def test_who_opted_out_and_has_a_device_is_no_news(by_hand: Hand) -> None:
    _, contact = await _known(by_hand, device=True)
    await _text(by_hand, contact[1], "STOP")
    await by_hand.work()
    assert by_hand.pager.reasons == []


async def test_an_alert_to_who_cannot_be_reached_at_all_pages_at_once(by_hand: Hand) -> None:
    member, contact = await _known(by_hand, device=False)
    await _text(by_hand, contact[1], "STOP")
    told = await by_hand.accept(by_hand.missed(member, contact, hour=1))
    await by_hand.work()
    assert by_hand.pager.reasons == ["contact_unreachable", "no_contact_reached"]
    assert by_hand.state(told[contact[0]])[0] in {"undeliverable", "suppressed"}


@pytest.mark.parametrize("word", ["START", "unstop", "Yes"])
async def test_start_restores_and_a_new_stop_is_news_again(by_hand: Hand, word: str) -> None:
    member, contact = await _known(by_hand, device=False)
    await _text(by_hand, contact[1], "STOP")
    await by_hand.work()
    await _text(by_hand, contact[1], word)
    texts = len(by_hand.twilio.taken)
    await by_hand.accept(by_hand.missed(member, contact, hour=1))
    await by_hand.work()
    assert len(by_hand.twilio.taken) == texts + 1
    await _text(by_hand, contact[1], "STOP")
    await by_hand.work()
    assert by_hand.pager.reasons.count("contact_unreachable") == 2


@pytest.mark.parametrize("how", ["answer", "receipt"])
async def test_an_opt_out_that_the_provider_knows_of_is_learned(by_hand: Hand, how: str) -> None:
    member, contact = person("m")[0], person()
    await by_hand.device(contact[0])
    if how == "answer":
        by_hand.twilio.answer = lambda _: refused(Result.RECIPIENT_SUPPRESSED, "21610")
    await by_hand.accept(by_hand.missed(member, contact))
    await by_hand.work()
    if how == "receipt":
        await by_hand.hear(said(by_hand.twilio.taken[0], "undelivered", "21610"))
        await by_hand.work()
    by_hand.twilio.answer = lambda _: accepted()
    assert len(by_hand.fcm.taken) == 1
    query = "SELECT origin, word FROM suppression WHERE lifted_at IS NULL"
    assert by_hand.rows(query) == [("provider", "21610")]
    # Every relay knows within a second of it, and calls no more.
    suppressed = by_hand.parts.suppressed
    await suppressed._session.persist(suppressed._read)
    calls = len(by_hand.twilio.calls)
    await by_hand.accept(by_hand.confirmed(member, contact, hour=2))
    await by_hand.work()
    assert len(by_hand.twilio.calls) == calls


async def test_what_reads_like_a_revocation_is_for_a_person_to_decide(by_hand: Hand) -> None:
    member, contact = await _known(by_hand, device=False)
    await _text(by_hand, contact[1], "please stop texting me")
    await _text(by_hand, contact[1], "wrong number!!")
    await by_hand.work()
    assert by_hand.pager.reasons == ["maybe_opt_out"]
    assert by_hand.rows("SELECT count(*) FROM revocation WHERE decided_at IS NULL") == [(2,)]
    assert by_hand.rows("SELECT count(*) FROM suppression") == [(0,)]
    texts = len(by_hand.twilio.taken)
    await by_hand.accept(by_hand.missed(member, contact, hour=1))
    await by_hand.work()
    assert len(by_hand.twilio.taken) == texts + 1


async def test_other_words_and_help_change_nothing(by_hand: Hand) -> None:
    _, contact = await _known(by_hand, device=False)
    for body in ("HELP", "ok thanks", ""):
        await _text(by_hand, contact[1], body)
    await by_hand.work()
    assert by_hand.rows("SELECT count(*) FROM suppression") == [(0,)]
    assert by_hand.rows("SELECT count(*) FROM revocation") == [(0,)]
    assert by_hand.pager.reasons == []


async def test_twilios_own_judgement_of_a_word_counts(by_hand: Hand) -> None:
    _, contact = await _known(by_hand, device=True)
    await _text(by_hand, contact[1], "basta ya", opt_out="STOP")
    assert by_hand.rows("SELECT word FROM suppression") == [("OptOutType",)]


async def test_an_opt_out_names_no_number_anywhere(by_hand: Hand) -> None:
    _, contact = await _known(by_hand, device=False)
    await _text(by_hand, contact[1], "STOP")
    stored = by_hand.rows("SELECT * FROM suppression")
    assert contact[1] not in repr(stored)
