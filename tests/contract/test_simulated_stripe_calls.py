"""Calls of the simulated Stripe: errors, lists, metadata, idempotency, faults."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import stripe

from outbox.simulators.stripe.catalog import PRICE
from tests.contract.simulated import WITHIN_S
from tests.contract.simulated_stripe import DAY_S, Account, account, ledger


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with account(tmp_path_factory.mktemp("stripe")) as made:
        yield made


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Account]:
    with account(tmp_path) as made:
        yield made


def keyed(key: str) -> Any:  # noqa: ANN401 - options of the SDK
    return {"idempotency_key": key}


def test_a_wrong_key_and_an_unknown_object(shared: Account) -> None:
    with pytest.raises(stripe.AuthenticationError) as denied:
        shared.client("sk_test_other").v1.customers.list()
    assert denied.value.http_status == 401
    assert "sk_test_other" not in str(denied.value)
    with pytest.raises(stripe.InvalidRequestError) as absent:
        shared.v1.customers.retrieve("cus_unknown")
    assert (absent.value.http_status, absent.value.code) == (404, "resource_missing")
    assert absent.value.request_id is not None
    assert absent.value.request_id.startswith("req_")
    error = absent.value.error
    assert error is not None
    assert error.type == "invalid_request_error"
    assert error.doc_url == "https://stripe.com/docs/error-codes/resource-missing"
    assert absent.value.request_id in str(error.request_log_url)


@pytest.mark.parametrize(
    ("path", "form", "code", "param"),
    [
        ("customers", {"emial": "a@b.c"}, "parameter_unknown", "emial"),
        ("customers", {"email": "none"}, "email_invalid", "email"),
        ("subscriptions", {}, "parameter_missing", "customer"),
        ("customers", {"balance": "much"}, "parameter_invalid_integer", "balance"),
        ("customers", {"metadata[k]": "v" * 501}, None, "metadata[k]"),
        ("refunds", {"charge": "ch_none"}, "resource_missing", "charge"),
    ],
)
def test_parameters_that_are_refused(
    shared: Account,
    path: str,
    form: dict[str, str],
    code: str | None,
    param: str,
) -> None:
    answer = shared.raw("POST", f"/v1/{path}", data=form)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error.get("code"), error["param"]) == (code, param)


def test_nested_parameters_name_themselves(shared: Account) -> None:
    customer = shared.v1.customers.create().id
    form = {"customer": customer, "items[0][price]": "price_none"}
    error = shared.raw("POST", "/v1/subscriptions", data=form).json()["error"]
    assert (error["code"], error["param"]) == ("resource_missing", "items[0][price]")
    form = {"customer": customer, "items[0][prise]": PRICE}
    error = shared.raw("POST", "/v1/subscriptions", data=form).json()["error"]
    assert (error["code"], error["param"]) == ("parameter_unknown", "items[0][prise]")


def test_metadata(shared: Account) -> None:
    made = shared.v1.customers.create({"metadata": {"a": "1", "b": "2"}})
    changed = shared.v1.customers.update(made.id, {"metadata": {"a": "", "c": "3"}})
    assert changed.to_dict()["metadata"] == {"b": "2", "c": "3"}
    same = shared.v1.customers.update(made.id, {"name": "Ann"})
    assert same.to_dict()["metadata"] == {"b": "2", "c": "3"}
    emptied = shared.v1.customers.update(made.id, {"metadata": ""})
    assert emptied.to_dict()["metadata"] == {}


def test_pages_and_searches(sim: Account) -> None:
    made = [
        sim.v1.customers.create({"email": f"{n}@b.c", "metadata": {"n": str(n % 3)}}).id
        for n in range(7)
    ]
    page = sim.v1.customers.list({"limit": 3})
    assert page.has_more
    assert [one.id for one in page.auto_paging_iter()] == made[::-1]
    before = sim.v1.customers.list({"limit": 2, "ending_before": made[3]})
    assert [one.id for one in before.data] == [made[5], made[4]]
    assert [one.id for one in sim.v1.customers.list({"email": "4@b.c"}).data] == [made[4]]
    found = sim.v1.customers.search({"query": "metadata['n']:'1'", "limit": 1})
    assert [one.id for one in found.auto_paging_iter()] == [made[4], made[1]]
    both = sim.v1.customers.search({"query": "metadata['n']:'1' AND email:'1@b.c'"})
    assert [one.id for one in both.data] == [made[1]]
    with pytest.raises(stripe.InvalidRequestError):
        sim.v1.customers.search({"query": "nonsense"})
    with pytest.raises(stripe.InvalidRequestError):
        sim.v1.customers.list({"limit": 101})


def test_a_search_may_lag(sim: Account) -> None:
    sim.control("clock", frozen=True)
    made = sim.v1.customers.create({"metadata": {"n": "1"}}).id
    sim.control("faults", provider="stripe", rate=0, lists={"lag_ms": 60_000})
    wanted: Any = {"query": "metadata['n']:'1'"}
    assert sim.v1.customers.search(wanted).data == []
    # By its id it is there at once.
    assert sim.v1.customers.retrieve(made).id == made
    sim.control("clock", advance_s=60)
    assert [one.id for one in sim.v1.customers.search(wanted).data] == [made]
    sim.control("faults", provider="stripe", rate=0, lists={"fail": 1})
    with pytest.raises(stripe.APIError):
        sim.v1.customers.search(wanted)


def test_expansion(shared: Account) -> None:
    life = shared.life("pm_card_visa")
    life.subscribe()
    wanted = ["data.latest_invoice", "data.customer"]
    (row,) = shared.v1.subscriptions.list({"customer": life.customer, "expand": wanted}).data
    assert isinstance(row.latest_invoice, stripe.Invoice)
    assert isinstance(row.customer, stripe.Customer)
    with pytest.raises(stripe.InvalidRequestError):
        shared.v1.subscriptions.retrieve(life.sub, {"expand": ["nothing"]})


def test_a_key_repeats_its_answer(shared: Account) -> None:
    first = shared.v1.customers.create({"name": "Gus"}, keyed("k-same"))
    again = shared.v1.customers.create({"name": "Gus"}, keyed("k-same"))
    assert first.to_dict() == again.to_dict()
    headers = {"Idempotency-Key": "k-same"}
    raw = shared.raw("POST", "/v1/customers", data={"name": "Gus"}, headers=headers)
    assert raw.headers["idempotent-replayed"] == "true"
    assert raw.headers["original-request"] != raw.headers["request-id"]
    with pytest.raises(stripe.IdempotencyError) as other:
        shared.v1.customers.create({"name": "Bob"}, keyed("k-same"))
    assert other.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError):
        shared.v1.customers.update(first.id, {"name": "Gus"}, keyed("k-same"))
    named = [one for one in shared.v1.customers.list({"limit": 100}).data if one.name == "Gus"]
    assert len(named) == 1


def test_a_key_repeats_errors_too(shared: Account) -> None:
    life = shared.life("pm_card_chargeCustomerFail")
    life.subscribe()
    invoice = life.invoices()[0].id
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            shared.v1.invoices.pay(invoice, None, keyed("k-declined"))
    # One by the subscription's creation, one by the first of the two calls.
    assert life.sums == {"charge_failed": 598}


def test_parameters_that_failed_validation_leave_the_key_free(shared: Account) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        shared.v1.customers.create({"nonsense": "1"}, keyed("k-free"))  # type: ignore[arg-type] # on purpose
    assert shared.v1.customers.create({"name": "Cat"}, keyed("k-free")).name == "Cat"


def test_a_key_is_forgotten_after_a_day(sim: Account) -> None:
    sim.control("clock", frozen=True)
    first = sim.v1.customers.create({}, keyed("k-old"))
    sim.control("clock", advance_s=DAY_S - 1)
    assert sim.v1.customers.create({}, keyed("k-old")).id == first.id
    sim.control("clock", advance_s=1)
    assert sim.v1.customers.create({"name": "Dan"}, keyed("k-old")).id != first.id


def test_a_key_that_is_in_use(sim: Account) -> None:
    sim.control("faults", provider="stripe", latency_ms=1000)
    with ThreadPoolExecutor(2) as pool:
        headers = {"Idempotency-Key": "k-busy"}
        calls = [pool.submit(sim.raw, "POST", "/v1/customers", headers=headers) for _ in range(2)]
        answers = [call.result(timeout=WITHIN_S) for call in calls]
    assert sorted(one.status_code for one in answers) == [200, 409]
    (busy,) = (one for one in answers if one.status_code == 409)
    assert busy.json()["error"]["code"] == "idempotency_key_in_use"
    assert busy.headers["stripe-should-retry"] == "true"
    sim.http.delete("/_sim/faults")
    assert len(sim.v1.customers.list().data) == 1


def test_limits_come_before_keys(sim: Account) -> None:
    sim.control("faults", provider="stripe", status=429, retry_after=3)
    with pytest.raises(stripe.RateLimitError) as limited:
        sim.v1.customers.create({}, keyed("k-limited"))
    assert limited.value.error is not None
    assert (limited.value.error.code, limited.value.http_status) == ("rate_limit", 429)
    assert limited.value.headers is not None
    assert limited.value.headers["retry-after"] == "3"
    sim.control("faults", provider="stripe", status=429, code="lock_timeout")
    answer = sim.raw("POST", "/v1/customers", headers={"Idempotency-Key": "k-limited"})
    assert answer.json()["error"]["code"] == "lock_timeout"
    assert answer.headers["stripe-should-retry"] == "true"
    sim.http.delete("/_sim/faults")
    assert sim.v1.customers.create({}, keyed("k-limited")).id


@pytest.mark.parametrize(("status", "kept"), [(500, True), (503, False)])
def test_a_500_is_repeated_and_a_503_is_not(sim: Account, status: int, kept: bool) -> None:
    sim.control("faults", provider="stripe", status=status)
    with pytest.raises(stripe.APIError):
        sim.v1.customers.create({}, keyed("k-broken"))
    sim.http.delete("/_sim/faults")
    again = sim.raw("POST", "/v1/customers", headers={"Idempotency-Key": "k-broken"})
    assert again.status_code == (500 if kept else 200)
    assert ("idempotent-replayed" in again.headers) == kept
    assert len(sim.v1.customers.list().data) == (0 if kept else 1)


def test_an_answer_that_is_lost_is_had_by_its_key(sim: Account) -> None:
    sim.control("faults", provider="stripe", drop=True)
    with pytest.raises(stripe.APIConnectionError):
        sim.v1.customers.create({"name": "Eve"}, keyed("k-lost"))
    sim.http.delete("/_sim/faults")
    made = sim.v1.customers.create({"name": "Eve"}, keyed("k-lost"))
    assert [one.id for one in sim.v1.customers.list().data] == [made.id]
    (line,) = (one for one in ledger(sim) if one["reference"] == "k-lost")
    assert (line["to"], line["answered"]) == (made.id, False)


def test_what_it_does_is_in_the_ledger(sim: Account) -> None:
    life = sim.life("pm_card_visa")
    life.subscribe()
    life.v1.subscriptions.list()
    shown = [line["text"].split('"')[3] for line in ledger(sim)]
    assert shown == [
        "POST test_helpers/test_clocks",
        "POST customers",
        "POST payment_methods/*/attach",
        "POST customers/*",
        "charge",
        "POST subscriptions",
    ]
    assert all(line["to"] == life.customer for line in ledger(sim)[1:])


def test_cards_are_never_taken(shared: Account) -> None:
    form = {"type": "card", "card[number]": "4242424242424242"}
    answer = shared.raw("POST", "/v1/payment_methods", data=form)
    assert answer.status_code == 400
    made = shared.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
    assert made.card is not None
    assert made.card.last4 == "4242"
