"""The real providers of one process, made from its settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

from outbox.providers.fcm import FcmPush
from outbox.providers.operator import OperatorWebhook
from outbox.providers.operator_mail import OperatorMail
from outbox.providers.operator_paths import Operator, Path
from outbox.providers.stripe import StripeBilling
from outbox.providers.transport import PooledTransport, Transport
from outbox.providers.twilio import TwilioSms
from outbox.settings import Settings, StripeSettings

STATUS_PATH = "/webhooks/twilio/status"


class Providers(Struct, frozen=True):
    """All that a relay calls."""

    sms: TwilioSms
    push: FcmPush
    pager: Operator
    stripe: StripeBilling | None
    """Null: billing is off."""
    senders: tuple[str, ...]


@asynccontextmanager
async def providers(settings: Settings) -> AsyncIterator[Providers]:
    """Open the providers; raises SettingsError when settings are missing.

    Each has its own pool, so that one that hangs holds nobody else's connections.
    """
    twilio, fcm = settings.require_twilio(), settings.require_fcm()
    async with (
        PooledTransport() as texts,
        PooledTransport() as pushes,
        PooledTransport() as pages,
        PooledTransport() as commands,
    ):
        yield Providers(
            sms=TwilioSms(twilio, texts, callback=settings.public_url + STATUS_PATH),
            push=FcmPush(fcm, pushes),
            pager=operator(settings, pages),
            stripe=None if settings.stripe is None else StripeBilling(settings.stripe, commands),
            senders=twilio.senders,
        )


@asynccontextmanager
async def texts(settings: Settings) -> AsyncIterator[TwilioSms]:
    """Twilio alone; raises SettingsError when its settings are missing."""
    twilio = settings.require_twilio()
    async with PooledTransport() as transport:
        yield TwilioSms(twilio, transport, callback=settings.public_url + STATUS_PATH)


@asynccontextmanager
async def billing(stripe: StripeSettings) -> AsyncIterator[StripeBilling]:
    """Stripe alone."""
    async with PooledTransport() as transport:
        yield StripeBilling(stripe, transport)


def operator(settings: Settings, transport: Transport) -> Operator:
    """Every configured path to the person on call."""
    paths: dict[str, Path] = {}
    if settings.operator_webhook is not None:
        paths["webhook"] = OperatorWebhook(settings.operator_webhook, transport)
    if settings.operator_smtp is not None:
        paths["mail"] = OperatorMail(settings.operator_smtp)
    return Operator(paths)
