"""Devices grow old, are heard of again, and are asked for a proof that nobody sees."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from dashboard import delivery, reach, readings
from dashboard.frame import WINDOWS
from dashboard.reach import Funnel
from outbox.domain.callbacks import Callback
from outbox.domain.ids import shard_of
from outbox.domain.messages import Push
from outbox.domain.references import Reference
from outbox.settings import Settings
from outbox.store import ageing

from .relay_hand import Hand, hand, person


@pytest.fixture
async def by_hand(settings: Settings) -> AsyncIterator[Hand]:
    async with hand(settings) as made:
        yield made


async def _device(by_hand: Hand, recipient: str, *, days: int, name: str = "d") -> None:
    """A device that was registered so long ago."""
    await by_hand.device(recipient, name=name)
    by_hand.rows(
        f"UPDATE device SET seen_at = now() - interval '{days} days'"
        f" WHERE recipient = '{recipient}' AND id = '{name}' RETURNING 1"
    )


async def _look(by_hand: Hand) -> None:
    await by_hand.parts.housekeeping.devices_age.look()


def _aged(by_hand: Hand) -> dict[str, str]:
    return dict(
        by_hand.rows(
            "SELECT recipient, CASE WHEN dead_at IS NOT NULL THEN 'dead'"
            " WHEN stale_at IS NOT NULL THEN 'stale' ELSE 'fresh' END FROM device"
        )
    )


async def _acknowledge(by_hand: Hand, reference: Reference) -> None:
    await by_hand.hear(
        Callback(
            source="app",
            status="received",
            notification=reference.notification,
            step=reference.step,
            fence=reference.fence,
            ordinal=reference.ordinal,
        )
    )


def _proofs(by_hand: Hand) -> list[tuple[Push, Reference]]:
    return [taken for taken in by_hand.fcm.taken if taken[0].data["kind"] == "device.proof"]


def _seen(by_hand: Hand) -> Funnel:
    """What the dashboard counts."""
    engine = readings.engine(by_hand.settings.require_database())
    try:
        with engine.connect() as connection:
            return reach.funnel(delivery.look(connection, WINDOWS["1h"]).reached)
    finally:
        engine.dispose()


async def test_devices_age_with_the_days(by_hand: Hand) -> None:
    ages = {person()[0]: days for days in (0, 29, 31, 269, 271)}
    for recipient, days in ages.items():
        await _device(by_hand, recipient, days=days)
    await _look(by_hand)
    expected = {0: "fresh", 29: "fresh", 31: "stale", 269: "stale", 271: "dead"}
    assert _aged(by_hand) == {recipient: expected[days] for recipient, days in ages.items()}
    figure = by_hand.metrics.registry.get_sample_value
    assert [figure("pruuf_devices", {"state": s}) for s in ("fresh", "stale", "dead")] == [2, 2, 1]


async def test_who_was_long_unheard_of_is_asked_for_a_proof_that_shows_nothing(
    by_hand: Hand,
) -> None:
    for days in (6, 8, 40, 300):
        await _device(by_hand, f"c-{days}", days=days)
    await _look(by_hand)
    await by_hand.work()
    asked = by_hand.rows("SELECT recipient, lane FROM notification WHERE kind = 'device.proof'")
    assert sorted(asked) == [("c-40", 3), ("c-8", 3)]
    assert [(push.title, push.body, push.urgent) for push, _ in _proofs(by_hand)] == [
        ("", "", False)
    ] * 2
    # Once a week, whatever becomes of it.
    await _look(by_hand)
    await by_hand.to_the_end()
    await _look(by_hand)
    assert len(by_hand.rows("SELECT FROM notification")) == 2


async def test_an_acknowledged_proof_makes_fresh_again(by_hand: Hand) -> None:
    recipient = person()[0]
    await _device(by_hand, recipient, days=40)
    await _look(by_hand)
    await by_hand.work()
    assert _aged(by_hand) == {recipient: "stale"}
    [(_, reference)] = _proofs(by_hand)
    await _acknowledge(by_hand, reference)
    assert by_hand.state(reference.notification)[0] == "delivered"
    assert by_hand.proof(reference.notification) == ("app", "push")
    seen = _seen(by_hand)
    assert (seen.accepted, seen.delivered) == (0, 0)
    await _look(by_hand)
    assert _aged(by_hand) == {recipient: "fresh"}
    # It is proven for a week: nothing more is asked.
    assert len(by_hand.rows("SELECT FROM notification")) == 1


async def test_an_old_registration_whose_app_still_answers_lives_on(by_hand: Hand) -> None:
    recipient = person()[0]
    await _device(by_hand, recipient, days=400)
    told = await by_hand.accept(by_hand.missed(person("m")[0], (recipient, None)))
    await by_hand.work()
    _, reference = by_hand.fcm.taken[-1]
    assert reference.notification == told[recipient]
    await _acknowledge(by_hand, reference)
    await _look(by_hand)
    assert _aged(by_hand) == {recipient: "fresh"}
    assert _proofs(by_hand) == []


async def test_a_proof_that_nobody_answers_ends_quietly(by_hand: Hand) -> None:
    recipient = person()[0]
    await _device(by_hand, recipient, days=8)
    await _look(by_hand)
    await by_hand.to_the_end()
    [(notification,)] = by_hand.rows("SELECT id FROM notification")
    assert isinstance(notification, UUID)
    assert by_hand.state(notification) == ("undeliverable", "no_receipt")
    assert len(by_hand.fcm.taken) == 1
    assert by_hand.pager.pages == {}


async def test_many_are_asked_page_by_page(by_hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outbox.relay.devices_age._AT_ONCE", 3)
    recipients = [person()[0] for _ in range(40)]
    for recipient in recipients:
        await _device(by_hand, recipient, days=10)
    await _look(by_hand)
    asked = by_hand.rows("SELECT recipient, shard FROM notification")
    assert sorted(asked) == sorted((each, shard_of(each)) for each in recipients)


async def test_two_relays_at_once_ask_once(by_hand: Hand, settings: Settings) -> None:
    for _ in range(30):
        await _device(by_hand, person()[0], days=10)
    async with hand(settings) as other:
        await asyncio.gather(_look(by_hand), _look(other))
    # A shard that one of them left to the other is done by whoever looks next.
    await _look(by_hand)
    asked = by_hand.rows("SELECT recipient, count(*)::integer FROM notification GROUP BY 1")
    assert [number for _, number in asked] == [1] * 30


async def test_a_shard_is_aged_by_one_relay_at_a_time(by_hand: Hand, settings: Settings) -> None:
    async with hand(settings) as other:
        one, two = await by_hand.parts.sessions[0].get(), await other.parts.sessions[0].get()
        async with one.transaction():
            assert await ageing.take(one, 3)
            async with two.transaction():
                assert not await ageing.take(two, 3)
                assert await ageing.take(two, 4)
        async with two.transaction():
            assert await ageing.take(two, 3)
