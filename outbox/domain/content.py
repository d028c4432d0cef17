"""The values of one notification's texts, sealed with it; everything personal is in here."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Struct


class Content(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Values for the templates, and the number to text."""

    phone: str | None = None
    """The recipient's number, E.164; null when there is none that can work."""
    recipient_name: str | None = None
    member_name: str | None = None
    member_phone: str | None = None
    inviter_name: str | None = None
    contact_name: str | None = None
    """Of another Contact, whom a notification is about."""
    code: str | None = None
    at: datetime | None = None
    """When the check-in was made, or was due."""
    timezone: str = "UTC"
    """The recipient's, for the times in the text."""
    summary: str | None = None
    """For the operator: why nobody was reached; names ids only."""
    page_reason: str | None = None
    """For the operator's tools: ``no_contact_reached``, ``all_providers_down``, …"""
    title: str | None = None
    """Of an announcement: its own words, in the one language of this notification."""
    body: str | None = None
    """Of an announcement, too."""
    address: str | None = None
    """Where no device is looked up: a topic or condition to push to, or the address that is to
    follow a topic or no longer."""
    address_kind: str | None = None
    """Of that address."""
    topic: str | None = None
    """What the address is to follow, or no longer."""
    about: str | None = None
    """Of a command: another's name of what it is about."""


_decoder = msgspec.json.Decoder(Content)


def encode(content: Content) -> bytes:
    """As it is sealed."""
    return msgspec.json.encode(content)


def decode(plain: bytes) -> Content:
    """As it was sealed."""
    return _decoder.decode(plain)


ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
REFERENCE_CHARACTERS = 7


def short_reference(notification: UUID, step: int) -> str:
    """Eight characters that only one step of one notification has: how its text is found again.

    Taken from the random part of the id; the last character tells the step.
    """
    value = notification.int >> 8
    characters = [ALPHABET[(value >> (5 * i)) & 31] for i in range(REFERENCE_CHARACTERS)]
    return "".join(characters) + ALPHABET[(step + 1) & 31]
