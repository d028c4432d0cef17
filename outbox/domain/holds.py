"""Holds: a person keeps every relay from calling a provider, or one sender of it, for a while.

A held provider is to the relays what one with an open breaker is: no try is used up, an alert
takes its next step at once, everything else waits. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from outbox.domain.plans import Channel

LONGEST_S = 86_400
"""What is forgotten ends by itself, and a day is longer than anybody is on call."""

CHANNELS: Mapping[str, tuple[Channel, ...]] = {
    "twilio": (Channel.SMS,),
    "fcm": (Channel.PUSH, Channel.TOPIC, Channel.TOPICS),
    "fcm_topics": (Channel.TOPIC, Channel.TOPICS),
    "stripe": (Channel.STRIPE,),
}
"""Providers that can be held, and what goes through each. The operator's own path cannot be: it is
what is left when nothing else is."""

_CARRIES = {channel: provider for provider, known in CHANNELS.items() for channel in known}


class Sender(Struct, frozen=True):
    """One sender of one provider, as the relays share it."""

    provider: str
    sender: str
    """Keyed hash; empty where the provider has no senders."""
    usable: bool
    """It is neither held, nor stopped by a majority of the relays."""


def covers(provider: str, sender: str, other: Sender) -> bool:
    """Whether a hold of ``provider`` and ``sender`` (empty: all of it) is one of ``other`` too.

    Whoever holds FCM holds its topics.
    """
    return other.provider.startswith(provider) and sender in {"", other.sender}


def down_with(provider: str, sender: str, senders: Iterable[Sender]) -> list[Channel]:
    """Channels by which nothing could go while this were held, with all that is not usable now."""
    known = list(senders)
    down = []
    for channel, carrier in _CARRIES.items():
        ways = [each for each in known if each.provider == carrier]
        if not ways:
            # No relay has said yet what it calls: only the whole is sure.
            ways = [Sender(carrier, "", usable=True)]
        if not any(each.usable and not covers(provider, sender, each) for each in ways):
            down.append(channel)
    return down
