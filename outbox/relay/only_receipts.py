"""Receipts alone: what Twilio's list told after a restore counts before anything is sent again."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from observability.relay_metrics import RelayMetrics
from outbox.providers.wiring import providers
from outbox.relay.process import Relay
from outbox.settings import Settings


async def apply_receipts(settings: Settings) -> int:
    """Apply what lies in the inbox, and do nothing else; how much that was.

    Raises SettingsError when a provider's settings are missing.
    """
    async with providers(settings) as made:
        relay = Relay(settings, made, RelayMetrics(CollectorRegistry()))
        try:
            return await relay.parts.applier.to_the_end()
        finally:
            for session in relay.parts.sessions:
                await session.drop()
