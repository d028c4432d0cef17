"""Stripe's books beside ours: each difference is named, with its amount, and mended if possible."""

from __future__ import annotations

import pytest

from outbox.domain.billing_rules import Finding
from outbox.providers import stripe as adapter
from outbox.relay.billing_books import repair
from tests.integration.billing_world import World

from .billing_lives import life, stripe_url

__all__ = ["life", "stripe_url"]


async def _reconcile(life: World) -> list[tuple[str, str | None, int]]:
    """As a relay does when it is time: causes, accounts and amounts."""
    duty = life.relay.parts.billing_watch.reconciler
    assert duty._walk is not None
    duty._walk._pause_s = 0.0
    while await duty.round(every_s=0.0):
        pass
    return life.relay.rows(
        "SELECT cause, account, amount::integer FROM billing_finding WHERE source = 'stripe'"
        " ORDER BY cause, object"
    )


async def _mend(life: World) -> int:
    found = [
        Finding(**dict(zip(Finding.__struct_fields__, row, strict=True)))
        for row in life.relay.rows(
            "SELECT cause, object, account, amount, detail FROM billing_finding"
            " WHERE source = 'stripe'"
        )
    ]
    session = life.relay.parts.billing_watch.reconciler._session
    made = await repair(session, life.relay.sealer, life.relay.settings.policy, found)
    await life.relay.to_the_end(within_s=600)
    return made


