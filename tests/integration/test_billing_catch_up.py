"""What no webhook brought is read from Stripe's list, once, and from where it was left."""

from __future__ import annotations

import pytest

from outbox.providers import stripe as adapter
from tests.integration.billing_world import World

from .billing_lives import life, stripe_url

__all__ = ["life", "stripe_url"]


async def _read(life: World) -> None:
    """As a relay does when it is time."""
    life.relay.rows("UPDATE billing_cursor SET read_at = NULL RETURNING 1")
    while await life.relay.parts.billing_catch_up.turn():
        pass
    await life.relay.to_the_end(within_s=600)


def _counts(life: World) -> tuple[int, int]:
    [(stored, heard)] = life.relay.rows(
        "SELECT (SELECT count(*) FROM inbox WHERE provider = 'stripe'),"
        " (SELECT count(*) FROM billing_event WHERE source = 'stripe')",
    )
    return stored, heard


async def test_nothing_is_missed_and_nothing_is_applied_twice(
    life: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_PAGE", 5)
    for number in range(4):
        await life.open(f"c_{number}")
    await life.relay.to_the_end(within_s=600)
    # More than two pages, of which some came by webhook.
    events = await life.events()
    assert len(events) > 10
    await life.hear(*events[4:9])
    await _read(life)
    assert _counts(life) == (len(events), len(events))
    found = {(await life.entitlement(f"c_{number}")) for number in range(4)}
    assert found == {("trialing", "trial")}
    # Forward from there.
    await life.say("subscription_cancelled", name="c_3", when="period_end")
    await life.relay.to_the_end(within_s=600)
    await _read(life)
    more = await life.events()
    assert _counts(life) == (len(events) + len(more), len(events) + len(more))
    assert await life.entitlement("c_3") == ("trialing", "trial_ends")


async def test_an_event_that_is_no_longer_listed_begins_the_list_anew(life: World) -> None:
    await life.open()
    await life.relay.to_the_end(within_s=600)
    life.relay.rows("UPDATE billing_cursor SET newest = 'evt_gone' RETURNING 1")
    await _read(life)
    assert _counts(life)[1] == len(await life.events())


async def test_one_relay_reads_at_a_time(life: World) -> None:
    life.relay.rows("UPDATE billing_cursor SET lease_until = now() + interval '1 hour' RETURNING 1")
    assert not await life.relay.parts.billing_catch_up.turn()
    assert _counts(life) == (0, 0)
