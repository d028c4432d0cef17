"""A webhook of Stripe that cannot be applied is set aside alone, and counted; the others count."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import errors

from outbox.store.billing_effects import Effects
from tests.integration.billing_world import World

from .billing_lives import life, stripe_url

__all__ = ["life", "stripe_url"]

_FAILED = "pruuf_billing_webhooks_total"


async def _told(life: World) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A webhook of a shape that no version of Stripe has, and some sound ones of its customer."""
    await life.open()
    await life.relay.to_the_end(within_s=600)
    sound = await life.events()
    invoice = next(each for each in sound if each["type"].startswith("invoice."))
    about = {**invoice["data"]["object"], "last_finalization_error": "a text, and no object"}
    poison = {
        **invoice,
        "id": "evt_poison",
        "type": "invoice.finalization_failed",
        "created": invoice["created"] + 60,
        "data": {"object": about},
    }
    return poison, sound


def _failed(life: World) -> float:
    metrics = life.relay.parts.billing_applier._metrics
    value = metrics.registry.get_sample_value(_FAILED, {"type": "unlisted", "result": "failed"})
    return value or 0.0


@pytest.mark.parametrize("refused_by", ["our code", "Postgres"])
async def test_one_that_cannot_be_applied_stops_no_other(
    life: World, monkeypatch: pytest.MonkeyPatch, refused_by: str
) -> None:
    poison, sound = await _told(life)
    if refused_by == "Postgres":
        poison["data"]["object"].pop("last_finalization_error")
        real = Effects.apply

        async def refuse(self: Effects, connection: Any, shard: int, event: Any, batch: Any) -> Any:  # noqa: ANN401
            if event.id == poison["id"]:
                raise errors.DataException
            return await real(self, connection, shard, event, batch)

        monkeypatch.setattr(Effects, "apply", refuse)
    before = _failed(life)
    await life.hear(*sound[:2], poison, *sound[2:])
    assert life.relay.rows(
        "SELECT said, done_at IS NOT NULL FROM inbox WHERE note LIKE 'cannot%'"
    ) == [(poison["id"], True)]
    assert life.relay.rows("SELECT FROM inbox WHERE done_at IS NULL") == []
    heard = {row[0] for row in life.relay.rows("SELECT source_id FROM billing_event")}
    assert {each["id"] for each in sound} <= heard
    assert poison["id"] not in heard
    assert _failed(life) == before + 1
    assert (await life.account())["subscription"]["status"] == "trialing"
