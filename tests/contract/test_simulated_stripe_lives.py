"""Lives of subscriptions at the simulated Stripe, with Stripe's own SDK as its client."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import stripe

from outbox.simulators.stripe.catalog import PRICE
from tests.contract.simulated_stripe import DAY_S, START, Account, Life, account

SUB = "customer.subscription."


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with account(tmp_path_factory.mktemp("stripe")) as made:
        yield made


def paid(life: Life) -> list[int]:
    return [one.amount_paid for one in life.invoices() if one.status == "paid"]


def test_a_trial_without_card_pauses_and_a_card_resumes_it(shared: Account) -> None:
    life = shared.life()
    made = life.trial()
    assert made.status == "trialing"
    assert made.trial_end == START + 30 * DAY_S
    item = made["items"].data[0]
    assert (item.current_period_start, item.current_period_end) == (START, made.trial_end)
    first = life.invoices()[0]
    assert (first.amount_due, first.status, first.billing_reason) == (
        0,
        "paid",
        "subscription_create",
    )
    life.pass_time(31)
    assert life.status == "paused"
    details = life.read().status_details
    assert details is not None
    assert details.paused.subscription.type == "trial_end_without_payment_method"
    life.pass_time(55)
    assert len(life.invoices()) == 1
    life.add_card("pm_card_visa")
    assert life.status == "paused"
    resumed = life.v1.subscriptions.resume(life.sub)
    assert resumed.status == "active"
    assert resumed["items"].data[0].current_period_start == life.now
    life.pass_time(32)
    assert paid(life) == [0, 299, 299]
    assert life.sums == {"charge": 598}
    assert life.events(
        SUB + "created",
        SUB + "trial_will_end",
        SUB + "paused",
        SUB + "resumed",
        SUB + "deleted",
    ) == [SUB + "created", SUB + "trial_will_end", SUB + "paused", SUB + "resumed"]


def test_a_trial_with_a_card_ends_in_paying(shared: Account) -> None:
    life = shared.life("pm_card_visa")
    life.trial()
    life.pass_time(30)
    # The period has begun; its invoice is a draft for an hour.
    assert life.status == "active"
    draft = life.invoices()[-1]
    assert (draft.status, draft.billing_reason) == ("draft", "subscription_cycle")
    assert draft.automatically_finalizes_at == life.now + 3600
    life.pass_time(1 / 24)
    assert life.invoices()[-1].status == "paid"
    assert paid(life) == [0, 299]


@pytest.mark.parametrize(
    ("missing", "status", "amounts"),
    [("cancel", "canceled", [0]), ("create_invoice", "past_due", [0])],
)
def test_other_ends_of_a_trial_without_card(
    shared: Account,
    missing: str,
    status: str,
    amounts: list[int],
) -> None:
    life = shared.life()
    life.trial(missing)
    life.pass_time(31)
    assert life.status == status
    assert paid(life) == amounts
    assert life.sums == {}


def test_the_reminder_comes_three_days_before_and_once(shared: Account) -> None:
    life = shared.life()
    life.trial()
    life.pass_time(26.9)
    assert life.events(SUB + "trial_will_end") == []
    life.pass_time(0.2)
    assert life.events(SUB + "trial_will_end") == [SUB + "trial_will_end"]
    # An extended trial is a trial of its own.
    later = {"trial_end": life.now + 10 * DAY_S, "proration_behavior": "none"}
    life.v1.subscriptions.update(life.sub, later)  # type: ignore[arg-type] # a plain dict
    life.pass_time(6.9)
    assert len(life.events(SUB + "trial_will_end")) == 1
    life.pass_time(1)
    assert len(life.events(SUB + "trial_will_end")) == 2


def test_a_short_trial_is_reminded_of_at_once(shared: Account) -> None:
    life = shared.life()
    life.trial(days=2)
    life.v1.subscriptions.update(life.sub, {"metadata": {"a": "1"}})
    assert life.events(SUB + "trial_will_end") == [SUB + "trial_will_end"]


def test_a_trial_that_is_ended_now(shared: Account) -> None:
    life = shared.life("pm_card_visa")
    life.trial()
    life.pass_time(3)
    ended = life.v1.subscriptions.update(life.sub, {"trial_end": "now"})
    assert ended.status == "active"
    assert paid(life) == [0, 299]
    assert ended["items"].data[0].current_period_start == life.now


def test_a_first_payment_that_fails_has_a_day(shared: Account) -> None:
    life = shared.life("pm_card_chargeCustomerFail")
    assert life.subscribe().status == "incomplete"
    life.pass_time(0.9)
    assert life.status == "incomplete"
    life.pass_time(0.1)
    assert life.status == "incomplete_expired"
    assert [one.status for one in life.invoices()] == ["void"]
    assert "invoice.voided" in life.events()
    with pytest.raises(stripe.InvalidRequestError):
        life.v1.subscriptions.update(life.sub, {"cancel_at_period_end": True})


def test_a_first_payment_without_any_card_is_refused(shared: Account) -> None:
    life = shared.life()
    with pytest.raises(stripe.InvalidRequestError) as refused:
        life.subscribe()
    assert refused.value.code == "resource_missing"
    strict = {"payment_behavior": "error_if_incomplete"}
    life.add_card("pm_card_chargeCustomerFail")
    with pytest.raises(stripe.CardError) as declined:
        life.subscribe(**strict)
    assert declined.value.code == "card_declined"


def test_the_end_of_the_period(shared: Account) -> None:
    life = shared.life("pm_card_visa")
    life.subscribe()
    asked = life.v1.subscriptions.update(life.sub, {"cancel_at_period_end": True})
    end = asked["items"].data[0].current_period_end
    assert (asked.status, asked.cancel_at, asked.canceled_at) == ("active", end, life.now)
    life.v1.subscriptions.update(life.sub, {"cancel_at_period_end": False})
    life.pass_time(32)
    assert life.status == "active"
    life.v1.subscriptions.update(life.sub, {"cancel_at_period_end": True})
    life.pass_time(32)
    over = life.read()
    assert over.status == "canceled"
    assert over.ended_at == datetime(2026, 3, 1, 9, tzinfo=UTC).timestamp()
    details = over.cancellation_details
    assert details is not None
    assert details.reason == "cancellation_requested"
    assert paid(life) == [299, 299]
    assert life.v1.subscriptions.list({"customer": life.customer}).data == []
    everything = life.v1.subscriptions.list({"customer": life.customer, "status": "all"})
    assert [one.id for one in everything.data] == [life.sub]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        life.v1.subscriptions.cancel(life.sub)
    assert refused.value.http_status == 404


def test_months_keep_their_day(shared: Account) -> None:
    last_of_january = int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp())
    life = shared.life("pm_card_visa", start=last_of_january)
    life.subscribe()
    life.pass_time(50)
    life.pass_time(50)
    starts = [one.lines.data[0].period.start for one in life.invoices()]
    days = [datetime.fromtimestamp(start, tz=UTC).strftime("%m-%d") for start in starts]
    assert days == ["01-31", "02-28", "03-31", "04-30"]
    assert paid(life) == [299] * 4


def test_another_price_is_prorated(shared: Account) -> None:
    life = shared.life("pm_card_visa")
    life.subscribe()
    dearer = shared.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 899,
            "recurring": {"interval": "month"},
            "product_data": {"name": "More"},
        },
    )
    life.pass_time(15.5)
    item = life.read()["items"].data[0].id
    change = {"items": [{"id": item, "price": dearer.id}], "proration_behavior": "always_invoice"}
    changed = life.v1.subscriptions.update(life.sub, change)  # type: ignore[arg-type] # a plain dict
    assert changed["items"].data[0].price.id == dearer.id
    invoice = life.invoices()[-1]
    assert sorted(line.amount for line in invoice.lines.data) == [-150, 450]
    assert (invoice.amount_paid, invoice.billing_reason) == (300, "subscription_update")
    life.pass_time(20)
    assert paid(life) == [299, 300, 899]


def test_paused_collection_is_another_thing(shared: Account) -> None:
    life = shared.life("pm_card_visa")
    life.subscribe()
    paused = {"pause_collection": {"behavior": "void"}}
    life.v1.subscriptions.update(life.sub, paused)  # type: ignore[arg-type] # a plain dict
    life.pass_time(33)
    assert life.status == "active"
    assert [one.status for one in life.invoices()] == ["paid", "void"]
    assert SUB + "paused" not in life.events()
    life.v1.subscriptions.update(life.sub, {"pause_collection": ""})
    life.pass_time(30)
    assert [one.status for one in life.invoices()] == ["paid", "void", "paid"]


def test_what_changed_is_told(shared: Account) -> None:
    life = shared.life("pm_card_visa")
    life.subscribe(metadata={"a": "1", "b": "2"})
    life.v1.subscriptions.update(life.sub, {"metadata": {"b": "", "c": "3"}})
    newest = life.v1.events.list({"type": SUB + "updated", "limit": 1}).data[0]
    assert newest.data.object.to_dict()["metadata"] == {"a": "1", "c": "3"}
    assert newest.to_dict()["data"]["previous_attributes"] == {
        "metadata": {"b": "2", "c": None},
    }
    assert newest.created == life.now


def test_a_deleted_customer_pays_no_more(shared: Account) -> None:
    life = shared.life("pm_card_visa")
    life.subscribe()
    assert life.v1.customers.delete(life.customer).deleted
    assert life.status == "canceled"
    assert life.v1.customers.retrieve(life.customer).deleted
    assert life.events(SUB + "deleted", "customer.deleted") == [
        SUB + "deleted",
        "customer.deleted",
    ]


def test_a_test_clock_goes_two_intervals_at_a_time(shared: Account) -> None:
    life = shared.life("pm_card_visa")
    life.subscribe()
    clocks = life.v1.test_helpers.test_clocks
    for to in (life.now + 70 * DAY_S, life.now, life.now - 1):
        with pytest.raises(stripe.InvalidRequestError):
            clocks.advance(life.clock, {"frozen_time": to})
    clocks.delete(life.clock)
    with pytest.raises(stripe.InvalidRequestError):
        clocks.retrieve(life.clock)
    assert life.v1.customers.retrieve(life.customer).deleted


def test_the_pinned_shapes(shared: Account) -> None:
    life = shared.life("pm_card_visa")
    wanted = ["latest_invoice.payments", "latest_invoice.confirmation_secret", "customer"]
    made = life.subscribe(expand=wanted)
    assert isinstance(made.customer, stripe.Customer)
    invoice = made.latest_invoice
    assert isinstance(invoice, stripe.Invoice)
    for gone in ("subscription", "payment_intent", "charge", "paid", "tax"):
        assert gone not in invoice.to_dict()
    for gone in ("current_period_end", "current_period_start", "plan", "quantity"):
        assert gone not in made.to_dict()
    assert invoice.parent is not None
    assert invoice.parent.subscription_details is not None
    assert invoice.parent.subscription_details.subscription == made.id
    assert invoice.payments is not None
    payment = invoice.payments.data[0]
    assert (payment.status, payment.amount_paid) == ("paid", 299)
    intent = life.v1.payment_intents.retrieve(str(payment.payment.payment_intent))
    assert intent.status == "succeeded"
    assert invoice.confirmation_secret is not None
    assert invoice.confirmation_secret.client_secret == intent.client_secret
    charge = life.v1.charges.retrieve(str(intent.latest_charge))
    assert (charge.amount, charge.paid) == (299, True)
    line = invoice.lines.data[0]
    assert line.pricing is not None
    assert line.pricing.price_details is not None
    assert line.pricing.price_details.price == PRICE
    plain = life.v1.invoices.retrieve(invoice.id)
    assert "payments" not in plain.to_dict()
