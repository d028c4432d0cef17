"""The reference page of the providers' codes, made from their tables.

``python -m outbox.providers.codes_page > runbooks/reference/errors.md`` writes it anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

from outbox.domain.outcomes import Result
from outbox.providers import stripe_codes_page
from outbox.providers.codes import Code, table

_HEAD = """\
# Error codes

Every code that Twilio and FCM document for messages, and Stripe for payments, and what this gateway
makes of it. The page is made from `outbox/providers/twilio_codes.csv`, `fcm_codes.csv` and
`stripe_codes.csv`, and a test compares it with them; change those, then write it anew:

    python -m outbox.providers.codes_page > runbooks/reference/errors.md

A code belongs to one class, and the class alone decides what happens next. A code on the status
callback of a message that failed always ends its step; there the class says what may still reach
the recipient later in the plan, and a `sender_fault` lets other senders come first for ten
minutes. A code beside a message that goes on is a warning.
"""

_CLASSES: tuple[tuple[Result, str, str, str], ...] = (
    (
        Result.ACCEPTED,
        "the provider took it",
        "its receipt is awaited; where the plan asks for none it is delivered",
        "its receipt is awaited until the step's deadline",
    ),
    (
        Result.WARNING,
        "taken, with a doubt",
        "as accepted",
        "as accepted",
    ),
    (
        Result.RETRYABLE,
        "certainly not sent",
        "again after a pause, or the provider's Retry-After, while the step lasts; then the next",
        "the same, at a short pace",
    ),
    (
        Result.CHANNEL_FINAL,
        "this channel cannot reach this recipient",
        "the next step at once",
        "the next step at once; no further text to this number",
    ),
    (
        Result.RECIPIENT_SUPPRESSED,
        "the recipient opted out",
        "the next step at once; the number is remembered as opted out",
        "the same",
    ),
    (
        Result.CONTENT_FINAL,
        "this text is never accepted",
        "the next step at once",
        "the next step at once; a later text of the plan is the short one",
    ),
    (
        Result.SENDER_FAULT,
        "this sender cannot, another may",
        "another sender at once; when there is none, the next step, or parked where one is paged",
        "another sender at once; when there is none, the next step",
    ),
    (
        Result.CONFIGURATION_FAULT,
        "ours to repair",
        "parked for a person, who puts it back to work",
        "the next step at once",
    ),
    (
        Result.OUTCOME_UNKNOWN,
        "it may have been sent",
        "a text is asked for before it is sent again; a push goes again, and the app shows it once",
        "the same; what stays unknown is sent again",
    ),
)

_WORDS = """\
## Whose fault, and who is told

*About*: the `recipient`'s number or device; the `text`; our `sender`, or the `route` from it to
this one recipient, which says nothing about others; our `account`, or how we ask (`request`); the
`webhook` that the provider calls; the `carrier`; the `provider` itself. Faults of recipients and
faults of our own are never counted together.

*Operator*: `page` wakes somebody now; `ticket` waits for working hours; `log` is counted only. It
is about the cause. Whether a missed check-in reached anybody is watched apart from it, and pages
whatever the code was.

*Seen*: `rest` in the answer to a send, `receipt` on a status callback, `both`; `elsewhere` in the
provider's debugger or in APIs that this gateway does not call.
"""

_UNLISTED = {
    "twilio": """\
A code that is not listed: of the range 3xxxx the outcome is unknown, and the message is asked for;
with any other it is a configuration fault. A failure without a code leaves the outcome unknown. A
429 was never processed, whatever its code. An answer of 500 or above, or 408, proves a refusal only
with a code that refuses for good; else the outcome is unknown. Codes that are not listed are logged
with `listed=false`.
""",
    "fcm": """\
Rows in capitals are FCM's own error details, except `INVALID_ADDRESS`, which is ours for an
invalid argument where FCM names the address as the field. Numbers are HTTP statuses of answers
without such a detail: a 404 of that kind is a wrong project, and no address is removed for it.
Statuses that are not listed: 500 and above like 503, others are a configuration fault. *Pause* is
how long a retryable fault waits where the answer has no Retry-After.
""",
}


_HEADS = ("code", "what it is", "seen", "about", "class", "operator")


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield _row(heads)
    yield _row("---" for _ in heads)
    yield from map(_row, rows)
    yield ""


def _cells(code: Code, *, pauses: bool) -> list[str]:
    cells = [f"`{code.code}`", code.name, code.when, code.about, f"`{code.result}`", code.operator]
    if pauses:
        cells.append(f"{code.retry_after_s:g} s" if code.retry_after_s else "")
    return [*cells, code.remedy]


def page() -> str:
    """The whole page."""
    lines = [_HEAD, "## Classes", ""]
    classes = ("class", "means", "a note, an invite", "an alert")
    lines += _table(classes, ([f"`{result}`", *rest] for result, *rest in _CLASSES))
    lines += [_WORDS, "## Twilio", "", _UNLISTED["twilio"]]
    twilio = (_cells(code, pauses=False) for code in table("twilio").values())
    lines += _table([*_HEADS, "what to do"], twilio)
    lines += ["## FCM", "", _UNLISTED["fcm"]]
    fcm = (_cells(code, pauses=True) for code in table("fcm").values())
    lines += _table([*_HEADS, "pause", "what to do"], fcm)
    lines += [stripe_codes_page.words()]
    lines += _table(stripe_codes_page.HEADS, stripe_codes_page.cells())
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
