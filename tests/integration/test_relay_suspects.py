"""Rows that kill relays: suspected, tried alone, and no more in the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from msgspec.structs import replace

from outbox.domain.states import Lane
from outbox.relay.clock import START_WITHIN_S
from outbox.settings import Settings

from .relay_hand import Hand, hand, person


@pytest.fixture
async def by_hand(settings: Settings) -> AsyncIterator[Hand]:
    async with hand(settings) as made:
        yield made


async def _alerted(by_hand: Hand, contact: tuple[str, str] | None = None) -> UUID:
    contact = contact or person()
    return (await by_hand.accept(by_hand.missed(person("m")[0], contact)))[contact[0]]


async def _killed(by_hand: Hand) -> None:
    """A relay claims everything and dies before it calls anybody."""
    await by_hand.claim()
    await by_hand.skip(21.0)


async def test_a_row_that_kills_relays_is_counted_although_it_is_resolved_between(
    by_hand: Hand,
) -> None:
    """The relay dies of the text, not of the question that is asked afterwards."""
    notification = await _alerted(by_hand)
    # Within the window of its step, which is 45 s.
    for kill in (1, 2):
        await _killed(by_hand)
        due = by_hand.due(notification)
        assert due is not None
        # Asked twice whether the text went out; it did not.
        for _ in range(2):
            (assignment,) = await by_hand.claim()
            assert assignment.claim.suspect == kill
            await by_hand.settle(await by_hand.call(assignment))
            await by_hand.skip(6.0)


async def test_a_row_that_killed_enough_relays_is_not_called_any_more(by_hand: Hand) -> None:
    contact = person()
    await by_hand.device(contact[0])
    notification = await _alerted(by_hand, contact)
    for _ in range(5):
        await _killed(by_hand)
    (assignment,) = await by_hand.claim()
    assert assignment.claim.suspect == 5
    await by_hand.settle(await by_hand.call(assignment))
    assert by_hand.twilio.calls == []
    await by_hand.work()
    assert [push.data["notification_id"] for push, _ in by_hand.fcm.taken] == [str(notification)]


async def test_what_says_nothing_about_a_row_clears_no_suspicion(by_hand: Hand) -> None:
    notification = await _alerted(by_hand)
    by_hand.rows("UPDATE due SET suspect = 3 RETURNING seq")
    # Given back, as it could not start in time.
    (assignment,) = await by_hand.claim()
    late = replace(assignment, claimed_at=assignment.claimed_at - START_WITHIN_S - 0.1)
    await by_hand.settle(await by_hand.call(late))
    assert (by_hand.due(notification) or {})["suspect"] == 3
    # Given back, as no call may be made.
    for way in by_hand.parts.gate.of("twilio"):
        way.held_until = by_hand.clock() + 10.0
    (assignment,) = await by_hand.claim()
    await by_hand.settle(await by_hand.call(assignment))
    assert (by_hand.due(notification) or {})["suspect"] == 3
    # A call that was settled does.
    by_hand.calm()
    await by_hand.pass_(15.0)
    assert len(by_hand.twilio.taken) == 1
    assert (by_hand.due(notification) or {})["suspect"] == 0


async def _until_called(by_hand: Hand, times: int) -> None:
    async with asyncio.timeout(30):
        while len(by_hand.twilio.calls) < times:  # noqa: ASYNC110 - the fake tells nobody
            await asyncio.sleep(0.01)


@asynccontextmanager
async def _at_work(by_hand: Hand) -> AsyncIterator[asyncio.Task[bool]]:
    """One round of claims of the safety lane, and its settler."""
    worker = by_hand._worker(Lane.SAFETY)
    assert worker.settler is not None
    settling = asyncio.create_task(worker.settler.run())
    yield asyncio.create_task(worker._round())
    worker.settler.stop()
    await settling


async def test_a_suspect_is_carried_out_when_no_other_call_is_in_flight(by_hand: Hand) -> None:
    suspect, others = person(), [person() for _ in range(20)]
    told = await by_hand.accept(by_hand.missed(person("m")[0], suspect, *others))
    by_hand.rows(
        "UPDATE due SET suspect = 3 WHERE notification = %s RETURNING seq", (told[suspect[0]],)
    )
    by_hand.twilio.held = asyncio.Event()
    async with _at_work(by_hand) as working:
        await _until_called(by_hand, 20)
        await asyncio.sleep(0.1)
        assert suspect[1] not in [sms.to for sms in by_hand.twilio.calls]
        assert not working.done()
        by_hand.twilio.held.set()
        async with asyncio.timeout(30):
            await working
    assert by_hand.twilio.calls[-1].to == suspect[1]
    assert len(by_hand.twilio.taken) == 21


async def test_nothing_else_is_held_while_a_suspect_is_carried_out(by_hand: Hand) -> None:
    """Or all suspects of a batch would be counted as having died with the one that kills."""
    people = [person() for _ in range(20)]
    await by_hand.accept(by_hand.missed(person("m")[0], *people))
    by_hand.rows("UPDATE due SET suspect = 3, work = 2, asked = 1, attempt = 1 RETURNING seq")
    by_hand.rows("UPDATE due SET work = 0 WHERE seq % 2 = 0 RETURNING seq")
    by_hand.rows("UPDATE due SET work = 0 WHERE seq = (SELECT min(seq) FROM due) RETURNING seq")
    before = by_hand.rows("SELECT seq, work, step, attempt, asked, suspect FROM due ORDER BY seq")
    by_hand.twilio.held = asyncio.Event()
    async with _at_work(by_hand) as working:
        await _until_called(by_hand, 1)
        held = by_hand.rows("SELECT seq FROM due WHERE owner IS NOT NULL")
        after = by_hand.rows(
            "SELECT seq, work, step, attempt, asked, suspect FROM due ORDER BY seq"
        )
        by_hand.twilio.held.set()
        await working
    assert [seq for (seq,) in held] == [before[0][0]]
    assert after[1:] == before[1:]
    assert len(by_hand.twilio.taken) == 1
