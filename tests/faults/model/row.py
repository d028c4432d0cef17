"""What the model of the outbox knows of one notification, and when, as far as anybody can know.

A model's moment is a span: the call lasted from its beginning to its end, and the database's clock
stood somewhere in between.
"""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from outbox.domain.plans import Plan
from outbox.domain.states import Work

NEVER = float("inf")


class Span(Struct, frozen=True, order=True):
    """A moment that lies between two, in seconds of the model's time."""

    low: float
    high: float

    def later(self, seconds: float) -> Span:
        return Span(self.low + seconds, self.high + seconds)

    def has_come(self, now: Span) -> bool:
        """Certainly."""
        return self.high <= now.low

    def may_have_come(self, now: Span) -> bool:
        return self.low <= now.high


class Row(Struct, kw_only=True):
    """The due row as it must be."""

    due: Span
    step: int = 0
    work: int = Work.SEND
    attempt: int = 0
    asked: int = 0
    fence: int = 0
    call_fence: int = 0
    suspect: int = 0
    owner: UUID | None = None
    failed: bool = False
    """The newest call is known to have failed for good."""
    cancel: bool = False
    until: Span | None = None
    """Deadline of the receipt that is awaited."""

    @property
    def is_parked(self) -> bool:
        return self.due.low == NEVER

    def seen(self) -> dict[str, object]:
        """What the database has to show of it."""
        return {
            "work": Work(self.work).name,
            "step": self.step,
            "attempt": self.attempt,
            "asked": self.asked,
            "fence": self.fence,
            "call_fence": self.call_fence,
            "suspect": self.suspect,
            "owner": self.owner,
            "failed": self.failed,
            "cancel": self.cancel,
            "parked": self.is_parked,
        }


class Tried(Struct, frozen=True):
    """One attempt, stale or not."""

    fence: int
    what: str
    channel: str
    result: str
    message: str | None = None
    """The provider's name for it."""


class Said(Struct, frozen=True):
    """One receipt."""

    fence: int
    failed: bool
    result: str | None


class Telling(Struct, kw_only=True):
    """One notification, all that happened to it, and what it must be."""

    id: UUID
    name: str
    """In the story: ``alert 1``."""
    kind: str
    recipient: str
    member: str
    plan: Plan
    state: str = "open"
    row: Row | None = None
    clears: UUID | None = None
    tried: list[Tried] = []
    said: list[Said] = []

    def finish(self, state: str) -> None:
        self.state, self.row = state, None

    def may_have_been_sent(self) -> bool:
        maybe = {"accepted", "warning", "outcome_unknown"}
        return bool(self.said) or any(
            t.what == "ask" or (t.what == "send" and t.result in maybe) for t in self.tried
        )

    def number_is_dead(self) -> bool:
        dead = {"channel_final", "recipient_suppressed"}
        refused = any(t.channel == "sms" and t.result in dead for t in self.tried)
        return refused or any(s.result in dead for s in self.said)


class Member(Struct):
    """The life of one Member."""

    told: list[str] = []
    notifications: list[UUID] = []
    is_open: bool = False
    page: UUID | None = None
    checked_in: int = -1
    """Hour of the last check-in."""
    missed: int = -1
    """Latest hour of those missed in the open alert."""
