"""What lies in the inbox: one verified callback, as the gateway stored it before anybody acted."""

from __future__ import annotations

from uuid import UUID

import msgspec
from msgspec import Struct


class Callback(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing a provider or the app said of one call; sealed in the inbox as JSON."""

    source: str
    """``twilio`` or ``app``."""
    status: str
    """The provider's own word (``undelivered``); for the app ``received`` or ``opened``."""
    provider_id: str | None = None
    """The provider's name for the message; null from the app."""
    code: str | None = None
    """The provider's error code, as a string."""
    notification: UUID | None = None
    """From the signed reference; null when the callback carried none that is ours."""
    step: int = 0
    fence: int = 0
    ordinal: int = 0
    traceparent: str | None = None
    """Of the request that brought it (W3C); null where nothing is traced."""
    raw: dict[str, str] = msgspec.field(default_factory=dict)
    """Every field as it came, for a later reader."""

    @property
    def said(self) -> str:
        """What makes it unique within its source: the same words twice are one receipt."""
        if self.source == "app":
            return f"{self.fence}:{self.ordinal}:{self.status}"
        return f"{self.provider_id}:{self.status}:{self.code or ''}"


def encode(callback: Callback) -> bytes:
    """As it is sealed."""
    return msgspec.json.encode(callback)


def decode(plain: bytes) -> Callback:
    """As it was sealed."""
    return msgspec.json.decode(plain, type=Callback)
