"""A life's webhooks in any order, with repetitions, leave the same account."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.integration.billing_world import World

from .billing_lives import forget, life, stripe_url

__all__ = ["life", "stripe_url"]


_KEPT = {
    "account": "customer, default_method, credit, customer_gone_at IS NOT NULL, wish",
    "subscription": "id, status, price, trial_end, period_start, period_end, cancel_at_period_end,"
    " canceled_at, ended_at, end_reason, latest_invoice, default_method",
    "invoice": "id, status, reason, due, paid, remaining, attempts, failed_at, decline, intent,"
    " finalized_at, paid_at",
    "payment_method": "id, type, expires_at, attached",
    "reversal": "id, kind, status, amount, reason, intent, withdrawn",
}


def _kept(life: World) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table: sorted(life.relay.rows(f"SELECT {columns} FROM {table}"), key=str)
        for table, columns in _KEPT.items()
    }


@pytest.mark.parametrize("seeds", [range(6), pytest.param(range(6, 60), marks=pytest.mark.long)])
async def test_a_life_in_any_order(life: World, seeds: range) -> None:
    heard: list[dict[str, Any]] = []
    real = life.hear

    async def hear(*events: dict[str, Any]) -> None:
        heard.extend(events)
        await real(*events)

    life.hear = hear  # type: ignore[method-assign]
    await life.open()
    await life.work()
    made = await life.ask(
        life.sdk.payment_methods.create_async(
            {"type": "card", "card": {"token": "tok_chargeCustomerFail"}}
        )
    )
    await life.say("payment_method_added", payment_method=made.id)
    await life.days(31)
    better = await life.ask(
        life.sdk.payment_methods.create_async({"type": "card", "card": {"token": "tok_visa"}})
    )
    await life.say("payment_method_added", payment_method=better.id)
    await life.work()
    await life.say("payment_method_removed", payment_method=made.id)
    await life.days(30)
    await life.say("subscription_cancelled", when="now")
    await life.work()
    assert await life.entitlement() == ("lapsed", "cancelled")
    wanted = _kept(life)
    assert len(heard) > 30
    assert all(wanted.values())
    for seed in seeds:
        dice = random.Random(seed)
        shuffled = [*heard, *dice.sample(heard, 10)]
        dice.shuffle(shuffled)
        forget(life)
        while shuffled:
            size = dice.randint(1, 12)
            await real(*shuffled[:size])
            del shuffled[:size]
            await life.relay.to_the_end(within_s=600)
        kept = _kept(life)
        different = [(t, row) for t in kept for row in kept[t] if row not in wanted[t]]
        assert different == [], seed
        assert kept == wanted, seed
