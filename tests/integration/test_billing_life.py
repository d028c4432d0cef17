"""Lives of accounts, from the backend's word to Stripe and back."""

from __future__ import annotations

from tests.integration.billing_world import World

from .billing_lives import life, stripe_url

__all__ = ["life", "stripe_url"]


async def test_an_opened_account_becomes_a_trial_at_stripe(life: World) -> None:
    command = await life.open()
    assert await life.entitlement() == ("trialing", "trial_begins")
    await life.work()
    assert life.relay.state(command) == ("delivered", None)
    found = await life.account()
    assert (found["entitlement"], found["reason"]) == ("trialing", "trial")
    (at_stripe,) = await life.subscriptions()
    assert found["subscription"]["id"] == at_stripe.id
    assert at_stripe.trial_settings.end_behavior.missing_payment_method == "pause"


CARD = "pm_card_visa"
BROKE = "pm_card_chargeCustomerFail"


async def _card(life: World, name: str = CARD) -> str:
    """A payment method of Stripe's, as the app gets one."""
    token = {CARD: "tok_visa", BROKE: "tok_chargeCustomerFail"}[name]
    made = await life.ask(
        life.sdk.payment_methods.create_async({"type": "card", "card": {"token": token}})
    )
    return str(made.id)


async def _paying(life: World) -> None:
    """An account after its trial, which has paid."""
    await life.open()
    await life.work()
    await life.say("payment_method_added", payment_method=await _card(life))
    await life.work()
    await life.days(31)
    assert await life.entitlement() == ("active", "paid")


async def _charged(life: World) -> int:
    """Cents that Stripe took and did not give back."""
    charges = await life.ask(life.sdk.charges.list_async({"limit": 100}))
    return sum(each.amount_captured - each.amount_refunded for each in charges.data if each.paid)


async def test_a_trial_without_a_card_pauses_and_a_card_resumes_it(life: World) -> None:
    await life.open()
    await life.work()
    await life.days(31)
    assert await life.entitlement() == ("lapsed", "no_card")
    assert await _charged(life) == 0
    command = await life.say("payment_method_added", payment_method=await _card(life))
    await life.work()
    assert life.relay.state(command) == ("delivered", None)
    assert await life.entitlement() == ("active", "paid")
    assert await _charged(life) == 299
    found = await life.account()
    assert [each["default"] for each in found["payment_methods"]] == [True]
    assert found["invoices"][0]["status"] == "paid"


async def test_a_card_saved_on_stripes_page_resumes_it_too(life: World) -> None:
    await life.open()
    await life.work()
    await life.days(31)
    answer = await life.api.post("/v1/accounts/c_1/card-link")
    assert answer.status_code == 200, answer.text
    page = answer.json()["url"].rpartition("/")[2].partition("#")[0].partition("?")[0]
    done = await life.sim.post("/_sim/stripe/pages", json={"session": page})
    assert done.status_code == 200, done.text
    await life.work()
    assert await life.entitlement() == ("active", "paid")


async def test_whoever_becomes_a_member_gets_back_what_is_not_used_and_never_pays_again(
    life: World,
) -> None:
    await _paying(life)
    assert await _charged(life) == 299
    data = {"account": {"id": "c_1", "role": "member"}, "decided_by": "ann", "reason": "checks in"}
    await life.post("billing.role_changed", data)
    assert await life.entitlement() == ("member_free", "is_member")
    await life.work()
    left = await _charged(life)
    assert 0 <= left < 40
    (one,) = await life.subscriptions()
    assert one.status == "canceled"
    customer = await life.ask(life.sdk.customers.retrieve_async(one.customer))
    assert customer.balance == 0
    await life.say("role_changed", account={"id": "c_1", "role": "contact"})
    await life.say("subscription_resumed")
    await life.days(70)
    assert await life.entitlement() == ("grandfathered", "was_member")
    found = await life.account()
    assert (found["grandfathered"]["by"], found["grandfathered"]["why"]) == ("ann", "checks in")
    assert await _charged(life) == left


async def test_a_failed_payment_is_followed_by_grace_and_a_new_card_pays(life: World) -> None:
    await life.open()
    await life.work()
    await life.say("payment_method_added", payment_method=await _card(life, BROKE))
    await life.work()
    await life.days(31)
    assert await life.entitlement() == ("grace", "payment_failed")
    found = await life.account()
    assert found["invoices"][0]["decline"] == "generic_decline"
    await life.say("payment_method_added", payment_method=await _card(life))
    await life.work()
    assert await life.entitlement() == ("active", "paid")
    assert await _charged(life) == 299


async def test_what_is_cancelled_with_its_period_lasts_until_then_and_can_be_taken_back(
    life: World,
) -> None:
    await _paying(life)
    await life.say("subscription_cancelled", when="period_end")
    await life.work()
    assert await life.entitlement() == ("active", "paid_ends")
    await life.say("subscription_resumed")
    await life.work()
    assert await life.entitlement() == ("active", "paid")
    await life.say("subscription_cancelled", when="period_end")
    await life.days(31)
    assert await life.entitlement() == ("lapsed", "cancelled")
    assert await _charged(life) == 299
    await life.say("subscription_resumed")
    await life.work()
    assert await life.entitlement() == ("active", "paid")
    assert await _charged(life) == 598


async def test_what_is_cancelled_now_gives_back_what_is_not_used(life: World) -> None:
    await _paying(life)
    await life.say("subscription_cancelled", when="now")
    await life.work()
    assert await life.entitlement() == ("lapsed", "cancelled")
    assert await _charged(life) < 40


async def test_commands_of_one_account_are_carried_out_in_order(life: World) -> None:
    await life.open()
    await life.say("role_changed", account={"id": "c_1", "role": "member"})
    assert await life.entitlement() == ("member_free", "is_member")
    await life.work()
    assert await life.subscriptions() == []
    assert await life.entitlement() == ("member_free", "is_member")
