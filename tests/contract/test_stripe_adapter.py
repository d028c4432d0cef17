"""The Stripe adapter against the simulated Stripe: what it asks for, what it makes of answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from outbox.domain.billing_objects import ACCOUNT, NOTIFICATION
from outbox.domain.billing_plan import Do
from outbox.domain.billing_requests import Link, Request
from outbox.domain.outcomes import Result
from outbox.providers.stripe import StripeBilling
from outbox.providers.transport import PooledTransport
from outbox.settings import StripeSettings
from outbox.simulators.environment import environment
from tests.contract.loopback import answer, serve
from tests.contract.simulated import for_many


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with for_many(tmp_path_factory.mktemp("stripe") / "ledger.db") as address:
        yield address


def _settings(url: str, folder: Path, **changes: str) -> StripeSettings:
    given = environment(base_url=url, folder=folder)
    return StripeSettings(
        api_key=changes.get("api_key", given["STRIPE_API_KEY"]),
        webhook_secrets=(),
        price_id=changes.get("price_id", given["STRIPE_PRICE_ID"]),
        api_base=url,
    )


@pytest.fixture
async def stripe(url: str, tmp_path: Path) -> AsyncIterator[StripeBilling]:
    async with PooledTransport() as transport:
        yield StripeBilling(_settings(url, tmp_path), transport)


def _request(do: Do, key: str, *, email: str | None = None, customer: str | None = None) -> Request:
    return Request(
        do=do,
        key=f"{key}:{do}",
        account="c_1",
        notification=key,
        email=email,
        customer=customer,
    )


async def test_a_customer_and_a_trial_carry_our_ids(stripe: StripeBilling) -> None:
    made = await stripe.carry_out(_request(Do.CREATE_CUSTOMER, "n_1", email="bob@example.com"))
    assert made.outcome.result is Result.ACCEPTED
    assert made.object is not None
    customer = made.object["id"]
    assert made.object["metadata"] == {ACCOUNT: "c_1", NOTIFICATION: "n_1"}
    again = await stripe.carry_out(_request(Do.CREATE_CUSTOMER, "n_1", email="bob@example.com"))
    assert again.object == made.object
    trial = await stripe.carry_out(_request(Do.START_TRIAL, "n_1", customer=customer))
    assert trial.object is not None
    assert trial.object["status"] == "trialing"
    ends = trial.object["trial_settings"]["end_behavior"]["missing_payment_method"]
    assert ends == "pause"
    listed = await stripe.subscriptions_of(customer)
    assert listed.object is not None
    assert [each["id"] for each in listed.object["data"]] == [trial.object["id"]]
    found = await stripe.customer_for("c_1")
    assert found.object is not None
    assert found.object["id"] == customer
    link = await stripe.card_link(customer, account="c_1", return_url="https://app.example.com/")
    assert isinstance(link, Link)
    assert link.url.startswith("http")


@pytest.mark.parametrize(
    "account", ["o'brien", 'a"b', "back\\slash", "all' OR name:'x", "c:1] AND"]
)
async def test_a_customer_is_found_whatever_its_account_is_called(
    stripe: StripeBilling, account: str
) -> None:
    request = _request(Do.CREATE_CUSTOMER, f"n of {account}", email="bob@example.com")
    made = await stripe.carry_out(replace(request, account=account))
    found = await stripe.customer_for(account)
    assert made.object is not None
    assert found.object is not None
    assert found.object["id"] == made.object["id"]
    assert (await stripe.customer_for(f"{account}x")).object is None


async def test_a_key_with_other_parameters_is_a_bug_that_pages(stripe: StripeBilling) -> None:
    await stripe.carry_out(_request(Do.CREATE_CUSTOMER, "n_2", email="bob@example.com"))
    other = await stripe.carry_out(_request(Do.CREATE_CUSTOMER, "n_2", email="ann@example.com"))
    assert other.outcome.result is Result.CONFIGURATION_FAULT
    assert other.outcome.code == "idempotency_error"
    assert "ann@example.com" not in str(other.outcome)


async def test_what_is_not_there_is_told_apart(stripe: StripeBilling) -> None:
    missing = await stripe.fetch("sub_nobody")
    assert missing.outcome.result is Result.CONTENT_FINAL
    assert missing.outcome.code == "resource_missing"
    with pytest.raises(LookupError):
        await stripe.fetch("nonsense_1")
    nobody = await stripe.customer_for("nobody")
    assert (nobody.outcome.result, nobody.object) == (Result.ACCEPTED, None)


async def test_the_check_sees_the_price_and_the_key(url: str, tmp_path: Path) -> None:
    async with PooledTransport() as transport:
        good = StripeBilling(_settings(url, tmp_path), transport)
        assert (await good.price()).outcome.result is Result.ACCEPTED
        for wrong in ({"price_id": "price_nobody"}, {"api_key": "sk_test_nobody"}):
            bad = StripeBilling(_settings(url, tmp_path, **wrong), transport)
            assert (await bad.price()).outcome.result is not Result.ACCEPTED


async def test_nobody_there_was_certainly_not_asked(tmp_path: Path) -> None:
    async with PooledTransport() as transport:
        stripe = StripeBilling(_settings("http://127.0.0.1:9", tmp_path), transport)
        made = await stripe.carry_out(_request(Do.CREATE_CUSTOMER, "n_3"))
    assert (made.outcome.result, made.outcome.code) == (Result.RETRYABLE, "connect")


async def test_the_version_is_pinned_and_nothing_of_this_machine_is_told(tmp_path: Path) -> None:
    async with serve(answer(200, {"id": "cus_1", "object": "customer"})) as server:
        async with PooledTransport() as transport:
            await StripeBilling(_settings(server.url, tmp_path), transport).fetch("cus_1")
        [request] = server.requests
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert headers["stripe-version"] == "2026-10-28.endive"
    assert "platform" not in headers["x-stripe-client-user-agent"].replace("(disabled)", "")
    assert "x-stripe-client-telemetry" not in headers
