"""Provider codes are data: the tables beside this file say what follows from each."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib import resources

from msgspec import Struct

from outbox.domain.outcomes import Result

_CLIENT_ERROR = 400
_SERVER_ERROR = 500
_TOO_MANY = 429


class Code(Struct, frozen=True):
    """One row of a table."""

    name: str
    result: Result


@cache
def table(provider: str) -> Mapping[str, Code]:
    """The table of ``twilio`` or ``fcm``, by code."""
    text = resources.files(__package__).joinpath(f"{provider}_codes.csv").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {
        row["code"]: Code(row["name"], Result(row["result"])) for row in csv.DictReader(lines)
    }


def twilio_result(status: int, code: str | None) -> Result:
    """What a refused create call means.

    The message's own code decides; without one the HTTP status. Twilio knows no idempotency key,
    so a fault on its side may have sent the message: unknown, never simply tried again.
    """
    known = table("twilio").get(code or "")
    if known is not None and code != str(status):
        return known.result
    if status == _TOO_MANY:
        return Result.RETRYABLE
    if status >= _SERVER_ERROR or (code or "").startswith("3"):
        return Result.OUTCOME_UNKNOWN
    return Result.CONFIGURATION_FAULT


def fcm_result(status: int, detail: str | None) -> Result:
    """What a refused send means; a 404 without FCM's detail is our fault, not the token's."""
    codes = table("fcm")
    known = codes.get(detail or "") or codes.get(str(status))
    if known is not None:
        return known.result
    return Result.RETRYABLE if status >= _SERVER_ERROR else Result.CONFIGURATION_FAULT
