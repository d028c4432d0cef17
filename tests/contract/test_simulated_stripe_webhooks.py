"""Events and their delivery by the simulated Stripe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import stripe

from outbox.simulators.stripe.catalog import PRICE
from outbox.simulators.stripe.events import API_VERSION
from outbox.simulators.stripe.webhooks import BACKOFF_S, SECRETS
from tests.contract.simulated_stripe import DAY_S, Account, account
from tests.contract.stripe_endpoint import Endpoint, endpoint


@pytest.fixture
def end() -> Iterator[Endpoint]:
    with endpoint() as made:
        yield made


@pytest.fixture
def sim(tmp_path: Path, end: Endpoint) -> Iterator[Account]:
    with account(tmp_path, callback=end.url, seed=7) as made:
        yield made


def fault(sim: Account, **callbacks: object) -> None:
    sim.control("faults", provider="stripe", rate=0, callbacks=callbacks)


def undelivered(sim: Account) -> list[str]:
    return [one.id for one in sim.v1.events.list({"delivery_success": False}).data]


def test_the_pinned_version_is_the_sdks() -> None:
    assert stripe.api_version == API_VERSION


def test_an_event_is_signed_and_the_same_in_the_list(sim: Account, end: Endpoint) -> None:
    options = {"idempotency_key": "key-1"}
    made = sim.v1.customers.create({"email": "a@example.com"}, options)  # type: ignore[arg-type] # a plain dict
    (one,) = end.wait(1)
    assert one.path == "/webhooks/stripe"
    event = one.verified()
    assert (event.type, event.api_version) == ("customer.created", API_VERSION)
    assert event.data.object.to_dict() == made.to_dict()
    assert event.request is not None
    assert event.request.idempotency_key == "key-1"
    sim.control("stripe/settled")
    listed = sim.v1.events.list().data
    assert [one.id for one in listed] == [event.id]
    assert (event.pending_webhooks, listed[0].pending_webhooks) == (1, 0)
    assert undelivered(sim) == []
    with pytest.raises(stripe.SignatureVerificationError):
        one.verified("whsec_other")


def test_a_rolled_secret_signs_beside_the_old_one(sim: Account, end: Endpoint) -> None:
    sim.control("stripe/settings", secrets=["whsec_new", SECRETS[0]])
    sim.v1.customers.create()
    (one,) = end.wait(1)
    assert one.signature.count("v1=") == 2
    assert one.verified("whsec_new").id == one.verified(SECRETS[0]).id


def test_what_is_refused_is_tried_again_for_three_days(sim: Account, end: Endpoint) -> None:
    end.status = 500
    sim.control("clock", frozen=True)
    sim.v1.customers.create()
    sim.control("stripe/settled")
    assert len(end.wait(1)) == 1
    for n, wait in enumerate(BACKOFF_S[:2], start=2):
        sim.control("clock", advance_s=wait - 1)
        assert len(end.taken) == n - 1
        sim.control("clock", advance_s=1)
        assert len(end.taken) == n
    assert len(undelivered(sim)) == 1
    sim.control("clock", advance_days=4)
    assert len(end.taken) == 1 + len(BACKOFF_S)
    assert sum(BACKOFF_S) <= 3 * DAY_S
    sim.control("clock", advance_days=4)
    assert len(end.taken) == 1 + len(BACKOFF_S)
    assert len({one.event["id"] for one in end.taken}) == 1
    # The dashboard's button still sends it.
    end.status = 200
    sim.control("stripe/events", resend=undelivered(sim)[0])
    sim.control("stripe/settled")
    assert undelivered(sim) == []


def _counted(sim: Account) -> dict[str, int]:
    found: dict[str, int] = sim.http.get("/_sim/stripe/webhooks").json()
    return found


def test_lost_ones_are_found_in_the_list(sim: Account, end: Endpoint) -> None:
    first = sim.v1.customers.create()
    end.wait(1)
    sim.control("stripe/settled")
    fault(sim, lose=1)
    for _ in range(3):
        sim.v1.customers.create()
    fault(sim)
    last = sim.v1.customers.create()
    end.wait(2)
    sim.control("stripe/settled")
    assert [one.event["data"]["object"]["id"] for one in end.taken] == [first.id, last.id]
    assert len(undelivered(sim)) == 3
    newer = sim.v1.events.list({"ending_before": end.taken[0].event["id"], "limit": 2})
    assert newer.has_more
    assert [one.id for one in newer.data] == undelivered(sim)[1:]
    assert _counted(sim) == {"events": 5, "lost": 3, "twice": 0, "late": 0, "sent": 2, "taken": 2}


def test_delayed_by_days_shuffled_and_twice(sim: Account, end: Endpoint) -> None:
    sim.control("clock", frozen=True)
    fault(sim, delay_ms=3 * DAY_S * 1000, shuffle=True, duplicate=1)
    made = [sim.v1.customers.create().id for _ in range(8)]
    assert end.taken == []
    sim.control("clock", advance_days=1)
    some = len(end.taken)
    assert 0 < some < 16
    sim.control("clock", advance_days=2)
    order = [one.event["data"]["object"]["id"] for one in end.taken]
    assert sorted(order) == sorted(made * 2)
    assert list(dict.fromkeys(order)) != made
    counted = _counted(sim)
    assert {counted[what] for what in ("events", "twice", "late")} == {8}
    assert counted["sent"] == counted["taken"] == 16


def test_a_newer_version_and_thin_events(sim: Account, end: Endpoint) -> None:
    sim.control("stripe/settings", api_version="2027-03-31.fuchsia")
    made = sim.v1.customers.create()
    assert end.wait(1)[0].event["api_version"] == "2027-03-31.fuchsia"
    told = sim.control(
        "stripe/events",
        thin="v1.customer.created",
        about=made.id,
        kind="customer",
    )
    thin = end.wait(2)[1]
    with pytest.raises(ValueError, match="thin event"):
        thin.verified()
    note = sim.api.parse_event_notification(thin.body, thin.signature, SECRETS[0])
    assert (note.id, note.type) == (told["id"], "v1.customer.created")
    assert sim.api.v2.core.events.retrieve(told["id"]).type == "v1.customer.created"
    # The list of the first version does not know it.
    assert [one.type for one in sim.v1.events.list().data] == ["customer.created"]


def test_only_what_the_endpoint_wants(sim: Account, end: Endpoint) -> None:
    sim.control("stripe/settings", types=["customer.deleted"])
    made = sim.v1.customers.create()
    sim.v1.customers.delete(made.id)
    end.wait(1)
    sim.control("stripe/settled")
    assert end.types() == ["customer.deleted"]
    assert undelivered(sim) == []


def test_lists_of_events(sim: Account, end: Endpoint) -> None:
    sim.control("clock", frozen=True)
    for _ in range(5):
        made = sim.v1.customers.create()
    sim.v1.customers.update(made.id, {"name": "A"})
    sim.v1.customers.update(made.id, {"name": "A"})
    everything = [one.id for one in sim.v1.events.list({"limit": 2}).auto_paging_iter()]
    assert len(everything) == len(set(everything)) == 6
    only = sim.v1.events.list({"types": ["customer.updated", "customer.deleted"]}).data
    assert [one.type for one in only] == ["customer.updated"]
    assert len(sim.v1.events.list({"type": "customer.*"}).data) == 6
    now = only[0].created
    assert sim.v1.events.list({"created": {"gt": now}}).data == []
    assert len(sim.v1.events.list({"created": {"gte": now}}).data) == 6
    with pytest.raises(stripe.InvalidRequestError):
        sim.v1.events.list({"starting_after": "evt_unknown"})
    sim.control("clock", advance_days=30)
    assert len(sim.v1.events.list().data) == 6
    sim.control("clock", advance_s=1)
    assert sim.v1.events.list().data == []


def test_the_accounts_clock_moves_everybody_without_a_test_clock(
    sim: Account,
    end: Endpoint,
) -> None:
    at = sim.control("clock", to="2030-01-01T00:00:00Z", frozen=True)
    assert (at["time"], at["frozen"]) == ("2030-01-01T00:00:00Z", True)
    made = sim.v1.customers.create({"payment_method": "pm_card_visa"})
    method = sim.v1.payment_methods.list({"customer": made.id}).data[0].id
    life = sim.v1.subscriptions.create(
        {
            "customer": made.id,
            "items": [{"price": PRICE}],
            "trial_period_days": 30,
            "default_payment_method": method,
        },
    )
    year = sim.control("clock", advance_days=365)
    paid = sim.v1.invoices.list({"subscription": life.id, "status": "paid", "limit": 20}).data
    assert [one.amount_paid for one in paid] == [299] * 12 + [0]
    # Signed as of that year: whoever checks must live in it, too.
    assert end.taken[-1].signature.startswith(f"t={year['now']},")
    refused = sim.http.post("/_sim/clock", json={"to": 0})
    assert refused.status_code == 400
    sim.control("stripe/settings", signatures="wall")
    count = len(end.taken)
    sim.v1.customers.create()
    end.wait(count + 1)[-1].verified()
