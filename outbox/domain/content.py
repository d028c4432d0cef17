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
    code: str | None = None
    at: datetime | None = None
    """When the check-in was made, or was due."""
    timezone: str = "UTC"
    """The recipient's, for the times in the text."""
    summary: str | None = None
    """For the operator: why nobody was reached; names ids only."""


_decoder = msgspec.json.Decoder(Content)


def encode(content: Content) -> bytes:
    """As it is sealed."""
    return msgspec.json.encode(content)


def decode(plain: bytes) -> Content:
    """As it was sealed."""
    return _decoder.decode(plain)


_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHARACTERS = 7


def short_reference(notification: UUID, step: int) -> str:
    """Eight characters that only one step of one notification has: how its text is found again.

    Taken from the random part of the id; the last character tells the step.
    """
    value = notification.int >> 8
    characters = [_ALPHABET[(value >> (5 * i)) & 31] for i in range(_CHARACTERS)]
    return "".join(characters) + _ALPHABET[(step + 1) & 31]
