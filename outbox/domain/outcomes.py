"""What a provider call came to, as an answer to one question: what happens next?

Adapters translate every documented error into one of these classes; the relay decides by
class alone and never looks at a provider's code.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Result(StrEnum):
    """Class of one provider call."""

    ACCEPTED = "accepted"
    """The provider took it; a receipt may follow."""
    WARNING = "warning"
    """Taken, but the provider doubts it; wait for the receipt like ACCEPTED."""
    RETRYABLE = "retryable"
    """Certainly not sent; the same step may be tried again."""
    CHANNEL_FINAL = "channel_final"
    """This channel cannot reach this recipient; take the next step now."""
    RECIPIENT_SUPPRESSED = "recipient_suppressed"
    """The recipient opted out of this channel; take the next step now."""
    CONTENT_FINAL = "content_final"
    """This text will never be accepted; take the next step now."""
    SENDER_FAULT = "sender_fault"
    """This sender cannot, another one may; the recipient and the text are not to blame."""
    CONFIGURATION_FAULT = "configuration_fault"
    """Ours to repair: an alert takes its next step now, everything else parks."""
    OUTCOME_UNKNOWN = "outcome_unknown"
    """It may or may not have been sent; ask before anything else."""


SENT = frozenset({Result.ACCEPTED, Result.WARNING})
"""Results after which a receipt is awaited."""

STEP_IS_OVER = frozenset(
    {Result.CHANNEL_FINAL, Result.RECIPIENT_SUPPRESSED, Result.CONTENT_FINAL},
)
"""Results after which the plan goes on to its next step at once."""


class Outcome(Struct, frozen=True, kw_only=True):
    """Result of one call to one provider."""

    result: Result
    provider: str
    """``twilio``, ``fcm`` or ``operator``."""
    provider_id: str | None = None
    """The provider's name for the message; null unless it answered with one."""
    code: str | None = None
    """The provider's error code, or our name for a transport fault (``connect``, ``timeout``)."""
    detail: str | None = None
    """Our own words, safe to show: never the provider's text, a number or a token."""
    retry_after_s: float | None = None
    """The provider's wish, in seconds; null when it expressed none."""
    latency_ms: int = 0
    """From the start of the call to its last byte."""
