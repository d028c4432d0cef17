"""Could a person be reached now, and how is that known? Judged from what was heard lately."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct

from outbox.domain.plans import Channel

PROOF = "device.proof"
"""Kind of the push that shows nothing and that the app acknowledges."""

STALE_DAYS = 30
"""Without contact; FCM delivers little to such an address (its documentation calls it stale)."""

DEAD_DAYS = 270
"""Android's addresses end then; Apple's have to be aged by us."""

UNPROVEN_DAYS = 7
"""Since the last acknowledgement, after which a proof is asked for."""


class Word(Struct, frozen=True, kw_only=True):
    """Something that was heard of texts to a number, or of pushes to a person."""

    channel: str
    at: datetime
    code: str | None
    """The provider's, of a refusal that is final for the channel; null for a proof."""
    proven: bool


class KnownDevice(Struct, frozen=True, kw_only=True):
    """A device, as far as this goes."""

    dead: bool
    """The provider said that its address is gone, or it aged to death."""
    stale: bool


class ChannelReadiness(Struct, frozen=True, kw_only=True):
    """One way to reach somebody."""

    channel: str
    able: bool
    """It would be tried, and nothing is known that speaks against it."""
    why: str | None
    """What speaks against it: `no_number`, `opted_out`, `twilio_` and a code; `no_device`,
    `device_dead`, `device_stale`. Null where able."""
    proven_at: datetime | None
    """When it last worked: by the carrier's word, or acknowledged by the app. Null: not lately."""


def of_texts(*, has_number: bool, opted_out: bool, words: Sequence[Word]) -> ChannelReadiness:
    """Texts to the number that is known now; ``words`` are those about this number."""
    newest = max(words, key=lambda word: word.at, default=None)
    why = None
    if not has_number:
        why = "no_number"
    elif opted_out:
        why = "opted_out"
    elif newest is not None and not newest.proven:
        why = f"twilio_{newest.code or 'refused'}"
    return ChannelReadiness(
        channel=str(Channel.SMS), able=why is None, why=why, proven_at=_proven(words)
    )


def of_pushes(devices: Sequence[KnownDevice], words: Sequence[Word]) -> ChannelReadiness:
    """Pushes to all devices."""
    why = None
    if not devices:
        why = "no_device"
    elif all(device.dead for device in devices):
        why = "device_dead"
    elif all(device.dead or device.stale for device in devices):
        why = "device_stale"
    return ChannelReadiness(
        channel=str(Channel.PUSH), able=why is None, why=why, proven_at=_proven(words)
    )


def _proven(words: Iterable[Word]) -> datetime | None:
    return max((word.at for word in words if word.proven), default=None)
