"""The table of Stripe's errors: complete in itself, and the most precise row counts."""

from __future__ import annotations

import pytest

from outbox.domain.outcomes import Result
from outbox.providers.stripe_codes import classify, decline_of, table


def test_every_kind_of_error_has_its_rows() -> None:
    kinds: list[str] = [kind for kind, _ in table()]
    assert {kind: kinds.count(kind) >= least for kind, least in _LEAST.items()} == dict.fromkeys(
        _LEAST, True
    )


_LEAST = {"status": 12, "type": 7, "code": 35, "decline": 45, "transport": 8}


def test_every_decline_tells_what_the_customer_can_do_and_ends_the_command() -> None:
    for (kind, code), row in table().items():
        if kind == "decline" and code != "testmode_decline":
            assert row.result is Result.CHANNEL_FINAL, code
            assert row.advice, code
        if row.result is Result.CONFIGURATION_FAULT:
            assert row.operator == "page", code
            assert row.remedy, code


@pytest.mark.parametrize(
    ("status", "error", "result", "code"),
    [
        (400, {"type": "idempotency_error"}, Result.CONFIGURATION_FAULT, "idempotency_error"),
        (400, {"code": "resource_missing"}, Result.CONTENT_FINAL, "resource_missing"),
        (400, {"code": "never_heard_of"}, Result.CONFIGURATION_FAULT, "never_heard_of"),
        (401, {}, Result.CONFIGURATION_FAULT, "401"),
        # As Stripe words it: the type alone would blame the request.
        (401, {"type": "invalid_request_error"}, Result.CONFIGURATION_FAULT, "401"),
        (424, {"type": "api_error"}, Result.RETRYABLE, "424"),
        (418, {"type": "api_error"}, Result.OUTCOME_UNKNOWN, "418"),
        (402, {"code": "card_declined"}, Result.CHANNEL_FINAL, "card_declined"),
        (
            402,
            {"type": "card_error", "code": "card_declined", "decline_code": "lost_card"},
            Result.CHANNEL_FINAL,
            "lost_card",
        ),
        (402, {"decline_code": "never_heard_of"}, Result.CHANNEL_FINAL, "never_heard_of"),
        (403, {}, Result.CONFIGURATION_FAULT, "403"),
        (404, {"code": "resource_missing"}, Result.CONTENT_FINAL, "resource_missing"),
        (409, {"code": "idempotency_key_in_use"}, Result.RETRYABLE, "idempotency_key_in_use"),
        (418, {}, Result.CONFIGURATION_FAULT, "418"),
        (424, {}, Result.RETRYABLE, "424"),
        (429, {"code": "lock_timeout"}, Result.RETRYABLE, "lock_timeout"),
        # Behind a fault of theirs nothing is proven, whatever the code.
        (500, {"code": "resource_missing"}, Result.OUTCOME_UNKNOWN, "resource_missing"),
        (504, {}, Result.OUTCOME_UNKNOWN, "504"),
    ],
)
def test_the_most_precise_row_counts(
    status: int, error: dict[str, object], result: Result, code: str
) -> None:
    refusal = classify(status, error, {})
    assert (refusal.result, refusal.code) == (result, code)


def test_a_wish_is_kept_and_a_replay_is_seen() -> None:
    refusal = classify(429, {}, {"retry-after": "7"})
    assert refusal.retry_after_s == pytest.approx(7.0)
    assert classify(500, {}, {"idempotent-replayed": "true"}).replayed


def test_a_decline_is_found_by_its_code_or_by_what_stands_in_its_place() -> None:
    found = decline_of("insufficient_funds")
    assert found is not None
    assert found.advice == "later"
    expired = decline_of("expired_card")
    assert expired is not None
    assert expired.advice == "new_card"
    assert decline_of("never_heard_of") is None
