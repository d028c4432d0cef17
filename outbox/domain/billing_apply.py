"""Whether what Stripe tells of an object is newer than what is known of it; pure.

Events come late, twice and shuffled, with times of one second's grain. An event's object counts if
its second is later; what was told in the same second, and differs, is asked for. Final states stay,
whatever comes; an invoice only ever goes forward, so that there two of one second have an order.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from outbox.domain.billing_objects import Customer, Invoice, Kept, PaymentMethod, Subscription
from outbox.domain.billing_status import TERMINAL, Change, Status, change

ANSWER = "answer"
"""Stands among the events of a second for an answer of Stripe, whose own second nobody knows: what
events tell of the time before it may still come, and is asked for where it differs."""


class Verdict(StrEnum):
    """What becomes of an event's object."""

    APPLY = "applied"
    STALE = "stale"
    """Older, or told before."""
    ASK = "asked"
    """Stripe is asked how it is."""
    UNKNOWN = "unknown"
    """It is in a state that this version does not know."""


class Seen(Struct, frozen=True):
    """What was applied last."""

    at: datetime | None = None
    """Stripe's second of it; null: only answers."""
    events: tuple[str, ...] = ()
    """Events of that second, and `ANSWER`."""

    def with_event(self, event: str, at: datetime) -> Seen:
        """After one more event."""
        if self.at is None or at > self.at:
            return Seen(at, (event,))
        return Seen(self.at, (*self.events, event)) if at == self.at else self

    def with_answer(self) -> Seen:
        """After Stripe answered how the object is."""
        others = (each for each in self.events if each != ANSWER)
        return Seen(self.at, (*others, ANSWER))

    def asking(self, event: str, at: datetime) -> Seen:
        """After an event that has to be asked for: an answer before it still counts."""
        after = self.with_event(event, at)
        return after.with_answer() if ANSWER in self.events else after


_FORWARD: Mapping[str, int] = {
    "draft": 0,
    "deleted": 1,
    "open": 1,
    "uncollectible": 2,
    "void": 3,
    "paid": 3,
}
_CLOSED = 3


def judge(  # noqa: PLR0911 - one return for each rule, in their order
    before: Kept | None,
    seen: Seen,
    told: Kept,
    *,
    event: str,
    at: datetime,
) -> Verdict:
    """What becomes of what ``event`` tells; ``before`` is null where nothing is known."""
    if not _is_known(told):
        return Verdict.UNKNOWN
    if before is None:
        return Verdict.APPLY
    if event in seen.events or (seen.at is not None and at < seen.at):
        return Verdict.STALE
    if told == before:
        return Verdict.APPLY
    if is_over(before):
        return Verdict.STALE
    if isinstance(before, Invoice) and isinstance(told, Invoice):
        return Verdict.APPLY if _progress(told) >= _progress(before) else Verdict.STALE
    if at == seen.at or ANSWER in seen.events:
        return Verdict.ASK
    if _contradicts(before, told):
        return Verdict.ASK
    return Verdict.APPLY


def answered(before: Kept | None, told: Kept) -> bool:
    """Whether an answer of Stripe counts: it is the truth, but nothing leaves a final state."""
    if not _is_known(told):
        return False
    return before is None or not is_over(before) or is_over(told)


def is_over(kept: Kept) -> bool:
    """Whether it is in a final state."""
    match kept:
        case Subscription():
            return kept.status in TERMINAL
        case Invoice():
            return _FORWARD[kept.status] == _CLOSED
        case PaymentMethod():
            return not kept.attached
        case Customer():
            return kept.deleted
        case _:
            return False


def _is_known(told: Kept) -> bool:
    if isinstance(told, Subscription):
        return told.status in set(Status)
    return told.status in _FORWARD if isinstance(told, Invoice) else True


def _progress(invoice: Invoice) -> tuple[int, int]:
    return _FORWARD[invoice.status], invoice.attempts


def _contradicts(before: Kept, told: Kept) -> bool:
    if not isinstance(before, Subscription) or not isinstance(told, Subscription):
        return False
    how = change(Status(before.status), Status(told.status))
    return how is Change.IMPOSSIBLE
