"""What the app's backend may post: CloudEvents 1.0 with our data, checked to the last field.

Defaults are left out when encoded, so that a field added later changes no content hash.
One msgspec decode checks structure, types and bounds; `gateway.prepare` checks what needs
knowledge (numbers, stored recipients, a subject that fits).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

# No control character: neither NUL, which Postgres refuses, nor a line break in a text or log.
Id = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x20\x7f]+\Z")]
Label = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]+\Z")]
Moment = Annotated[datetime, Meta(tz=True)]
Number = Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[^\x00-\x1f\x7f]+\Z")]
Locale = Annotated[str, Meta(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z", max_length=35)]
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


class CheckinConfirmedData(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A Member tapped "I'm OK"."""

    member: Member
    contacts: Contacts
    at: Moment


class CheckinMissedData(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A Member did not check in by ``due_at``."""

    member: Member
    contacts: Contacts
    due_at: Moment


class MemberInvitedData(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Somebody is asked to join."""

    inviter: Inviter
    invitee: Invitee
    code: Annotated[str, Meta(min_length=4, max_length=16, pattern=r"^[A-Za-z0-9-]+\Z")]


class _Envelope(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """CloudEvents 1.0; extension attributes are ignored, as the specification asks."""

    specversion: Literal["1.0"]
    id: Id
    source: Id
    subject: Id
    time: Moment | None = None
    datacontenttype: Literal["application/json"] | None = None


class CheckinConfirmed(_Envelope, frozen=True, kw_only=True, tag="checkin.confirmed"):
    """Becomes a note to each Contact."""

    data: CheckinConfirmedData


class CheckinMissed(_Envelope, frozen=True, kw_only=True, tag="checkin.missed"):
    """Becomes a safety alert to each Contact."""

    data: CheckinMissedData


class MemberInvited(_Envelope, frozen=True, kw_only=True, tag="member.invited"):
    """Becomes an SMS with the invite code."""

    data: MemberInvitedData


Event = CheckinConfirmed | CheckinMissed | MemberInvited

TYPES = tuple(str(kind.__struct_config__.tag) for kind in (CheckinConfirmed, CheckinMissed, MemberInvited))

one = msgspec.json.Decoder(Event)
"""Decodes a single event."""

MAX_BATCH = 500
many = msgspec.json.Decoder(Annotated[list[Event], Meta(min_length=1, max_length=MAX_BATCH)])
"""Decodes a batch."""
