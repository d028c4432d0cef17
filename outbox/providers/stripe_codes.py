"""Stripe's errors are data: the table beside this file says what follows from each for a command.

The most precise row counts: the bank's decline, then the code, the type and the HTTP status; two
types say less than a status does. A code answers only as far as its status allows: behind a 5xx
nothing proves that nothing was done.
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
from outbox.providers.transport import retry_after_s

Kind = Literal["status", "type", "code", "decline", "transport"]
About = Literal["card", "customer", "object", "request", "account", "provider"]
Advice = Literal["", "new_card", "later", "bank", "confirm", "details"]
Operator = Literal["page", "ticket", "log"]

_SERVER_ERROR = 500
_TOO_MANY = 429
_CONFLICT = 409


class Row(Struct, frozen=True, kw_only=True):
    """One row of the table."""

    kind: Kind
    code: str
    name: str
    about: About
    result: Result
    advice: Advice
    """What the customer can do; empty where there is nothing."""
    operator: Operator
    remedy: str
    """What a person of ours can do about it; empty where nothing is to be done."""


class Refusal(Struct, frozen=True, kw_only=True):
    """An answer that is no success, classified."""

    result: Result
    code: str
    """The most precise name that it had."""
    name: str | None
    """Our words for it; null when it is not listed."""
    retry_after_s: float | None
    replayed: bool
    """It answers an earlier request with the same key: nothing was tried now."""


_FIELDS: tuple[tuple[Kind, str], ...] = (
    ("decline", "decline_code"),
    ("code", "code"),
    ("type", "type"),
)
_VAGUE = frozenset({"invalid_request_error", "api_error"})
"""Types that come with many a status: a key that is not accepted has one of them, too."""


@cache
def table() -> Mapping[tuple[Kind, str], Row]:
    """The table, by kind and code."""
    text = resources.files(__package__).joinpath("stripe_codes.csv").read_text("utf-8")
    found: dict[tuple[Kind, str], Row] = {}
    for cells in csv.DictReader(line for line in text.splitlines() if not line.startswith("#")):
        row = msgspec.convert(cells, Row)
        if (row.kind, row.code) in found:
            msg = f"stripe_codes.csv has {row.kind} {row.code} twice"
            raise ValueError(msg)
        found[row.kind, row.code] = row
    return found


def decline_of(code: str) -> Row | None:
    """The row of a decline, or of the code that stands in its place; null when not listed."""
    known = table()
    return known.get(("decline", code)) or known.get(("code", code))


def row_of(code: str) -> Row | None:
    """The most precise row that has this code, of whatever kind; null when it is not listed."""
    kinds: tuple[Kind, ...] = ("decline", "code", "type", "status", "transport")
    return next((table()[kind, code] for kind in kinds if (kind, code) in table()), None)


def classify(status: int, error: Mapping[str, object], headers: Mapping[str, str]) -> Refusal:
    """What a refused request means; ``error`` is the error object, empty when there was none."""
    names = [(kind, str(error[field])) for kind, field in _FIELDS if error.get(field)]
    at = len(names) - 1 if names and names[-1][1] in _VAGUE else len(names)
    names.insert(at, ("status", str(status)))
    known = table()
    row = next((known[each] for each in names if each in known), None)
    result = _result(status, row)
    wait = retry_after_s(headers) if result is Result.RETRYABLE else None
    return Refusal(
        result=result,
        code=names[0][1],
        name=None if row is None else row.name,
        retry_after_s=wait,
        replayed=headers.get("idempotent-replayed") == "true",
    )


def _result(status: int, row: Row | None) -> Result:
    if status in {_TOO_MANY, _CONFLICT}:
        return Result.RETRYABLE
    if status >= _SERVER_ERROR:
        return Result.OUTCOME_UNKNOWN
    # Neither listed by its code nor by its status: a person has to look.
    return Result.CONFIGURATION_FAULT if row is None else row.result
