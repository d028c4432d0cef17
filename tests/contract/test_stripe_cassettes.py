"""The Stripe adapter against recorded answers; the cassettes' README says what that proves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outbox.domain.billing_objects import ACCOUNT, NOTIFICATION, account_of
from outbox.domain.billing_plan import Do
from outbox.domain.billing_reading import read
from outbox.domain.billing_requests import REPLAYED, Answered, Link
from outbox.domain.billing_rules import price_faults
from outbox.domain.outcomes import Result
from outbox.providers.stripe_codes import row_of
from outbox.settings import load
from outbox.simulators.stripe.catalog import PRICE
from tests.contract import recording
from tests.contract.stripe_plays import (
    KINDS,
    STRUCK,
    Prepared,
    commands,
    reads,
    refusals,
    struck,
)
from tests.contract.tape import _of_stripe
from tests.contract.test_cassettes import played


async def test_every_command_is_carried_out(tmp_path: Path) -> None:
    async with played("stripe_commands.yaml", tmp_path) as (settings, http, _):
        did = await commands(recording.stripe_of(settings, http), Prepared())
    assert set(did) == set(Do)
    assert {made.outcome.result for made in did.values()} == {Result.ACCEPTED}
    shown = {do: made.object or {} for do, made in did.items()}
    assert shown[Do.CREATE_CUSTOMER]["metadata"] == {ACCOUNT: "c_1", NOTIFICATION: "n_1"}
    trial = shown[Do.START_TRIAL]
    assert trial["status"] == "trialing"
    assert trial["trial_settings"]["end_behavior"]["missing_payment_method"] == "pause"
    assert [item["price"]["id"] for item in trial["items"]["data"]] == [PRICE]
    assert shown[Do.END_WITH_PERIOD]["cancel_at_period_end"] is True
    assert shown[Do.GO_ON]["cancel_at_period_end"] is False
    states = {do: shown[do]["status"] for do in (*_ENDS, Do.SUBSCRIBE, Do.PAY, Do.VOID, Do.RESUME)}
    assert states == {
        **dict.fromkeys(_ENDS, "canceled"),
        Do.SUBSCRIBE: "active",
        Do.PAY: "paid",
        Do.VOID: "void",
        Do.RESUME: "active",
    }
    assert shown[Do.ATTACH]["customer"] == shown[Do.CREATE_CUSTOMER]["id"]
    assert shown[Do.DETACH]["customer"] is None
    default = shown[Do.MAKE_DEFAULT]["invoice_settings"]["default_payment_method"]
    assert default == shown[Do.ATTACH]["id"]
    assert (shown[Do.REFUND]["amount"], shown[Do.CLEAR_CREDIT]["amount"]) == (199, 199)


_ENDS = (Do.END_NOW, Do.END_UNPAID)


async def test_everything_is_read(tmp_path: Path) -> None:
    async with played("stripe_reads.yaml", tmp_path) as (settings, http, _):
        found = await reads(recording.stripe_of(settings, http), Prepared())
    answers = {name: one for name, one in found.items() if isinstance(one, Answered)}
    assert {one.outcome.result for one in answers.values()} == {Result.ACCEPTED}
    objects: dict[str, dict[str, Any]] = {name: one.object or {} for name, one in answers.items()}
    for name in ("cus", "sub", "in", "pm", "re", "dp"):
        assert read(objects[name]) is not None
    payment = objects["in"]["payments"]["data"][0]["payment"]["payment_intent"]
    assert payment["id"] == objects["pi"]["id"]
    assert [each["id"] for each in objects["paid_invoices_of"]["data"]] == [objects["in"]["id"]]
    assert objects["charge_of"]["payment_intent"] == objects["pi"]["id"]
    assert [each["id"] for each in objects["charge_of"]["refunds"]] == [objects["re"]["id"]]
    assert objects["subscriptions_of"]["data"][0]["id"] == objects["sub"]["id"]
    for kind in ("customers", "subscriptions"):
        assert objects[kind]["data"][0] not in objects[f"{kind} after"]["data"]
    assert objects["events"]["data"][0]["type"]
    assert objects["events after"]["data"] == []
    assert account_of(objects["customer_for"]) == "c_1"
    assert answers["nobody"].object is None
    assert isinstance(found["card_link"], Link)
    assert price_faults(objects["price"]) == []


async def test_what_stripe_refuses_has_its_result_and_its_remedy(tmp_path: Path) -> None:
    async with played("stripe_refusals.yaml", tmp_path) as (settings, http, _):
        found = await refusals(recording.stripe_of(settings, http))
    assert {name: (one.result, one.code) for name, one in found.items()} == {
        "attach": (Result.CHANNEL_FINAL, "lost_card"),
        "pay": (Result.CHANNEL_FINAL, "generic_decline"),
        "same key": (Result.CONFIGURATION_FAULT, "idempotency_error"),
        **dict.fromkeys(KINDS, (Result.CONTENT_FINAL, "resource_missing")),
        "price": (Result.CONTENT_FINAL, "resource_missing"),
        "key": (Result.CONFIGURATION_FAULT, "401"),
    }
    told = {name: row_of(str(one.code)) for name, one in found.items()}
    assert all(row is not None and row.remedy for row in told.values())
    key = told["key"]
    assert key is not None
    assert "STRIPE_API_KEY" in key.remedy


async def test_what_happens_to_stripe_is_told_apart(tmp_path: Path) -> None:
    async def nothing(_: Mapping[str, Any] | None) -> None:
        """The cassette has it."""

    async with played("stripe_struck.yaml", tmp_path) as (settings, http, _):
        found = await struck(recording.stripe_of(settings, http), nothing)
    assert {name: (one.result, one.code) for name, one in found.items()} == {
        "conflict": (Result.RETRYABLE, "idempotency_key_in_use"),
        "rate limit": (Result.RETRYABLE, "rate_limit"),
        "lock": (Result.RETRYABLE, "lock_timeout"),
        "key expired": (Result.CONFIGURATION_FAULT, "api_key_expired"),
        "permission": (Result.CONFIGURATION_FAULT, "403"),
        "outside party": (Result.RETRYABLE, "424"),
        "fault": (Result.OUTCOME_UNKNOWN, "500"),
        "gateway": (Result.OUTCOME_UNKNOWN, "502"),
        "unavailable": (Result.OUTCOME_UNKNOWN, "503"),
        "waited too long": (Result.OUTCOME_UNKNOWN, "504"),
        # Stripe keeps both for the key: with another one they may work.
        "fault again": (Result.OUTCOME_UNKNOWN, REPLAYED),
        "outside party again": (Result.RETRYABLE, REPLAYED),
        # The limits stand before the keys: the same one works as soon as they do not strike.
        "lock again": (Result.ACCEPTED, None),
        "rate limit again": (Result.ACCEPTED, None),
    }
    assert found["rate limit"].retry_after_s == pytest.approx(7.0)
    assert set(STRUCK) <= found.keys()


@pytest.mark.parametrize("key", ["sk_live_of_somebody", "rk_live_of_somebody"])
def test_a_live_key_records_nothing(tmp_path: Path, key: str) -> None:
    values = {
        "STRIPE_API_KEY": key,
        "STRIPE_PRICE_ID": "price_1",
        "STRIPE_WEBHOOK_SECRETS": "whsec_of_somebody",
    }
    settings = load(values, cwd=tmp_path)
    with pytest.raises(SystemExit, match="is a live key"):
        recording.in_test_mode(settings)
    with pytest.raises(SystemExit, match="not set"):
        recording.in_test_mode(load({}, cwd=tmp_path))


def test_an_answer_of_real_money_ends_the_recording() -> None:
    with pytest.raises(ValueError, match="live account"):
        _of_stripe({"object": "list", "data": [{"id": "cus_1", "livemode": True}]})


def test_what_is_secret_or_of_one_account_is_taken_out() -> None:
    found = _of_stripe(
        {
            "id": "cs_1",
            "client_secret": "seti_1_secret_2",
            "url": "https://checkout.stripe.com/c/pay/cs_1#abc",
            "customer_details": {"email": "real.person@mail.test", "note": "of a.b@c.test"},
            "card": {"fingerprint": "Xt5EWLLDS7FJjR1c", "last4": "4242"},
            "data": [1, 2, 3],
        },
    )
    text = msgspec.json.encode(found).decode()
    for hidden in ("secret_2", "stripe.com", "real.person", "a.b@c", "Xt5EW"):
        assert hidden not in text
    assert found["card"]["last4"] == "4242"
    assert found["data"] == [1, 2]
