"""Signed references: how a receipt finds its attempt before, or without, a provider's id.

A reference is the permission itself (it needs no login), so it is authenticated, bound to
one purpose, and says nothing about a person.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Sequence
from enum import IntEnum
from uuid import UUID

from msgspec import Struct

_LAYOUT = struct.Struct(">BB16sBIBB")
_MAC_BYTES = 16


class Purpose(IntEnum):
    """What the bearer may do with the reference."""

    SMS_STATUS = 1
    PUSH_RECEIPT = 2


class Reference(Struct, frozen=True, kw_only=True):
    """Names one call: notification, step and fence; ``ordinal`` tells devices apart."""

    purpose: Purpose
    notification: UUID
    step: int
    fence: int
    lane: int
    ordinal: int = 0


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class ReferenceSigner:
    """Signs with the newest key, verifies with any (keys rotate with overlap)."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Take sealing keys, newest first; the signing keys are derived from them."""
        self._keys = [hmac.digest(key, b"pruuf reference v1", "sha256") for key in keys]

    def sign(self, reference: Reference) -> str:
        """Return the reference as 55 URL-safe characters."""
        body = _LAYOUT.pack(
            1,
            reference.purpose,
            reference.notification.bytes,
            reference.step,
            reference.fence,
            reference.lane,
            reference.ordinal,
        )
        return _text(body + self._mac(self._keys[0], body))

    def verify(self, token: str, purpose: Purpose) -> Reference | None:
        """Return what was signed, or null when forged, damaged or for another purpose."""
        try:
            raw = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        except (binascii.Error, UnicodeEncodeError, ValueError):
            return None
        # The decoder skips what is not of its alphabet: only what was handed out is taken.
        if len(raw) != _LAYOUT.size + _MAC_BYTES or _text(raw) != token:
            return None
        body, mac = raw[: _LAYOUT.size], raw[_LAYOUT.size :]
        # Every key is compared, so that timing tells nothing about which one fits.
        genuine = [hmac.compare_digest(self._mac(key, body), mac) for key in self._keys]
        if not any(genuine):
            return None
        version, kind, notification, step, fence, lane, ordinal = _LAYOUT.unpack(body)
        if version != 1 or kind != purpose:
            return None
        return Reference(
            purpose=purpose,
            notification=UUID(bytes=notification),
            step=step,
            fence=fence,
            lane=lane,
            ordinal=ordinal,
        )

    @staticmethod
    def _mac(key: bytes, body: bytes) -> bytes:
        return hmac.digest(key, body, hashlib.sha256)[:_MAC_BYTES]
