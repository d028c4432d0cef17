"""What a person may see of a callback: its shape, its states and ids, and nothing of a person.

What is shown is named here; all else is masked. So a field that is new, or one that somebody wrote
a name into, is masked until somebody decides otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from outbox.domain.billing_objects import ACCOUNT, NOTIFICATION

MASK = "•••"

_SHOWN = frozenset(
    {
        # Of Stripe's events and objects.
        *(
            "api_version",
            "attempt_count",
            "billing_reason",
            "code",
            "collection_method",
            "currency",
        ),
        *("decline_code", "failure_code", "interval", "missing_payment_method", "object", "reason"),
        *("status", "type", "usage"),
        # Of Twilio's callbacks, and of the app's.
        *("ApiVersion", "ErrorCode", "MessageSid", "MessageStatus", "NumSegments", "SmsSid"),
        *("SmsStatus", "opt_out", "provider_id", "source"),
    }
)
"""Fields whose words are those of a machine."""

_HIDDEN = frozenset(
    {
        *("address", "billing_details", "card", "customer_address", "customer_details"),
        *(
            "customer_shipping",
            "evidence",
            "owner",
            "payment_method_details",
            "shipping",
            "tax_ids",
        ),
        *("dob", "exp_month", "exp_year", "last4", "phone"),
    }
)
"""Whatever is in here is of a person or a card, figures too."""

_METADATA = frozenset({ACCOUNT, NOTIFICATION})
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}\Z")
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,63}\Z")
_ID = re.compile(
    r"(?:evt|cus|sub|si|in|il|inpay|pi|ch|py|pm|re|dp|du|seti|price|prod|cn|issfr|req)"
    r"_(?!.*secret)(?!.*\d{12})[A-Za-z0-9_]{1,64}\Z"
    r"|[A-Z]{2}[0-9a-f]{32}\Z"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z"
)
"""Stripe's, Twilio's and our own."""
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ][0-9:.]{5,15}(?:Z|[+-]\d\d:\d\d)\Z")
_MANY_DIGITS = re.compile(r"\d(?:[ .-]?\d){8,}")
_LONGEST_FIGURE = 10**11
"""No amount and no time in seconds is that long; a number of a card or a phone may be."""


def masked(raw: bytes) -> Any:  # noqa: ANN401 - a JSON document
    """A callback's JSON with everything masked that is not known to be harmless; null: no JSON."""
    try:
        return _masked(msgspec.json.decode(raw), "")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _masked(value: object, field: str) -> Any:  # noqa: ANN401, PLR0911 - a JSON document
    match value:
        case dict() if field == "metadata":
            return {name: _own(inner) for name, inner in value.items() if name in _METADATA}
        case dict():
            return _object(value)
        case list():
            return [_masked(inner, field) for inner in value]
        case str():
            return value if _is_harmless(value, field) else MASK
        case bool() | None:
            return value
        case int() | float() if abs(value) < _LONGEST_FIGURE:
            return value
        case _:
            return MASK


def _object(value: Mapping[str, object]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, inner in value.items():
        field = name if _FIELD.match(name) else MASK
        shown[field] = MASK if field in _HIDDEN and inner is not None else _masked(inner, field)
    return shown


def _own(value: object) -> Any:  # noqa: ANN401 - a JSON document
    """Our own metadata: an id that the backend chose, or one of ours."""
    is_word = isinstance(value, str) and _WORD.match(value) is not None
    return value if is_word and not _MANY_DIGITS.fullmatch(str(value)) else MASK


def _is_harmless(value: str, field: str) -> bool:
    if _ID.match(value) or _TIME.match(value):
        return True
    return field in _SHOWN and bool(_WORD.match(value)) and not _MANY_DIGITS.search(value)