async def test_books_that_agree_differ_in_nothing(
    life: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_PAGE", 2)
    for number in range(3):
        await life.open(f"c_{number}")
    await life.work()
    assert await _reconcile(life) == []
    [(rows,)] = life.relay.rows("SELECT looked_at_rows FROM billing_watch WHERE source = 'stripe'")
    assert rows == 6
    # It is done for some hours.
    assert not await life.relay.parts.billing_watch.reconciler.round()


async def test_a_walk_goes_on_where_it_was_left(
    life: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_PAGE", 1)
    for number in range(2):
        await life.open(f"c_{number}")
    await life.work()
    duty = life.relay.parts.billing_watch.reconciler
    assert await duty.round()
    places = life.relay.rows("SELECT goal, page FROM billing_cursor WHERE name = 'reconcile'")
    assert places[0][0] == "customers"
    assert places[0][1] is not None
    assert await _reconcile(life) == []


def _errors(life: World) -> list[tuple[str, int]]:
    """What the objective has of it."""
    return life.relay.rows(
        "SELECT code, sum(n)::integer FROM rollup_minute WHERE slo = 'billing'"
        " AND outcome = 'drift' AND kind = 'stripe' GROUP BY 1 ORDER BY 1"
    )


async def test_a_difference_is_a_billing_error_each_time_that_it_comes_up(life: World) -> None:
    await life.open()
    await life.work()
    assert await _reconcile(life) == []
    assert _errors(life) == []
    change = "UPDATE subscription SET cancel_at_period_end = NOT cancel_at_period_end RETURNING 1"
    life.relay.rows(change)
    for _ in range(2):
        assert await _reconcile(life) == [("ending", "c_1", 299)]
        # However long it lasts, and however often somebody looks.
        assert _errors(life) == [("ending", 1)]
    life.relay.rows(change)
    assert await _reconcile(life) == []
    life.relay.rows(change)
    await _reconcile(life)
    assert _errors(life) == [("ending", 2)]
    shown = life.relay.metrics.registry.get_sample_value(
        "pruuf_slo_outcomes_total", {"slo": "billing", "outcome": "drift", "verdict": "bad"}
    )
    assert shown == pytest.approx(2.0)


async def test_what_no_webhook_told_is_found_and_asked_for(life: World) -> None:
    await life.open()
    await life.work()
    (sub,) = await life.subscriptions()
    await life.ask(
        life.sdk.subscriptions.update_async(sub.id, {"cancel_at_period_end": True}),
    )
    # Its webhook is lost.
    await life.events()
    assert await _reconcile(life) == [("ending", "c_1", 299)]
    assert await _mend(life) == 1
    assert await _reconcile(life) == []
    assert await life.entitlement() == ("trialing", "trial_ends")


async def test_a_member_who_would_pay_is_found_and_the_subscription_ended(life: World) -> None:
    await life.open()
    await life.work()
    life.relay.rows(
        "UPDATE account SET role = 'member', role_at = now(), member_at = now(),"
        " member_by = 'x', member_why = 'x' RETURNING 1"
    )
    assert await _reconcile(life) == [("free_subscribed", "c_1", 299)]
    assert await _mend(life) == 1
    await life.work()
    assert await _reconcile(life) == []
    (sub,) = await life.subscriptions()
    assert sub.status == "canceled"


async def test_a_second_subscription_is_found_and_one_ended(life: World) -> None:
    await life.open()
    await life.work()
    (sub,) = await life.subscriptions()
    settings = life.relay.settings.stripe
    assert settings is not None
    await life.ask(
        life.sdk.subscriptions.create_async(
            {
                "customer": sub.customer,
                "items": [{"price": settings.price_id}],
                "trial_period_days": 30,
                "metadata": {"pruuf_account": "c_1"},
            }
        )
    )
    await life.events()
    causes = {cause for cause, _, _ in await _reconcile(life)}
    assert {"second_subscription", "not_ours"} <= causes
    await _mend(life)
    await life.work()
    assert await _reconcile(life) == []
    assert sorted(each.status for each in await life.subscriptions()) == ["canceled", "trialing"]


async def test_what_stripe_does_not_have_is_for_a_person(life: World) -> None:
    await life.open()
    await life.work()
    life.relay.rows("UPDATE subscription SET id = 'sub_nobody' RETURNING 1")
    life.relay.rows("UPDATE account SET customer = 'cus_nobody' RETURNING 1")
    found = await _reconcile(life)
    assert ("not_theirs", "c_1", 299) in found
    assert {cause for cause, _, _ in found} <= {
        "not_theirs",
        "not_ours",
        "second_customer",
        "second_subscription",
    }


async def test_somebody_elses_customers_are_none_of_ours(life: World) -> None:
    await life.ask(life.sdk.customers.create_async({"email": "x@example.com"}))
    assert await _reconcile(life) == []


async def test_after_lost_webhooks_the_list_is_fetched_and_the_books_agree(life: World) -> None:
    for number in range(2):
        await life.open(f"c_{number}")
    await life.relay.to_the_end(within_s=600)
    for sub in await life.subscriptions("c_0"):
        await life.ask(life.sdk.subscriptions.update_async(sub.id, {"cancel_at_period_end": True}))
    (ended,) = await life.subscriptions("c_1")
    await life.ask(life.sdk.subscriptions.cancel_async(ended.id))
    # No webhook came.
    assert {cause for cause, _, _ in await _reconcile(life)} >= {"ending", "status"}
    life.relay.rows("UPDATE billing_cursor SET read_at = NULL WHERE name = 'events' RETURNING 1")
    while await life.relay.parts.billing_catch_up.turn():
        pass
    await life.relay.to_the_end(within_s=600)
    assert await _reconcile(life) == []
    assert await life.entitlement("c_1") == ("lapsed", "cancelled")


async def test_what_a_webhook_may_mend_is_no_error_until_it_is_found_again(
    life: World, caplog: pytest.LogCaptureFixture
) -> None:
    await life.open()
    await life.work()
    [subscription] = await life.subscriptions()
    changed = {"cancel_at_period_end": True}
    await life.ask(life.sdk.subscriptions.update_async(subscription.id, changed))
    name = "outbox.relay.billing_reconciler"
    said = []
    for _ in range(2):
        caplog.clear()
        assert await _reconcile(life) == [("ending", "c_1", 299)]
        said.append([each.levelname for each in caplog.records if each.name == name])
    assert said == [["WARNING"], ["ERROR"]]
