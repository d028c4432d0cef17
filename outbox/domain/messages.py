"""What a provider adapter is asked to send: one frozen shape per channel."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class AddressKind(StrEnum):
    """How devices are addressed; FCM tokens give way to Firebase Installation IDs."""

    TOKEN = "token"  # noqa: S105 - the name of a kind, not a secret
    FID = "fid"
    TOPIC = "topic"
    """All that follow a topic."""
    CONDITION = "condition"
    """All that follow the topics that an expression asks for."""


class Sms(Struct, frozen=True, kw_only=True):
    """One text message."""

    to: str
    """E.164."""
    sender: str
    """E.164 number or short code; or a Messaging Service SID (``MG…``)."""
    body: str
    reference: str
    """Signed reference; goes into the status callback's query."""
    validity_s: int
    """How long the carrier may keep trying, 1–36000 s."""


class SentSms(Struct, frozen=True, kw_only=True):
    """One message of the provider's own list, found while resolving an unknown outcome."""

    provider_id: str
    status: str
    code: str | None
    created_at: datetime


class Push(Struct, frozen=True, kw_only=True):
    """One push: to one device, or to all that follow a topic."""

    address: str
    address_kind: AddressKind
    title: str
    body: str
    data: Mapping[str, str]
    """Holds notification_id, kind and, for a single device, receipt_token (contract)."""
    urgent: bool
    """High priority: may wake the device."""
    ttl_s: int
    """How long FCM keeps it for a device that is off."""
    tag: str
    """Names what is shown: a repetition replaces it on the screen."""


class Page(Struct, frozen=True, kw_only=True):
    """A call for the person on call; holds no personal data."""

    notification_id: str
    """Also the idempotency key for the receiver."""
    event_id: str
    reason: str
    """``no_contact_reached``, ``no_contact``, …"""
    summary: str
    """One line for a human at 3 a.m.; names ids, never people."""
    occurred_at: datetime
