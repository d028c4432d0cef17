"""Hosted pages, and what survives the end of the simulated Stripe."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import stripe

from outbox.simulators.stripe.catalog import PRICE
from tests.contract.simulated import InAProcess
from tests.contract.simulated_stripe import DAY_S, Account, account

_RETURN = "https://app.example.com/billing"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with account(tmp_path_factory.mktemp("stripe")) as made:
        yield made


def test_checkout_takes_a_card_for_later(shared: Account) -> None:
    life = shared.life()
    life.trial()
    page = life.v1.checkout.sessions.create(
        {
            "mode": "setup",
            "currency": "usd",
            "customer": life.customer,
            "success_url": _RETURN,
            "setup_intent_data": {"metadata": {"account": "a_1"}},
        },
    )
    assert page.url is not None
    assert page.url.startswith("https://checkout.stripe.com/")
    assert page.expires_at == life.now + DAY_S
    refused = shared.http.post(
        "/_sim/stripe/pages",
        json={"session": page.id, "card": "pm_card_chargeDeclined"},
    )
    assert refused.json()["error"]["decline_code"] == "generic_decline"
    shared.control("stripe/pages", session=page.id, card="pm_card_visa")
    done = life.v1.checkout.sessions.retrieve(page.id, {"expand": ["setup_intent"]})
    assert (done.status, done.url) == ("complete", None)
    assert isinstance(done.setup_intent, stripe.SetupIntent)
    assert done.setup_intent.to_dict()["metadata"] == {"account": "a_1"}
    assert life.events(
        "setup_intent.setup_failed",
        "payment_method.attached",
        "setup_intent.succeeded",
        "checkout.session.completed",
    ) == [
        "setup_intent.setup_failed",
        "payment_method.attached",
        "setup_intent.succeeded",
        "checkout.session.completed",
    ]
    # It is attached, and nobody's default yet: the trial would still end paused.
    assert len(life.v1.payment_methods.list({"customer": life.customer}).data) == 1
    life.pass_time(31)
    assert life.status == "paused"


def test_a_page_that_nobody_fills_in(shared: Account) -> None:
    life = shared.life()
    page = life.v1.checkout.sessions.create(
        {"mode": "setup", "currency": "usd", "customer": life.customer, "success_url": _RETURN},
    )
    life.pass_time(1)
    assert life.v1.checkout.sessions.retrieve(page.id).status == "expired"
    late = shared.http.post("/_sim/stripe/pages", json={"session": page.id})
    assert late.status_code == 400


def test_the_portal_makes_the_card_the_default(shared: Account) -> None:
    life = shared.life()
    life.trial()
    page = life.v1.billing_portal.sessions.create(
        {
            "customer": life.customer,
            "return_url": _RETURN,
            "flow_data": {"type": "payment_method_update"},
        },
    )
    assert page.url.startswith("https://billing.stripe.com/")
    shared.control("stripe/pages", session=page.id)
    life.pass_time(31)
    assert life.status == "active"


def test_a_card_that_turns_bad_and_one_that_is_renewed(shared: Account) -> None:
    life = shared.life()
    method = life.add_card("pm_card_visa")
    life.subscribe()
    shared.control(
        "stripe/cards",
        payment_method=method,
        becomes="pm_card_sim_expired_card",
        exp_year=2039,
    )
    assert "payment_method.automatically_updated" in life.events()
    life.pass_time(32)
    assert life.status == "past_due"


def test_a_kill_takes_nothing_that_was_answered(tmp_path: Path) -> None:
    with InAProcess(tmp_path / "ledger.sqlite") as process:
        before = Account(process.start())
        life = before.life("pm_card_visa")
        life.trial()
        frozen = before.control("clock", frozen=True)
        made = before.v1.customers.create({"name": "Ann"}, {"idempotency_key": "k-1"})
        before.control("stripe/settings", dunning_end="unpaid")
        # Of a deleted clock and its customer nothing is waited for.
        gone = before.life("pm_card_visa")
        gone.subscribe()
        gone.v1.test_helpers.test_clocks.delete(gone.clock)
        events = [one.id for one in before.v1.events.list({"limit": 100}).data]
        before.close()
        process.end(signal.SIGKILL)
        after = Account(process.start())
        life.account, life.v1 = after, after.v1
        assert [one.id for one in after.v1.events.list({"limit": 100}).data] == events
        assert after.v1.customers.create({"name": "Ann"}, {"idempotency_key": "k-1"}).id == made.id
        assert after.http.get("/_sim/clock").json()["now"] == frozen["now"]
        settings = after.http.get("/_sim/stripe/settings").json()
        assert settings["dunning_end"] == "unpaid"
        # What had to come comes, once.
        life.pass_time(28)
        told = life.events("customer.subscription.trial_will_end")
        assert len(told) == 1
        life.pass_time(3)
        assert life.sums == {"charge": 299}
        assert after.v1.prices.retrieve(PRICE).unit_amount == 299
        after.close()


@pytest.mark.soak
def test_a_year_of_two_thousand_accounts(tmp_path: Path) -> None:
    _year(tmp_path, 2000)


def test_a_year_of_some_accounts(tmp_path: Path) -> None:
    _year(tmp_path, 8)


def _year(folder: Path, count: int) -> None:
    with account(folder) as sim:
        sim.control("clock", to="2030-06-01T00:00:00Z", frozen=True)
        for _ in range(count):
            customer = sim.v1.customers.create({"payment_method": "pm_card_visa"}).id
            method = sim.v1.payment_methods.list({"customer": customer}).data[0].id
            sim.v1.subscriptions.create(
                {
                    "customer": customer,
                    "items": [{"price": PRICE}],
                    "trial_period_days": 30,
                    "default_payment_method": method,
                },
            )
        took = sum(sim.control("clock", advance_days=1)["took_s"] for _ in range(365))
        print(f"{count} accounts: {took:.1f} s for a year")
        found = sim.http.get("/_sim/stripe/sums").json()
        assert len(found["charges"]) == 11 * count
        # Nobody pays twice for one period.
        periods = {(one["subscription"], one["from"]) for one in found["charges"]}
        assert len(periods) == 11 * count
