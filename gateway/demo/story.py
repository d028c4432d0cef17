"""A day at Pruuf: who checks in, who does not, and what must become of each notification."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from outbox import wording
from outbox.simulators import magic

BATCH = 2000
_MISSED = 195
_INVITES = 5
_CONFIRMED_UNDELIVERED = 5
_MISSED_UNDELIVERED = 20
_MISSED_SILENT = 7


class Expected(Struct, frozen=True):
    """What must become of one notification."""

    state: str
    channel: str | None

    def __str__(self) -> str:
        """In words."""
        by = f" by {wording.channel(self.channel)}" if self.channel else ""
        return f"{wording.state(self.state)}{by}"


SMS = Expected("delivered", "sms")
PUSH = Expected("delivered", "push")
NOBODY = Expected("undeliverable", None)


class Person(Struct, frozen=True):
    """A Contact."""

    id: str
    name: str
    phone: str
    device: str | None = None
    """Push token; null: no device."""


class Happening(Struct, frozen=True):
    """One event and what it must become."""

    event: dict[str, Any]
    contact: str
    expected: Expected


class Story:
    """The events of one run; ids carry the run, so that each run is a new day."""

    def __init__(self, run: str) -> None:
        """``run`` is short and unique."""
        self.run = run
        self.source = f"pruuf-demo/{run}"
        self.people: list[Person] = []
        self._numbers: dict[str, int] = {}
        self._events = 0
        self._now = datetime.now(UTC).replace(microsecond=0)

    def _number(self, outcome: str) -> str:
        n = self._numbers[outcome] = self._numbers.get(outcome, 0) + 1
        return magic.number(outcome, n)

    def _person(self, name: str, outcome: str, *, device: bool = False) -> Person:
        token = magic.token("delivered", len(self.people)) if device else None
        contact = f"c_{self.run}_{len(self.people) + 1}"
        person = Person(contact, name, self._number(outcome), token)
        self.people.append(person)
        return person

    def _event(self, kind: str, subject: str, data: dict[str, Any]) -> dict[str, Any]:
        self._events += 1
        return {
            "specversion": "1.0",
            "id": f"evt-{self._events}",
            "source": self.source,
            "type": kind,
            "time": self._now.isoformat(),
            "subject": subject,
            "data": data,
        }

    def _checkin(
        self,
        kind: str,
        member: str,
        name: str,
        contact: Person,
        expected: Expected,
    ) -> Happening:
        moment = "due_at" if kind == "checkin.missed" else "at"
        subject = f"m_{self.run}_{member}"
        data = {
            "member": {"id": subject, "name": name, "phone": magic.number("delivered", 7)},
            "contacts": [{"id": contact.id, "name": contact.name, "phone": contact.phone}],
            moment: (self._now - timedelta(minutes=30)).isoformat(),
        }
        return Happening(self._event(kind, subject, data), contact.id, expected)

    def _invite(self, contact: Person) -> Happening:
        inviter = f"m_{self.run}_inviter"
        data = {
            "inviter": {"id": inviter, "name": "Alice"},
            "invitee": {"id": contact.id, "name": contact.name, "phone": contact.phone},
            "code": "K7-2291",
        }
        return Happening(self._event("member.invited", inviter, data), contact.id, SMS)

    def scenes(self) -> Iterator[tuple[str, Happening]]:
        """The five scenes that show what the product is for."""
        bob = self._person("Bob", "delivered")
        yield (
            "Alice checks in: Bob gets a text",
            self._checkin("checkin.confirmed", "alice", "Alice", bob, SMS),
        )
        carol = self._person("Carol", "undelivered_30005", device=True)
        yield (
            "Dan misses his check-in: Carol's number is dead (30005), the push reaches her",
            self._checkin("checkin.missed", "dan", "Dan", carol, PUSH),
        )
        erin = self._person("Erin", "no_receipt", device=True)
        yield (
            "Frida misses hers: no receipt for Erin's text, after 60 s the push goes out",
            self._checkin("checkin.missed", "frida", "Frida", erin, PUSH),
        )
        yield ("Alice invites Gus", self._invite(self._person("Gus", "delivered")))
        hana = self._person("Hana", "invalid")
        yield (
            "Ivan misses his: Hana has no working number and no device, the operator is told",
            self._checkin("checkin.missed", "ivan", "Ivan", hana, NOBODY),
        )

    def batch(self) -> list[Happening]:
        """Two thousand more, mixed; some numbers fail, and their people have devices."""
        made: list[Happening] = []
        for n in range(BATCH - _MISSED - _INVITES):
            bad = n < _CONFIRMED_UNDELIVERED
            person = self._person(f"Contact {n}", _outcome(bad), device=bad)
            expected = PUSH if bad else SMS
            made.append(
                self._checkin("checkin.confirmed", f"b{n}", f"Member {n}", person, expected)
            )
        for n in range(_MISSED):
            outcome = "undelivered_30005" if n < _MISSED_UNDELIVERED else "delivered"
            if _MISSED_UNDELIVERED <= n < _MISSED_UNDELIVERED + _MISSED_SILENT:
                outcome = "no_receipt"
            device = outcome != "delivered"
            person = self._person(f"Contact a{n}", outcome, device=device)
            expected = PUSH if device else SMS
            made.append(self._checkin("checkin.missed", f"a{n}", f"Member a{n}", person, expected))
        made += [self._invite(self._person(f"Invitee {n}", "delivered")) for n in range(_INVITES)]
        random.Random(self.run).shuffle(made)  # noqa: S311 - an order, no secret
        return made


def _outcome(bad: bool) -> str:  # noqa: FBT001 - one caller
    return "undelivered_30005" if bad else "delivered"
