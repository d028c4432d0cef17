"""Provider codes are data: the tables beside this file say what follows from each for a message.

A code answers for the message only as far as its HTTP status or delivery status allows: a warning
cannot save what was refused, and a fault on their side never proves that nothing was sent.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Literal

import msgspec
from msgspec import Struct

from outbox.domain.outcomes import Result
from outbox.domain.receipts import is_failure, rank_of
from outbox.providers.transport import retry_after_s

Provider = Literal["twilio", "fcm"]
When = Literal["rest", "receipt", "both", "elsewhere"]
About = Literal[
    "recipient",
    "text",
    "sender",
    "route",
    "account",
    "request",
    "webhook",
    "carrier",
    "provider",
]
Operator = Literal["page", "ticket", "log"]

_SERVER_ERROR = 500
_TOO_MANY = 429
_REQUEST_TIMEOUT = 408
_NEVER_PROCESSED = "20429"
_UNKNOWN_DELIVERIES = "3"
"""Twilio's codes of this range, of five digits, are about deliveries."""
_FIVE = 5
_CANCELED = "canceled"
"""Certainly not sent: a person or a program withdrew it."""


class Code(Struct, frozen=True, kw_only=True):
    """One row of a table."""

    code: str
    """The provider's code, or an HTTP status that came without one."""
    name: str
    when: When
    """Where it is seen; ``elsewhere``: the provider's debugger and APIs that are not called."""
    about: About
    """Whose fault it is: the recipient's faults and our own are never counted together."""
    result: Result
    retry_after_s: float | None
    """Wait for RETRYABLE where the answer names none; null: the relay's own backoff."""
    operator: Operator
    """What the operator gets of it by itself, whatever becomes of the message."""
    remedy: str
    """What a person of ours can do about it."""


@cache
def table(provider: Provider) -> Mapping[str, Code]:
    """The table of a provider, by code."""
    text = resources.files(__package__).joinpath(f"{provider}_codes.csv").read_text("utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    codes: dict[str, Code] = {}
    for row in rows:
        if row["code"] in codes:
            msg = f"{provider}_codes.csv has {row['code']} twice"
            raise ValueError(msg)
        wait = row.get("retry_after_s") or None
        cells = {**row, "name": row["name"].replace("_", " "), "retry_after_s": wait}
        codes[row["code"]] = msgspec.convert(cells, Code, strict=False)
    return codes


def classify_rest(
    status: int,
    code: str | None,
    headers: Mapping[str, str],
) -> tuple[Result, float | None]:
    """What a refused send at Twilio means, and its Retry-After in seconds.

    ``code`` is null when the answer had none of its own. Of the codes that are not listed, those
    of deliveries (3xxxx) leave the outcome unknown; with any other, or none, a person has to look.
    """
    result = _rest(status, code)
    return result, retry_after_s(headers) if result is Result.RETRYABLE else None


def _rest(status: int, code: str | None) -> Result:
    if status == _TOO_MANY or code == _NEVER_PROCESSED:
        return Result.RETRYABLE
    known = table("twilio").get(code or str(status))
    if status >= _SERVER_ERROR or status == _REQUEST_TIMEOUT:
        # Twilio has no idempotency for sends: only a refusal for good proves that nothing went out.
        refused = known is not None and known.result not in {Result.RETRYABLE, Result.WARNING}
        return known.result if known is not None and refused else Result.OUTCOME_UNKNOWN
    return _of_a_failure(known, code)


def _of_a_failure(known: Code | None, code: str | None) -> Result:
    if known is not None:
        # A warning does not explain why it failed.
        warned = known.result is Result.WARNING
        return Result.CONFIGURATION_FAULT if warned else known.result
    delivery = code is not None and len(code) == _FIVE and code.startswith(_UNKNOWN_DELIVERIES)
    return Result.OUTCOME_UNKNOWN if delivery else Result.CONFIGURATION_FAULT


def classify_receipt(status: str, code: str | None) -> Result:
    """What a status callback of Twilio means for further texts to this number.

    Whatever the class, a failure ends the step. CHANNEL_FINAL and RECIPIENT_SUPPRESSED: no sender
    can reach it; CONTENT_FINAL: another text may; SENDER_FAULT: another sender may; RETRYABLE: a
    later time may; CONFIGURATION_FAULT: when it is repaired; OUTCOME_UNKNOWN: it may have arrived,
    as after a failure without a code. Codes that are not listed: as in `classify_rest`.
    """
    if not is_failure(rank_of("twilio", status)):
        return Result.ACCEPTED if code is None else Result.WARNING
    if status == _CANCELED:
        return Result.RETRYABLE
    if not code:
        return Result.OUTCOME_UNKNOWN
    return _of_a_failure(table("twilio").get(code), code)


def is_of_one_route(code: str | None) -> bool:
    """Whether a SENDER_FAULT of Twilio is towards this recipient alone.

    The sender is well for everybody else: nothing about it may be concluded for others.
    """
    known = table("twilio").get(code or "")
    return known is not None and known.about == "route"


def waits_for_repair(code: str | None) -> bool:
    """Whether a SENDER_FAULT of Twilio ends when a person repairs something of ours.

    What is refused for a full queue, or for this recipient's country, is better told another way.
    """
    known = table("twilio").get(code or "")
    return known is None or known.operator == "page"


def classify_push(
    status: int,
    detail: str | None,
    headers: Mapping[str, str],
) -> tuple[Result, float | None]:
    """What a refused send at FCM means, and how many seconds to wait.

    ``detail`` is FCM's own error code; without it a 404 is a wrong project, never a dead address.
    """
    codes = table("fcm")
    known = codes.get(detail or "") or codes.get(str(status))
    if known is None:
        failed = status >= _SERVER_ERROR
        result = Result.RETRYABLE if failed else Result.CONFIGURATION_FAULT
        wait = codes["503"].retry_after_s if failed else None
    else:
        result, wait = known.result, known.retry_after_s
    if result is not Result.RETRYABLE:
        return result, None
    wish = retry_after_s(headers)
    return result, wait if wish is None else wish
