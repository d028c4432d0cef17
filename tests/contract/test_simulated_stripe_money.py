"""Money at the simulated Stripe: tries and declines, refunds, credits, disputes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stripe

from outbox.simulators.stripe import cards
from outbox.simulators.stripe.catalog import PRICE
from tests.contract.simulated_stripe import DAY_S, Account, Life, account

TRIES = [1, 2, 4, 6, 8, 10, 12, 14]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with account(tmp_path_factory.mktemp("stripe")) as made:
        yield made


def charge_of(life: Life, invoice: stripe.Invoice) -> stripe.Charge:
    """The charge that paid an invoice."""
    found = life.v1.invoice_payments.list({"invoice": invoice.id}).data[0]
    intent = life.v1.payment_intents.retrieve(str(found.payment.payment_intent))
    return life.v1.charges.retrieve(str(intent.latest_charge))


def subscribed(shared: Account, card: str = "pm_card_visa") -> Life:
    life = shared.life(card)
    life.subscribe()
    return life


def failing(shared: Account, decline: str = "insufficient_funds") -> Life:
    """Somebody whose card pays once, and never again; the second month has just failed."""
    life = subscribed(shared, f"pm_card_sim_{decline}_after_1")
    life.pass_time(31 + 1 / 24)
    return life


def test_a_failed_renewal_is_tried_for_two_weeks(shared: Account) -> None:
    life = failing(shared)
    invoice, first = life.invoices()[-1], life.now
    assert (life.status, invoice.status, invoice.attempt_count) == ("past_due", "open", 1)
    for n, days in enumerate(TRIES, start=2):
        assert life.invoices()[-1].next_payment_attempt == first + days * DAY_S
        life.pass_time((first + days * DAY_S - life.now) / DAY_S)
        assert life.invoices()[-1].attempt_count == n
    assert life.status == "canceled"
    assert life.events("invoice.payment_failed").count("invoice.payment_failed") == 9
    details = life.read().cancellation_details
    assert details is not None
    assert details.reason == "payment_failed"
    last = life.invoices()[-1]
    assert (last.status, last.next_payment_attempt, last.auto_advance) == ("open", None, False)
    assert life.sums == {"charge": 299, "charge_failed": 9 * 299}
    assert life.v1.customers.retrieve(life.customer).delinquent


def test_a_new_card_and_a_payment_by_hand_end_the_dunning(shared: Account) -> None:
    life = failing(shared)
    invoice = life.invoices()[-1]
    with pytest.raises(stripe.CardError) as declined:
        life.v1.invoices.pay(invoice.id)
    assert declined.value.http_status == 402
    assert declined.value.error is not None
    assert (declined.value.code, declined.value.error.decline_code) == (
        "card_declined",
        "insufficient_funds",
    )
    # A try by hand does not count among those of the schedule.
    assert life.invoices()[-1].attempt_count == 1
    life.add_card("pm_card_visa")
    assert life.status == "past_due"
    assert life.v1.invoices.pay(invoice.id).status == "paid"
    assert life.status == "active"
    assert not life.v1.customers.retrieve(life.customer).delinquent
    with pytest.raises(stripe.InvalidRequestError, match="already paid"):
        life.v1.invoices.pay(invoice.id)


def test_the_schedule_takes_a_new_card_by_itself(shared: Account) -> None:
    life = failing(shared)
    life.add_card("pm_card_visa")
    life.pass_time(1)
    assert (life.status, life.invoices()[-1].attempt_count) == ("active", 2)


def test_after_a_hard_decline_nothing_is_charged_until_there_is_another_card(
    shared: Account,
) -> None:
    life = failing(shared, "stolen_card")
    life.pass_time(5)
    # Retries are counted and not made.
    assert life.invoices()[-1].attempt_count == 4
    assert life.sums["charge_failed"] == 299
    life.add_card("pm_card_visa")
    life.pass_time(2)
    assert life.status == "active"


@pytest.mark.parametrize(("wanted", "status"), [("unpaid", "unpaid"), ("past_due", "past_due")])
def test_other_ends_of_the_dunning(shared: Account, wanted: str, status: str) -> None:
    shared.control("stripe/settings", dunning_end=wanted, retry_days=[1, 3])
    life = failing(shared)
    life.pass_time(4)
    assert life.status == status
    life.pass_time(31)
    newest = life.invoices()[-1]
    # What is unpaid gets drafts that nobody collects.
    assert (newest.status == "draft") == (status == "unpaid")
    shared.control("stripe/settings", dunning_end="cancel", retry_days=TRIES)
    life.add_card("pm_card_visa")
    life.v1.invoices.pay(newest.id)
    assert life.status == "active"


def test_every_decline_code_can_be_had(shared: Account) -> None:
    life = shared.life()
    assert len(set(cards.DECLINES)) == len(cards.DECLINES) == 45
    for decline in cards.DECLINES[::6]:
        life.add_card(f"pm_card_sim_{decline}")
        with pytest.raises(stripe.CardError) as declined:
            life.subscribe(payment_behavior="error_if_incomplete")
        assert declined.value.error is not None
        assert declined.value.error.decline_code == decline


@pytest.mark.parametrize("card", [card for card in cards.TABLE if not card.attach])
def test_cards_that_are_refused_when_attached(shared: Account, card: cards.Card) -> None:
    life = shared.life()
    with pytest.raises(stripe.CardError) as declined:
        life.add_card(card.name)
    assert declined.value.code == card.code
    assert declined.value.error is not None
    assert declined.value.error.decline_code == card.decline


def test_a_payment_that_needs_an_action(shared: Account) -> None:
    life = shared.life("pm_card_authenticationRequired")
    assert life.subscribe().status == "incomplete"
    kinds = ("invoice.payment_action_required", "invoice.payment_failed")
    assert life.events(*kinds) == list(kinds)
    shared.control("stripe/confirmations", invoice=life.invoices()[0].id)
    assert life.status == "active"
    assert life.sums == {"charge": 299}


def test_refunds_in_parts(shared: Account) -> None:
    life = subscribed(shared)
    charge = charge_of(life, life.invoices()[0])
    made = life.v1.refunds.create({"charge": charge.id, "amount": 100})
    assert (made.status, made.amount) == ("succeeded", 100)
    assert charge_of(life, life.invoices()[0]).amount_refunded == 100
    with pytest.raises(stripe.InvalidRequestError):
        life.v1.refunds.create({"charge": charge.id, "amount": 200})
    life.v1.refunds.create({"payment_intent": str(charge.payment_intent)})
    assert charge_of(life, life.invoices()[0]).refunded
    with pytest.raises(stripe.InvalidRequestError) as refused:
        life.v1.refunds.create({"charge": charge.id})
    assert refused.value.code == "charge_already_refunded"
    # The subscription is not changed by that.
    assert life.status == "active"
    assert life.sums == {"charge": 299, "refund": 299}
    assert life.events("charge.refunded", "refund.created").count("charge.refunded") == 2


@pytest.mark.parametrize(
    ("card", "first", "last"),
    [
        ("pm_card_pendingRefund", "pending", "succeeded"),
        ("pm_card_refundFail", "succeeded", "failed"),
    ],
)
def test_refunds_that_are_decided_later(shared: Account, card: str, first: str, last: str) -> None:
    life = subscribed(shared, card)
    charge = charge_of(life, life.invoices()[0])
    made = life.v1.refunds.create({"charge": charge.id})
    assert made.status == first
    life.pass_time(1)
    assert life.v1.refunds.retrieve(made.id).status == last
    back = 0 if last == "failed" else 299
    assert life.v1.charges.retrieve(charge.id).amount_refunded == back
    assert ("refund.failed" in life.events()) == (last == "failed")


def test_the_unused_part_is_credited_when_it_is_cancelled(shared: Account) -> None:
    life = subscribed(shared)
    life.pass_time(15.5)
    preview = life.v1.invoices.create_preview(
        {"subscription": life.sub, "subscription_details": {"cancel_now": True}},
    )
    assert (preview.total, preview.amount_due) == (-150, 0)
    life.v1.subscriptions.cancel(life.sub, {"prorate": True, "invoice_now": True})
    last = life.invoices()[-1]
    assert (last.total, last.amount_due, last.status) == (-150, 0, "paid")
    assert life.v1.customers.retrieve(life.customer).balance == -150
    assert life.sums == {"charge": 299}
    # The credit is used by whatever comes next.
    life.subscribe()
    newest = life.invoices()[-1]
    assert (newest.amount_paid, newest.starting_balance, newest.ending_balance) == (149, -150, 0)
    moves = life.v1.customers.balance_transactions.list(life.customer).data
    assert [(one.type, one.amount) for one in moves] == [
        ("applied_to_invoice", 150),
        ("adjustment", -150),
    ]


def test_a_credit_note_refunds_a_part_and_credits_another(shared: Account) -> None:
    life = subscribed(shared)
    invoice = life.invoices()[0].id
    with pytest.raises(stripe.InvalidRequestError):
        life.v1.credit_notes.create({"invoice": invoice, "amount": 200, "refund_amount": 100})
    note = life.v1.credit_notes.create(
        {"invoice": invoice, "amount": 200, "refund_amount": 150, "credit_amount": 50},
    )
    assert note.type == "post_payment"
    assert note.refunds[0].amount_refunded == 150
    assert life.v1.customers.retrieve(life.customer).balance == -50
    assert life.sums == {"charge": 299, "refund": 150}
    with pytest.raises(stripe.InvalidRequestError):
        life.v1.credit_notes.create({"invoice": invoice, "amount": 100, "credit_amount": 100})


def test_what_is_too_small_is_owed(shared: Account) -> None:
    life = shared.life("pm_card_visa", balance=-270)
    life.subscribe()
    first = life.invoices()[0]
    assert (first.amount_due, first.ending_balance, first.status) == (0, 29, "paid")
    life.pass_time(32)
    assert life.sums == {"charge": 328}


@pytest.mark.parametrize("won", [True, False])
def test_disputes(shared: Account, won: bool) -> None:
    life = subscribed(shared)
    made = shared.control("stripe/disputes", customer=life.customer)
    charge = charge_of(life, life.invoices()[0])
    assert charge.disputed
    assert life.v1.disputes.retrieve(made["id"]).status == "needs_response"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        life.v1.refunds.create({"charge": charge.id})
    assert refused.value.code == "charge_disputed"
    shared.control("stripe/disputes", dispute=made["id"], won=won)
    assert life.v1.disputes.retrieve(made["id"]).status == ("won" if won else "lost")
    told = [one.type for one in life.v1.events.list({"type": "charge.dispute.*"}).data[::-1]]
    assert told[-3:] == (
        [
            "charge.dispute.funds_withdrawn",
            "charge.dispute.closed",
            "charge.dispute.funds_reinstated",
        ]
        if won
        else ["charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.dispute.closed"]
    )


def test_an_early_warning(shared: Account) -> None:
    life = subscribed(shared)
    made = shared.control("stripe/warnings", customer=life.customer)
    charge = charge_of(life, life.invoices()[0])
    assert shared.v1.radar.early_fraud_warnings.retrieve(made["id"]).charge == charge.id
    assert shared.v1.radar.early_fraud_warnings.list({"charge": charge.id}).data


def test_a_card_that_brings_disputes(shared: Account) -> None:
    life = subscribed(shared, "pm_card_createDispute")
    assert life.sums == {"charge": 299, "dispute": 299}


def test_a_detached_card_is_nobodys_default(shared: Account) -> None:
    life = shared.life()
    method = life.add_card("pm_card_visa")
    life.trial()
    life.v1.subscriptions.update(life.sub, {"default_payment_method": method})
    life.v1.payment_methods.detach(method)
    assert life.read().default_payment_method is None
    settings = life.v1.customers.retrieve(life.customer).invoice_settings
    assert settings is not None
    assert settings.default_payment_method is None
    with pytest.raises(stripe.InvalidRequestError):
        life.v1.payment_methods.attach(method, {"customer": life.customer})
    life.pass_time(31)
    assert life.status == "paused"


def test_two_cards_of_one_customer(shared: Account) -> None:
    life = shared.life("pm_card_chargeCustomerFail")
    good = life.v1.payment_methods.attach("pm_card_visa", {"customer": life.customer}).id
    assert life.subscribe(default_payment_method=good).status == "active"
    listed = life.v1.payment_methods.list({"customer": life.customer, "type": "card"}).data
    assert listed[0].id == good
    assert len(listed) == 2
    assert life.v1.subscriptions.list({"price": PRICE, "customer": life.customer}).data
