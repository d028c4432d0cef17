"""What is shown of a callback is named; whatever else is in it stays hidden, wherever it stands."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.domain.masking import MASK, masked

_PLANTED = "Bob Example +12025550123 4242424242424242"
_words = st.sampled_from(
    [
        *(
            "id",
            "object",
            "type",
            "status",
            "reason",
            "code",
            "metadata",
            "card",
            "address",
            "data",
        ),
        *("From", "To", "Body", "MessageStatus", "name", "email", "last4", "pruuf_account", "x y"),
    ]
)
_leaves = st.one_of(st.just(_PLANTED), st.integers(0, 999), st.booleans(), st.none())
_values = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(_words, inner, max_size=4)
    ),
)


@given(_values)
def test_what_somebody_wrote_is_shown_nowhere(value: object) -> None:
    shown = msgspec.json.encode(masked(msgspec.json.encode(value))).decode()
    assert "Bob" not in shown
    assert "4242" not in shown
    assert "x y" not in shown


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "cus_PruufExample"),
        ("customer", "cus_PruufExample"),
        ("type", "customer.subscription.updated"),
        ("status", "past_due"),
        ("decline_code", "insufficient_funds"),
        ("created", 1_795_510_000),
        ("amount_due", 299),
        ("livemode", False),
        ("trial_end", None),
        ("MessageSid", "SM1234567890123456789012345678abcd"),
        ("ErrorCode", "30005"),
        ("notification", "0193576a-8a41-7f30-a6c4-0e9d2b7f810b"),
        ("created", "2026-11-23T09:00:00.000Z"),
    ],
)
def test_what_is_needed_to_understand_it_is_shown(field: str, value: object) -> None:
    assert masked(msgspec.json.encode({field: value})) == {field: value}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Bob"),
        ("From", "+12025550123"),
        ("phone", 12025550123),
        ("anything", 4_242_424_242_424_242),
        ("status", "4242424242424242"),
        ("id", "cus_4242424242424242"),
        ("id", "seti_1_secret_abc"),
        ("client_secret", "pi_1_secret_2"),
        ("fingerprint", "Xt5EWLLDS7FJjR1c"),
        ("last4", "4242"),
        ("exp_year", 2031),
        ("card", {"brand": "visa", "exp_month": 1}),
        ("billing_details", {"name": None, "count": 3}),
        ("hosted_invoice_url", "https://invoice.stripe.com/i/acct_1/live_x"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("reason", "because Bob asked"),
        ("Body", "STOP"),
    ],
)
def test_everything_else_is_masked(field: str, value: object) -> None:
    assert masked(msgspec.json.encode({field: value})) == {field: MASK}


def test_metadata_is_ours_or_not_shown() -> None:
    given = {"metadata": {"pruuf_account": "c_1", "pruuf_notification": "x y", "Bob": "1"}}
    assert masked(msgspec.json.encode(given)) == {
        "metadata": {"pruuf_account": "c_1", "pruuf_notification": MASK}
    }


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_not_shown(raw: bytes) -> None:
    assert masked(raw) is None
