"""A provider's list of messages against our attempts, in both directions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from outbox.domain.content import ALPHABET, REFERENCE_CHARACTERS, short_reference
from outbox.domain.receipts import Rank, rank_of


class Apart(StrEnum):
    """How both sides differ about a message."""

    UNRECORDED = "unrecorded"
    """The provider has it, with a reference of ours; none of our attempts names it."""
    UNHEARD = "unheard"
    """The provider says how it ended; we have no receipt of that."""
    ABSENT = "absent"
    """An attempt of ours names it, and the provider does not have it."""
    NOBODYS = "nobodys"
    """It ends in a reference, but of no notification that is here."""


WORDS = {
    Apart.UNRECORDED: "at Twilio, and no attempt of ours names it",
    Apart.UNHEARD: "ended at Twilio, and we have not heard of it",
    Apart.ABSENT: "an attempt of ours names it, and Twilio does not have it",
    Apart.NOBODYS: "at Twilio with a reference of nobody here",
}
STEPS = {
    Apart.UNRECORDED: "--repair takes it as a receipt; pruuf trace ID tells how it came about",
    Apart.UNHEARD: "--repair takes it as a receipt: is PRUUF_PUBLIC_URL what Twilio can reach?",
    Apart.ABSENT: "is this the right account? Twilio deletes messages only if somebody asks for it",
    Apart.NOBODYS: "does another installation send from this account, or was a backup put back?",
}
REPAIRED = frozenset({Apart.UNRECORDED, Apart.UNHEARD})
"""What the provider says can be taken as a receipt."""


class Theirs(Struct, frozen=True, kw_only=True):
    """A message of the provider's list."""

    provider_id: str
    status: str
    code: str | None
    reference: str | None


class Ours(Struct, frozen=True, kw_only=True):
    """An attempt that names a message, or the call that a reference leads to."""

    notification: UUID
    step: int
    fence: int
    at: datetime
    rank: int = 0
    """Best of the receipts that name this message."""


class Difference(Struct, frozen=True, kw_only=True):
    """One message that both sides do not tell the same of."""

    apart: Apart
    provider_id: str
    status: str | None = None
    """By the provider's word; null where it has none."""
    code: str | None = None
    notification: UUID | None = None
    step: int = 0
    fence: int = 0


class Book(Struct):
    """What was compared so far."""

    ours: dict[str, Ours]
    """By the provider's name."""
    seen: set[str] = set()
    agreed: int = 0
    others: int = 0
    """Messages without any reference: another program's, most likely."""
    found: list[Difference] = []

    def compare(self, theirs: Iterable[Theirs]) -> list[Theirs]:
        """Compare some messages; those that only their reference can explain are given back."""
        unexplained = []
        for each in theirs:
            known = self.ours.get(each.provider_id)
            if known is not None:
                self.seen.add(each.provider_id)
                self._heard(each, known)
            elif each.reference is None:
                self.others += 1
            else:
                unexplained.append(each)
        return unexplained

    def explain(self, unexplained: Sequence[Theirs], known: dict[str, Ours]) -> None:
        """Name what no attempt names, by the notifications that the references lead to."""
        for each in unexplained:
            ours = known.get(each.reference or "")
            apart = Apart.NOBODYS if ours is None else Apart.UNRECORDED
            if ours is not None and ours.rank >= max(rank_of("twilio", each.status), Rank.SENT):
                # Its callback came, with the reference, although its answer was lost.
                self.agreed += 1
                continue
            self.found.append(_difference(apart, each, ours))

    def unseen(self, *, since: datetime, until: datetime) -> list[str]:
        """Whom of ours the list does not have; it may have passed over one that never left."""
        return [
            name
            for name, ours in self.ours.items()
            if name not in self.seen and since <= ours.at < until
        ]

    def absent(self, name: str) -> None:
        """The provider does not have a message that an attempt of ours names."""
        ours = self.ours[name]
        self.found.append(
            Difference(
                apart=Apart.ABSENT,
                provider_id=name,
                notification=ours.notification,
                step=ours.step,
                fence=ours.fence,
            )
        )

    def _heard(self, theirs: Theirs, ours: Ours) -> None:
        rank = rank_of("twilio", theirs.status)
        if rank >= Rank.FAILED and rank > ours.rank:
            self.found.append(_difference(Apart.UNHEARD, theirs, ours))
        else:
            self.agreed += 1


def _difference(apart: Apart, theirs: Theirs, ours: Ours | None) -> Difference:
    return Difference(
        apart=apart,
        provider_id=theirs.provider_id,
        status=theirs.status,
        code=theirs.code,
        notification=None if ours is None else ours.notification,
        step=0 if ours is None else ours.step,
        fence=0 if ours is None else ours.fence,
    )


def bits_of(reference: str) -> int | None:
    """The part of an id that a reference tells, 35 bits above its last byte; null: it is none."""
    places = [ALPHABET.find(each) for each in reference]
    if len(reference) != REFERENCE_CHARACTERS + 1 or min(places) < 0:
        return None
    return sum(place << (5 * i) for i, place in enumerate(places[:-1]))


def step_of(reference: str, notification: UUID) -> int | None:
    """The step of this notification that a reference names; null if it is another's."""
    step = (ALPHABET.find(reference[-1]) - 1) & 31
    return step if short_reference(notification, step) == reference else None
