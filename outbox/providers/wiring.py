"""The real providers of one process, made from its settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

from outbox.providers.fcm import FcmPush
from outbox.providers.operator import OperatorWebhook
from outbox.providers.transport import PooledTransport
from outbox.providers.twilio import TwilioSms
from outbox.settings import Settings

STATUS_PATH = "/webhooks/twilio/status"


class Providers(Struct, frozen=True):
    """All that a relay calls."""

    sms: TwilioSms
    push: FcmPush
    pager: OperatorWebhook
    senders: tuple[str, ...]


@asynccontextmanager
async def providers(settings: Settings) -> AsyncIterator[Providers]:
    """Open the providers; raises SettingsError when settings are missing.

    Each has its own pool, so that one that hangs holds nobody else's connections.
    """
    twilio, fcm = settings.require_twilio(), settings.require_fcm()
    async with PooledTransport() as texts, PooledTransport() as pushes, PooledTransport() as pages:
        yield Providers(
            sms=TwilioSms(twilio, texts, callback=settings.public_url + STATUS_PATH),
            push=FcmPush(fcm, pushes),
            pager=OperatorWebhook(settings.operator_webhook, pages),
            senders=twilio.senders,
        )
