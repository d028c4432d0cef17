"""What the app's backend may post: CloudEvents 1.0 with our data, checked to the last field.

Defaults are left out when encoded, so that a field added later changes no content hash.
One msgspec decode checks structure, types and bounds; `gateway.faults` checks what needs
knowledge (numbers, stored recipients, a subject that fits).
"""

from __future__ import annotations

from typing import Annotated, get_args

import msgspec
from msgspec import Meta, Struct

from gateway.billing_schemas import BillingEvent
from gateway.envelope import Envelope, Id, Label, Moment
from outbox.domain import announcements
from outbox.domain.announcements import MAX_LANGUAGES

Number = Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[^\x00-\x1f\x7f]+\Z")]
Locale = Annotated[str, Meta(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z", max_length=35)]
# FCM's own alphabet, without a quote, which would end the name inside of a condition.
Topic = Annotated[
    str,
    Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.~%-]*\Z"),
]
Zone = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_+/-]+\Z", max_length=64)]


class Member(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who checks in."""

    id: Id
    name: Label
    phone: Number | None = None
    """E.164; an alert needs it, so that the Contact can call."""


class Contact(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who is told; just the id if the recipient is stored."""

    id: Id
    name: Label | None = None
    phone: Number | None = None
    locale: Locale | None = None
    timezone: Zone | None = None


class AlertContact(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who is alerted. Never refused for a number or a zone that cannot work: the alert goes on."""

    id: Id
    name: Label | None = None
    phone: Annotated[str, Meta(max_length=1024)] | None = None
    """E.164; anything else starts at the next channel."""
    locale: Locale | None = None
    timezone: Annotated[str, Meta(max_length=256)] | None = None
    """IANA name; anything else counts as UTC."""


class Inviter(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who invites."""

    id: Id
    name: Label


class Invitee(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who is invited; often not known to us yet."""

    phone: Number
    id: Id | None = None
    name: Label | None = None
    locale: Locale | None = None
    timezone: Zone | None = None


Contacts = Annotated[list[Contact], Meta(max_length=100)]
AlertContacts = Annotated[list[AlertContact], Meta(max_length=100)]


class CheckinConfirmedData(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A Member tapped "I'm OK"."""

    member: Member
    contacts: Contacts
    at: Moment


class CheckinMissedData(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A Member did not check in by ``due_at``."""

    member: Member
    contacts: AlertContacts
    due_at: Moment


class MemberInvitedData(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Somebody is asked to join."""

    inviter: Inviter
    invitee: Invitee
    code: Annotated[str, Meta(min_length=4, max_length=16, pattern=r"^[A-Za-z0-9-]+\Z")]


Title = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+\Z")]
# Lines may be broken here, as it is shown as a whole.
Words = Annotated[
    str, Meta(min_length=1, max_length=4096, pattern=r"^[^\x00-\x09\x0b-\x1f\x7f]+\Z")
]


class AnnouncementData(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """News for many."""

    topic: Topic
    """What it is about; without recipients everybody who follows it is told."""
    title: Annotated[dict[Locale, Title], Meta(min_length=1, max_length=MAX_LANGUAGES)]
    """By locale. With several languages one is English: for all who speak none of the others."""
    body: Annotated[dict[Locale, Words], Meta(min_length=1, max_length=MAX_LANGUAGES)]
    """By locale; the same ones as the title."""
    recipients: Annotated[list[Id], Meta(min_length=1, max_length=500)] | None = None
    """Ids of those to tell by themselves, each in their own language and not at night."""


class CheckinConfirmed(Envelope, frozen=True, kw_only=True, tag="checkin.confirmed"):
    """Becomes a note to each Contact."""

    data: CheckinConfirmedData


class CheckinMissed(Envelope, frozen=True, kw_only=True, tag="checkin.missed"):
    """Becomes a safety alert to each Contact."""

    data: CheckinMissedData


class MemberInvited(Envelope, frozen=True, kw_only=True, tag="member.invited"):
    """Becomes an SMS with the invite code."""

    data: MemberInvitedData


class AnnouncementPublished(Envelope, frozen=True, kw_only=True, tag=announcements.KIND):
    """Becomes a push to a topic in each language, or one to each recipient."""

    data: AnnouncementData


Event = CheckinConfirmed | CheckinMissed | MemberInvited | AnnouncementPublished | BillingEvent

TYPES = tuple(str(kind.__struct_config__.tag) for kind in get_args(Event))

one = msgspec.json.Decoder(Event)
"""Decodes a single event."""

MAX_BATCH = 500
Batch = Annotated[list[Event], Meta(min_length=1, max_length=MAX_BATCH)]
many = msgspec.json.Decoder(Batch)
"""Decodes a batch."""
