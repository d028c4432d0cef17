"""What the relay needs of the providers; their adapters fit without knowing the relay."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from outbox.domain.messages import Page, Push, SentSms, Sms
from outbox.domain.outcomes import Outcome


class SmsProvider(Protocol):
    """Sends texts, and can be asked what it has."""

    async def send(self, sms: Sms) -> Outcome:
        """Send one; never raises for what the provider or the network does."""
        ...

    async def find(self, *, to: str, sent_since: datetime, containing: str) -> Sequence[SentSms]:
        """Messages to this number since then whose text holds the reference.

        Raises the adapter's LookupFailedError when the provider could not be asked.
        """
        ...

    async def fetch(self, provider_id: str) -> SentSms | None:
        """One message by its name; null when there is none. Raises like `find`."""
        ...


class PushProvider(Protocol):
    """Sends pushes; cannot be asked afterwards."""

    async def send(self, push: Push) -> Outcome:
        """Send one; never raises for what the provider or the network does."""
        ...


class TopicProvider(Protocol):
    """Lets devices follow topics; either may be repeated, and then changes nothing."""

    async def subscribe(self, address: str, topic: str) -> Outcome:
        """Let an address follow a topic; never raises for what the provider or the network does."""
        ...

    async def unsubscribe(self, address: str, topic: str) -> Outcome:
        """Let it follow the topic no more. Raises like `subscribe`."""
        ...


class Pager(Protocol):
    """Calls the person on call, by a path of its own."""

    async def send(self, page: Page) -> Outcome:
        """Send one; never raises for what the receiver or the network does."""
        ...
