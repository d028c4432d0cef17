"""Canaries go the ordinary way, are known as such, and are in no figure but their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from msgspec.structs import replace

from outbox.domain import canaries
from outbox.domain.ids import shard_of
from outbox.settings import Settings
from outbox.store import pulse
from tests.integration.relay_fakes import acknowledged, said
from tests.integration.relay_hand import Hand, hand, person
from tests.integration.rollup_world import Counting

_WHO = "pruuf-canary"
_NUMBER = "+12025550177"


@pytest.fixture
async def with_canary(
    make_settings: Callable[[str], Settings], database_url: str
) -> AsyncIterator[Hand]:
    """A relay whose canaries go to a stored recipient with a number and a device."""
    settings = replace(make_settings(database_url), canary=_WHO)
    async with hand(settings) as relay:
        phone = relay.sealer.seal(_NUMBER.encode(), table="recipient", row=_WHO, field="phone")
        connection = await relay.gateway()
        await connection.execute(
            "INSERT INTO recipient (shard, id, phone) VALUES (%s, %s, %s)",
            (shard_of(_WHO), _WHO, phone),
        )
        await relay.device(_WHO)
        yield relay


async def _send(relay: Hand) -> int:
    canary = relay.parts.canary
    return await canary._session.persist(canary.send)


def _ages(relay: Hand) -> dict[str, float]:
    query, values = pulse.query()
    rows = relay._owner.execute(query, values).fetchall()
    return {label: value for measure, label, value in rows if measure == "canary_age_s"}


async def test_they_go_through_every_provider_and_back_by_its_receipt(with_canary: Hand) -> None:
    assert _ages(with_canary) == {}
    assert await _send(with_canary) == 2
    await with_canary.work()
    (text,), ((push, reference),) = with_canary.twilio.taken, with_canary.fcm.taken
    assert text.sms.to == _NUMBER
    assert text.sms.body.startswith("Pruuf canary")
    assert (push.data["kind"], push.title) == (canaries.PUSH, "")
    await with_canary.hear(said(text, "delivered"), acknowledged(reference))
    states = with_canary.rows("SELECT kind, state, proof FROM notification ORDER BY kind")
    assert states == [("canary.push", "delivered", "app"), ("canary.sms", "delivered", "carrier")]
    assert set(_ages(with_canary)) == {"sms", "push"}


async def test_one_relay_sends_them_and_not_more_often(with_canary: Hand) -> None:
    assert [await _send(with_canary), await _send(with_canary)] == [2, 0]
    with_canary._owner.execute(
        "UPDATE notification SET created_at = created_at - interval '301 seconds'"
    )
    assert await _send(with_canary) == 2


async def test_one_that_does_not_come_back_makes_the_age_grow(with_canary: Hand) -> None:
    await _send(with_canary)
    await with_canary.work()
    await with_canary.hear(acknowledged(with_canary.fcm.taken[0][1]))
    await with_canary.to_the_end()
    for _ in range(3):
        with_canary._owner.execute(
            "UPDATE notification SET created_at = created_at - interval '310 seconds'"
        )
        await _send(with_canary)
        await with_canary.work()
        await with_canary.hear(acknowledged(with_canary.fcm.taken[-1][1]))
    ages = _ages(with_canary)
    assert ages["sms"] > 900
    assert ages["push"] < 300


async def test_they_are_in_no_figure_and_page_nobody(with_canary: Hand) -> None:
    counting = Counting(with_canary)
    await _send(with_canary)
    await with_canary.to_the_end()
    assert with_canary.pager.reasons == []
    counting.age(30)
    await counting.count()
    assert {slo for (slo,) in with_canary.rows("SELECT slo FROM rollup_minute")} <= {"webhooks"}


async def test_none_without_a_recipient(by_hand: Hand) -> None:
    assert by_hand.settings.canary is None
    by_hand.parts.canary._recipient = person()[0]
    assert await _send(by_hand) == 0
