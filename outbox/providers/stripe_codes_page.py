"""Stripe's part of the reference page of error codes, made from its table."""

from __future__ import annotations

from collections.abc import Iterator

from outbox.providers.stripe_codes import table

_WORDS = """\
## Stripe

Made from `outbox/providers/stripe_codes.csv`. The most precise row counts: the bank's `decline`,
then the `code` and the `type` of the error, then the HTTP `status`; the types
`invalid_request_error` and `api_error` come with many a status and stand behind it. `transport`
stands for answers that did not come whole. A 429 or 409 was never begun and is tried again with
the same idempotency key, and behind a status of 500 or above the outcome is unknown, whatever the
code. What is listed nowhere is a configuration fault. Of a command the classes mean: *retryable*
and *outcome unknown*, tried again with the same key for a week, then parked; *configuration
fault*, parked and the operator is paged; all others, the command ends as `undeliverable` with this
code as its reason.

*Advice* is what somebody can do whose payment failed: `new_card`, `later` (Stripe tries again by
itself), `bank` (call it), `confirm` (on the invoice's page), `details` (enter them again).
"""

HEADS = ("kind", "code", "what it is", "about", "class", "advice", "operator", "what to do")


def words() -> str:
    """What stands before the table."""
    return _WORDS


def cells() -> Iterator[list[str]]:
    """The table."""
    for row in table().values():
        result = f"`{row.result}`"
        yield [
            *(row.kind, f"`{row.code}`", row.name, row.about, result),
            *(row.advice, row.operator, row.remedy),
        ]
