"""What Stripe tells of one second has no order: it is asked, and its answer is kept."""

from __future__ import annotations

from tests.integration.billing_world import World

from .billing_lives import life, stripe_url

__all__ = ["life", "stripe_url"]


async def test_a_dispute_that_is_lost_in_the_second_in_which_it_was_opened(life: World) -> None:
    await life.open()
    await life.work()
    made = await life.ask(
        life.sdk.payment_methods.create_async({"type": "card", "card": {"token": "tok_visa"}})
    )
    await life.say("payment_method_added", payment_method=made.id)
    await life.work()
    await life.days(31)
    assert (await life.sim.post("/_sim/clock", json={"frozen": True})).status_code == 200
    (charge,) = (await life.ask(life.sdk.charges.list_async({"limit": 100}))).data
    opened = await life.sim.post("/_sim/stripe/disputes", json={"charge": charge.id})
    await life.work()
    lost = {"dispute": opened.json()["id"], "won": False}
    assert (await life.sim.post("/_sim/stripe/disputes", json=lost)).status_code == 200
    await life.work()
    assert life.relay.rows("SELECT status FROM reversal WHERE kind = 'dispute'") == [("lost",)]
    assert await life.entitlement() == ("lapsed", "cancelled")


async def test_an_invoice_of_which_only_the_payment_was_told_is_asked_for(life: World) -> None:
    await life.open()
    await life.work()
    made = await life.ask(
        life.sdk.payment_methods.create_async({"type": "card", "card": {"token": "tok_visa"}})
    )
    await life.say("payment_method_added", payment_method=made.id)
    await life.work()
    moved = await life.sim.post("/_sim/clock", json={"advance_s": 31 * 86_400})
    assert moved.status_code == 200
    told = await life.events()
    await life.hear(*[each for each in told if each["type"] == "invoice_payment.paid"])
    await life.relay.to_the_end(within_s=600)
    ((status, intent),) = life.relay.rows("SELECT status, intent FROM invoice WHERE paid > 0")
    assert status == "paid"
    assert intent.startswith("pi_")


async def test_of_another_installations_account_nothing_is_kept(life: World) -> None:
    metadata = {"metadata": {"pruuf_account": "ghost"}}
    customer = await life.ask(life.sdk.customers.create_async(metadata))
    method = await life.ask(
        life.sdk.payment_methods.create_async({"type": "card", "card": {"token": "tok_visa"}})
    )
    whose = {"customer": customer.id}
    await life.ask(life.sdk.payment_methods.attach_async(method.id, whose))
    await life.work()
    # It carries no id of ours, so that Stripe is asked whose it is.
    looks = life.relay.rows("SELECT state FROM notification WHERE kind = 'billing.look'")
    assert set(looks) == {("delivered",)}
    assert life.relay.rows("SELECT id FROM account") == []
    assert life.relay.rows("SELECT id FROM payment_method") == []


async def test_what_was_applied_is_known_when_the_inbox_has_long_been_emptied(life: World) -> None:
    await life.open()
    await life.work()
    [subscription] = await life.subscriptions()
    told = {
        "id": "evt_thin",
        "object": "v2.core.event",
        "type": "v1.customer.subscription.updated",
        "created": "2026-11-23T09:00:00.000Z",
        "related_object": {"id": subscription.id, "type": "subscription"},
    }
    for _ in range(2):
        await life.hear(told)
        await life.relay.to_the_end(within_s=600)
        life.relay.rows("DELETE FROM inbox RETURNING 1")
    looks = life.relay.rows("SELECT state FROM notification WHERE kind = 'billing.look'")
    assert looks == [("delivered",)]
