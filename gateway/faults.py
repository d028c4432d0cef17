"""What is wrong with an event beyond its structure: what needs knowledge, not a schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct

from gateway import announcements
from gateway.billing_schemas import BillingEvent
from gateway.schemas import (
    AnnouncementPublished,
    CheckinConfirmed,
    CheckinMissed,
    Contact,
    Event,
    MemberInvited,
)
from outbox.domain.phones import problem_with
from outbox.domain.zones import is_known as zone_is_known

_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""Outside of these a time is a mistake, and at the ends of the calendar none has a local time."""


class Fault(Struct, frozen=True):
    """One thing that is wrong with an event."""

    path: str
    got: str
    accepted: str


class Known(Protocol):
    """What is stored of a recipient, unsealed."""

    @property
    def name(self) -> str | None:
        """Their name."""
        ...

    @property
    def phone(self) -> str | None:
        """E.164."""
        ...

    @property
    def locale(self) -> str:
        """BCP 47."""
        ...

    @property
    def timezone(self) -> str:
        """IANA name."""
        ...


def needs_lookup(event: Event) -> Iterator[str]:
    """Ids of Contacts of whom the event says no number that can work: stored ones may have one.

    And of those whom an announcement names, each of whom is told in their own language.
    """
    if isinstance(event, AnnouncementPublished):
        yield from event.data.recipients or ()
    elif isinstance(event, CheckinConfirmed | CheckinMissed):
        for contact in event.data.contacts:
            if contact.phone is None or problem_with(contact.phone) is not None:
                yield contact.id


def faults_of(event: Event, known: Mapping[str, Known]) -> list[Fault]:
    """Everything that is wrong with an event beyond its structure."""
    if isinstance(event, AnnouncementPublished):
        wrong = [Fault(*each) for each in announcements.wrong_with(event)]
        return [*_time_faults("$.time", event.time), *wrong]
    if isinstance(event, MemberInvited):
        invitee = event.data.invitee
        return [
            *_time_faults("$.time", event.time),
            *_phone_faults("$.data.invitee.phone", invitee.phone),
            *_zone_faults("$.data.invitee.timezone", invitee.timezone),
        ]
    faults = _time_faults("$.time", event.time)
    if isinstance(event, BillingEvent):
        return [*faults, *_subject_faults(event)]
    if isinstance(event, CheckinMissed):
        faults += _time_faults("$.data.due_at", event.data.due_at)
    else:
        faults += _time_faults("$.data.at", event.data.at)
    member = event.data.member
    if event.subject != member.id:
        faults.append(Fault("$.subject", "another id", "the same as $.data.member.id"))
    if isinstance(event, CheckinMissed) and member.phone is None:
        faults.append(Fault("$.data.member.phone", "nothing", "the Member's number in E.164"))
    if member.phone is not None:
        faults += _phone_faults("$.data.member.phone", member.phone)
    # An alert is never refused for one Contact's number: that one starts at the next channel.
    if isinstance(event, CheckinConfirmed):
        for index, contact in enumerate(event.data.contacts):
            faults += _contact_faults(f"$.data.contacts[{index}]", contact, known)
    return faults


def _subject_faults(event: BillingEvent) -> list[Fault]:
    if event.subject == event.data.account.id:
        return []
    return [Fault("$.subject", "another id", "the same as $.data.account.id")]


def _contact_faults(path: str, contact: Contact, known: Mapping[str, Known]) -> list[Fault]:
    faults = _zone_faults(f"{path}.timezone", contact.timezone)
    if contact.phone is not None:
        faults += _phone_faults(f"{path}.phone", contact.phone)
    elif contact.id not in known:
        accepted = "a number in E.164, or the id of a stored recipient"
        faults.append(Fault(f"{path}.phone", "nothing", accepted))
    return faults


def _phone_faults(path: str, phone: str) -> list[Fault]:
    problem = problem_with(phone)
    return [] if problem is None else [Fault(path, problem, "a number in E.164, like +12025550123")]


def _time_faults(path: str, time: datetime | None) -> list[Fault]:
    if time is None or _EARLIEST <= time < _LATEST:
        return []
    return [Fault(path, "a time of another century", "a time from 1970 to 2099")]


def _zone_faults(path: str, zone: str | None) -> list[Fault]:
    if zone is None or zone_is_known(zone):
        return []
    return [Fault(path, "an unknown time zone", "an IANA name, like America/New_York")]
