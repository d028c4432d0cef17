"""A slow sender and a long queue: its rate is kept, nothing spins, and an alert goes first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from outbox.domain.outcomes import Result
from outbox.relay.parts import Part
from outbox.settings import Settings

from .relay_fakes import SENDERS, refused
from .relay_hand import Hand, hand, person

_RATES = "[rates]\nlong_code = {rate}\n"


@asynccontextmanager
async def _at_work(
    settings: Settings, *, rate: float, senders: Sequence[str] = SENDERS[:1]
) -> AsyncIterator[Hand]:
    """A relay that works by itself, with one sender of this rate."""
    async with hand(settings, policy=_RATES.format(rate=rate), senders=senders) as by_hand:
        parts = by_hand.parts
        running: list[Part] = [*parts.workers, parts._gate_sync]
        tasks = [asyncio.create_task(each.run()) for each in running]
        settling = [asyncio.create_task(settler.run()) for settler in parts.settlers]
        try:
            yield by_hand
        finally:
            for part in running:
                part.stop()
            for worker in parts.workers:
                await worker.drain()
            for settler in parts.settlers:
                settler.stop()
            await asyncio.gather(*tasks, *settling)


async def _notes(by_hand: Hand, count: int, *, phones: bool = True) -> None:
    contacts: list[tuple[str, str | None]] = []
    for _ in range(count):
        who, phone = person()
        contacts.append((who, phone if phones else None))
    for first in range(0, count, 100):
        await by_hand.accept(by_hand.confirmed(person("m")[0], *contacts[first : first + 100]))


def _claims(by_hand: Hand) -> int:
    return int(by_hand.rows("SELECT coalesce(sum(fence), 0) FROM due")[0][0])


async def test_a_queue_behind_a_slow_sender_keeps_its_rate_and_spins_nothing(
    settings: Settings,
) -> None:
    async with _at_work(settings, rate=5.0) as by_hand:
        await _notes(by_hand, 2_000)
        for worker in by_hand.parts.workers:
            worker.wake()
        began, before = time.monotonic(), _claims(by_hand)
        await asyncio.sleep(6.0)
        took = time.monotonic() - began
        claims, sends = _claims(by_hand) - before, len(by_hand.twilio.calls)
    print(f"\n{sends} sends and {claims} claims in {took:.1f} s behind a sender of 5/s")
    # Its share of the rate, and what was saved up.
    assert sends <= 5.0 * 0.3 * (took + 2.0)
    assert sends >= 5.0 * 0.3 * took * 0.5
    # Each claim that is given back is work for nothing.
    assert claims <= sends + 60 * took


async def test_an_alert_goes_before_all_that_waits(settings: Settings) -> None:
    async with _at_work(settings, rate=5.0) as by_hand:
        await _notes(by_hand, 500)
        await asyncio.sleep(3.0)
        contacts = [person() for _ in range(5)]
        by_hand.twilio.calls.clear()
        began = time.monotonic()
        await by_hand.accept(by_hand.missed(person("m")[0], *contacts))
        for worker in by_hand.parts.workers:
            worker.wake()
        wanted = {phone for _, phone in contacts}
        async with asyncio.timeout(20):
            while not wanted <= {sms.to for sms in by_hand.twilio.calls}:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        took = time.monotonic() - began
    print(f"\n5 alerts behind 500 notes at 5/s were sent after {took * 1000:.0f} ms")
    assert took < 5.0


async def test_pushes_are_not_held_up_by_a_slow_sender(settings: Settings) -> None:
    """A thousand notes that go by push alone, beside a thousand that wait for a text."""
    async with _at_work(settings, rate=1.0) as by_hand:
        by_hand.twilio.answer = lambda _: refused(Result.CHANNEL_FINAL, "21614")
        await _notes(by_hand, 1_000, phones=False)
        for worker in by_hand.parts.workers:
            worker.wake()
        began = time.monotonic()
        async with asyncio.timeout(60):
            while by_hand.rows("SELECT count(*) FROM due")[0][0]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        took = time.monotonic() - began
    print(f"\n1,000 notes without a number ended after {took:.1f} s beside a sender of 1/s")
    assert took < 20.0
