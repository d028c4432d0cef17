"""Lives that go wrong: disputes, refunds, deleted customers, debts of those who need not pay."""

from __future__ import annotations

import re
from typing import Any

from tests.integration.billing_world import World

from .billing_lives import life, stripe_url

__all__ = ["life", "stripe_url"]


async def _card(life: World, token: str = "tok_visa") -> str:
    made = await life.ask(
        life.sdk.payment_methods.create_async({"type": "card", "card": {"token": token}})
    )
    return str(made.id)


async def _charge(life: World) -> Any:  # noqa: ANN401 - the SDK's own
    charges = await life.ask(life.sdk.charges.list_async({"limit": 100}))
    return next(each for each in charges.data if each.paid and each.amount > 0)


async def _paying(life: World) -> None:
    await life.open()
    await life.work()
    await life.say("payment_method_added", payment_method=await _card(life))
    await life.work()
    await life.days(31)
    assert await life.entitlement() == ("active", "paid")


async def test_a_lost_dispute_ends_the_subscription_and_nothing_is_paid_back(life: World) -> None:
    await _paying(life)
    charge = await _charge(life)
    made = await life.sim.post("/_sim/stripe/disputes", json={"charge": charge.id})
    assert made.status_code == 200, made.text
    await life.work()
    assert await life.entitlement() == ("active", "paid")
    lost = {"dispute": made.json()["id"], "won": False}
    answer = await life.sim.post("/_sim/stripe/disputes", json=lost)
    assert answer.status_code == 200, answer.text
    await life.work()
    assert await life.entitlement() == ("lapsed", "cancelled")
    refunds = await life.ask(life.sdk.refunds.list_async({"limit": 10}))
    assert refunds.data == []
    kinds = life.relay.rows("SELECT kind, status, amount FROM reversal")
    assert ("dispute", "lost", 299) in kinds
    told = [key for (key,) in life.relay.rows("SELECT key FROM notice")]
    assert any(key.startswith("billing:dispute_lost:") for key in told)


async def test_a_refund_is_recorded_and_takes_nothing_away(life: World) -> None:
    await _paying(life)
    charge = await _charge(life)
    await life.ask(life.sdk.refunds.create_async({"charge": charge.id, "amount": 100}))
    await life.work()
    assert await life.entitlement() == ("active", "paid")
    kept = life.relay.rows("SELECT kind, amount FROM reversal ORDER BY kind")
    assert kept == [("charge", 100), ("refund", 100)]


async def test_a_deleted_customer_has_nothing_and_may_begin_again(life: World) -> None:
    await _paying(life)
    (one,) = await life.subscriptions()
    await life.ask(life.sdk.customers.delete_async(one.customer))
    await life.work()
    assert await life.entitlement() == ("lapsed", "cancelled")
    command = await life.say("subscription_resumed")
    await life.work()
    assert life.relay.state(command) == ("undeliverable", "no_card")
    await life.say("payment_method_added", payment_method=await _card(life))
    await life.work()
    await life.say("subscription_resumed")
    await life.work()
    assert await life.entitlement() == ("active", "paid")
    assert len(life.relay.rows("SELECT DISTINCT customer FROM subscription")) == 2


async def test_a_debt_of_whoever_becomes_a_member_is_void_and_gives_no_credit(life: World) -> None:
    await life.open()
    await life.work()
    broke = await _card(life, "tok_chargeCustomerFail")
    await life.say("payment_method_added", payment_method=broke)
    await life.work()
    await life.days(31)
    assert await life.entitlement() == ("grace", "payment_failed")
    await life.say("role_changed", account={"id": "c_1", "role": "member"})
    await life.work()
    found = await life.account()
    assert found["invoices"][0]["status"] == "void"
    assert found["subscription"]["status"] == "canceled"
    (one,) = await life.subscriptions()
    customer = await life.ask(life.sdk.customers.retrieve_async(one.customer))
    assert customer.balance == 0
    refunds = await life.ask(life.sdk.refunds.list_async({"limit": 10}))
    assert refunds.data == []


async def test_a_member_is_never_known_to_stripe(life: World) -> None:
    command = await life.open(role="member")
    await life.work()
    assert life.relay.state(command) == ("delivered", None)
    assert await life.entitlement() == ("member_free", "is_member")
    customers = await life.ask(life.sdk.customers.list_async({"limit": 10}))
    assert customers.data == []
    answer = await life.api.post("/v1/accounts/c_1/card-link")
    assert answer.status_code == 409


async def test_no_card_data_is_taken_kept_or_shown(life: World) -> None:
    # Nobody may send us a number.
    for number in ("4242424242424242", "4242 4242 4242 4242", "tok_4242"):
        body = {
            "specversion": "1.0",
            "id": f"evt-{number}",
            "source": "tests",
            "type": "billing.payment_method_added",
            "subject": "c_1",
            "data": {"account": {"id": "c_1"}, "payment_method": number},
        }
        answer = await life.api.post("/v1/events", json=body)
        assert answer.status_code == 400
        assert number not in answer.text
    await _paying(life)
    columns = life.relay.rows(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema ="
        " 'public' AND (column_name ~ '(last4|cvc|cvv|pan$|card|brand|holder|fingerprint)')"
    )
    assert columns == []
    for table in ("account", "subscription", "invoice", "payment_method", "billing_event"):
        for (row,) in life.relay.rows(f"SELECT row_to_json(t)::text FROM {table} t"):
            assert not re.search(r"visa|last4|\b4242\b|fingerprint", row), table
    shown = (await life.api.get("/v1/accounts/c_1")).text
    assert "visa" not in shown
    assert "last4" not in shown


async def test_whoever_is_erased_leaves_no_address_and_their_facts(life: World) -> None:
    await life.open()
    await life.work()
    answer = await life.api.delete("/v1/recipients/c_1")
    assert answer.status_code == 204
    assert life.relay.rows("SELECT email FROM account") == [(None,)]
    assert await life.entitlement() == ("trialing", "trial")


async def test_two_words_of_one_second_about_a_dispute_are_asked_for(life: World) -> None:
    await _paying(life)
    charge = await _charge(life)
    # The clock stands still: all of it happens in one second.
    await life.sim.post("/_sim/clock", json={"frozen": True})
    made = await life.sim.post("/_sim/stripe/disputes", json={"charge": charge.id})
    await life.work()
    await life.sim.post("/_sim/stripe/disputes", json={"dispute": made.json()["id"]})
    await life.work()
    kinds = life.relay.rows("SELECT status FROM reversal WHERE kind = 'dispute'")
    assert kinds == [("lost",)]
    results = life.relay.rows(
        "SELECT DISTINCT result FROM billing_event WHERE type = 'charge.dispute.closed'"
    )
    assert results == [("asked",)]
