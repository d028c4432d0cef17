"""A new look-up key comes in front: every number and every opt-out is still found."""

from __future__ import annotations

import secrets

import pytest
from msgspec.structs import replace

from outbox.domain.inbound import Inbound
from outbox.sealing import Sealer
from outbox.settings import Settings
from outbox.store import inbox
from outbox.store.finding import hashes

from .audit_world import audited
from .conftest import rows
from .relay_fakes import said
from .relay_hand import Hand, hand, person


@pytest.fixture
def rotated(settings: Settings) -> Settings:
    return replace(settings, lookup_keys=(secrets.token_bytes(32), *settings.lookup_keys))


async def _text(by_hand: Hand, phone: str, body: str) -> None:
    text = Inbound(
        phone=phone, to="+12025550191", body=body, provider_id=secrets.token_hex(8), opt_out=None
    )
    connection = await by_hand.gateway()
    async with connection.transaction():
        await inbox.store(connection, [inbox.sealed_text(by_hand.sealer, text)])
    await by_hand.apply()


async def _known(by_hand: Hand) -> tuple[str, str]:
    contact = person()
    await by_hand.accept(by_hand.confirmed(person("m")[0], contact))
    await by_hand.work()
    await by_hand.hear(said(by_hand.twilio.taken[-1], "delivered"))
    return contact


async def _alerted(by_hand: Hand, contact: tuple[str, str]) -> bool:
    """Whether a text goes to the contact about somebody who misses a check-in."""
    before = len(by_hand.twilio.calls)
    suppressed = by_hand.parts.suppressed
    await suppressed._session.persist(suppressed._read)
    await by_hand.accept(by_hand.missed(person("m")[0], contact))
    await by_hand.work()
    return len(by_hand.twilio.calls) > before


async def test_an_opt_out_holds_and_a_start_ends_it_whichever_key_it_was_kept_under(
    settings: Settings, rotated: Settings
) -> None:
    async with hand(settings) as before:
        contact = await _known(before)
        await _text(before, contact[1], "STOP")
    async with hand(rotated) as after:
        assert not await _alerted(after, contact)
        await _text(after, contact[1], "START")
        assert await _alerted(after, contact)
        await _text(after, contact[1], "STOP")
    # A process that was not yet started anew, or the one that is started last.
    async with hand(rotated) as last:
        assert not await _alerted(last, contact)
        await _text(last, contact[1], "START")
        assert await _alerted(last, contact)


async def test_a_number_is_found_in_what_was_kept_before_and_after(
    settings: Settings, rotated: Settings, database_url: str
) -> None:
    async with hand(settings) as before:
        contact = await _known(before)
    async with hand(rotated) as after:
        await after.accept(after.missed(person("m")[0], contact))
        await after.work()
        await after.hear(said(after.twilio.taken[-1], "delivered"))
    keyed = [found.hex() for found in hashes(rotated, contact[1])]
    kept = rows(database_url, "SELECT DISTINCT encode(phone_hash, 'hex') FROM notification")
    assert {row[0] for row in kept} == set(keyed)
    assert len(keyed) == 2
    assert not (await audited(rotated, shards=None)).found


def test_a_repeated_event_is_known_again(settings: Settings, rotated: Settings) -> None:
    before, after = (Sealer(each.keys, each.lookup_keys) for each in (settings, rotated))
    assert before.content_hash(b"the same") == after.content_hash(b"the same")
