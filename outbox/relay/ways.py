"""The ways through the gate: one for each sender of Twilio, and one for each other provider."""

from __future__ import annotations

import random

from outbox.domain.breaker import Breaker
from outbox.domain.rates import rate_of
from outbox.providers.wiring import Providers
from outbox.relay import billing, pushing, texting
from outbox.relay.gate import Way
from outbox.sealing import Sealer
from outbox.settings import Settings
from outbox.store.gates import SenderKey


def ways(settings: Settings, made: Providers, sealer: Sealer) -> list[Way]:
    """All ways, Twilio's by preference; FCM's topics and Stripe have ways of their own."""
    policy = settings.policy
    texts = policy.rates_for(stand_in=settings.twilio_api_base is not None)
    pushes = policy.rates_for(stand_in=settings.fcm_api_base is not None)
    commands = policy.rates_for(
        stand_in=settings.stripe is None or settings.stripe.api_base is not None
    )
    found = [
        Way(
            # A sender is a phone number: others know it by a hash.
            key=SenderKey(texting.PROVIDER, sealer.lookup(sender).hex()[:16]),
            label=str(place),
            rate=rate_of(sender, rates=texts, own=policy.senders),
            breaker=Breaker(random.random),
        )
        for place, sender in enumerate(made.senders, 1)
    ]
    # FCM says by itself when it is too much for its topics, and that way holds up nothing else.
    others = (
        (pushing.PROVIDER, pushes.fcm),
        (pushing.TOPICS, None),
        (billing.PROVIDER, commands.stripe),
    )
    found += [
        Way(key=SenderKey(provider, ""), label="1", rate=rate, breaker=Breaker(random.random))
        for provider, rate in others
    ]
    return found
