"""What ``pruuf doctor`` makes of Stripe's answers, of the price, and of what breaks a rule."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.cli import doctor_billing
from gateway.cli.checks import Check
from outbox.domain.billing_books import CAUSES
from outbox.domain.billing_requests import Answered
from outbox.domain.billing_rules import RULES, Finding, Stored, price_faults
from outbox.domain.outcomes import Outcome, Result
from outbox.providers.stripe_codes import Row, table
from outbox.settings import StripeSettings

_SETTINGS = StripeSettings(
    api_key="sk_test_x", webhook_secrets=("whsec_1",), price_id="price_1", api_base=None
)
_PRICE: dict[str, Any] = {
    "id": "price_1",
    "active": True,
    "currency": "usd",
    "unit_amount": 299,
    "billing_scheme": "per_unit",
    "transform_quantity": None,
    "type": "recurring",
    "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
}


def _judged(result: Result, code: str | None, value: dict[str, Any] | None) -> list[Check]:
    outcome = Outcome(result=result, provider="stripe", code=code)
    return list(doctor_billing.judged(_SETTINGS, Answered(outcome=outcome, object=value)))


@pytest.mark.parametrize("row", table().values(), ids=lambda row: f"{row.kind}-{row.code}")
def test_every_documented_refusal_says_what_to_do(row: Row) -> None:
    checks = _judged(row.result, row.code, None)
    bad = checks[-1]
    assert not bad.ok
    assert row.code in bad.detail
    assert bad.remedy
    assert "then redrive" not in bad.remedy


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("401", "STRIPE_API_KEY to a key that holds"),
        ("api_key_expired", "STRIPE_API_KEY to a key that holds"),
        ("403", "the right that Stripe names"),
        ("secret_key_required", "a publishable key"),
        ("tls", "certificates"),
        ("rate_limit", "Wait a moment"),
        ("never_heard_of", "Look for never_heard_of"),
    ],
)
def test_a_key_that_is_refused_is_told_by_its_cause(code: str, words: str) -> None:
    [bad] = _judged(Result.CONFIGURATION_FAULT, code, None)
    assert bad.name == "Stripe key"
    assert words in bad.remedy


def test_a_price_that_is_not_there_is_not_the_fault_of_the_key() -> None:
    key, price = _judged(Result.CONTENT_FINAL, "resource_missing", None)
    assert (key.ok, price.ok) == (True, False)
    assert "mode" in price.remedy


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"active": False}, "archived"),
        ({"currency": "eur"}, "eur, not usd"),
        ({"unit_amount": 2990}, "2990 cents, not 299"),
        ({"unit_amount": None, "billing_scheme": "tiered"}, "tiered"),
        ({"transform_quantity": {"divide_by": 5}}, "package"),
        ({"recurring": None, "type": "one_time"}, "paid once"),
        ({"recurring": {**_PRICE["recurring"], "interval": "year"}}, "every 1 year"),
        ({"recurring": {**_PRICE["recurring"], "interval_count": 3}}, "every 3 month"),
        ({"recurring": {**_PRICE["recurring"], "usage_type": "metered"}}, "metered"),
        ({"recurring": {**_PRICE["recurring"], "trial_period_days": 7}}, "a trial of its own"),
    ],
)
def test_a_price_that_nobody_was_told_is_found(change: dict[str, Any], words: str) -> None:
    assert price_faults(_PRICE) == []
    [*_, price] = _judged(Result.ACCEPTED, None, {**_PRICE, **change})
    assert not price.ok
    assert words in price.detail
    assert price.remedy


def test_a_sound_price_is_named() -> None:
    checks = _judged(Result.ACCEPTED, None, _PRICE)
    assert [check.ok for check in checks] == [True, True]
    assert "test mode" in checks[0].detail


def _finding(cause: str) -> Finding:
    return Finding(cause=cause, object="sub_1", account="c_1", amount=299, detail="as it is")


@pytest.mark.parametrize("cause", RULES)
def test_a_broken_rule_names_who_breaks_it_and_the_step(cause: str) -> None:
    check = doctor_billing._rules([_finding(cause)] * 9)
    assert not check.ok
    for words in ("sub_1 of c_1", RULES[cause].why, RULES[cause].step, "and 4 more"):
        assert words in check.remedy
    assert doctor_billing._rules([]).ok


@pytest.mark.parametrize("cause", CAUSES)
def test_books_that_differ_say_how_much_is_at_stake(cause: str) -> None:
    stored = Stored(source="stripe", found_at=datetime.now(UTC), finding=_finding(cause))
    check = doctor_billing._books([stored, stored], 60.0)
    assert not check.ok
    assert check.detail == "2 differences, $5.98 at stake"
    assert CAUSES[cause].why in check.remedy


def test_books_that_nobody_compared_are_told() -> None:
    for age_s, ok in ((60.0, True), (2 * 86_400.0, False), (float("inf"), False)):
        assert doctor_billing._books([], age_s).ok is ok


@pytest.mark.parametrize(
    ("secrets", "ok"),
    [(("whsec_1",), True), (("whsec_2", "whsec_1"), True), (("whsec_1", "whsec_1"), False)],
)
def test_secrets_are_counted_and_not_shown(secrets: tuple[str, ...], ok: bool) -> None:
    settings = StripeSettings(
        api_key="sk_test_x", webhook_secrets=secrets, price_id="price_1", api_base=None
    )
    check = doctor_billing._secrets(settings)
    assert check.ok is ok
    assert "whsec" not in check.detail + check.remedy


def test_the_version_that_is_pinned_is_that_of_the_sdk() -> None:
    assert doctor_billing._version().ok
