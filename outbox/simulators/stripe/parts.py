"""Puts the parts of the simulated Stripe together."""

from __future__ import annotations

from dataclasses import dataclass

from outbox.simulators.callbacks import Callbacks
from outbox.simulators.credentials import Credentials
from outbox.simulators.faults import Faults
from outbox.simulators.ledger import Ledger
from outbox.simulators.stripe import catalog
from outbox.simulators.stripe.api import StripeApi
from outbox.simulators.stripe.clocks import Clocks
from outbox.simulators.stripe.clockwork import Clockwork
from outbox.simulators.stripe.control import StripeControl
from outbox.simulators.stripe.events import EVENT, Event, Events
from outbox.simulators.stripe.idempotency import Keys
from outbox.simulators.stripe.store import Store
from outbox.simulators.stripe.webhooks import Webhooks
from outbox.simulators.stripe.world import World


@dataclass(slots=True)
class Stripe:
    """What the application needs of it."""

    api: StripeApi
    control: StripeControl
    clockwork: Clockwork
    webhooks: Webhooks

    async def close(self) -> None:
        """Let no more time pass, and start no more deliveries."""
        await self.clockwork.close()
        self.webhooks.close()


def build(
    *,
    ledger: Ledger,
    callbacks: Callbacks,
    faults: Faults,
    credentials: Credentials,
    app: str | None,
) -> Stripe:
    """The simulated Stripe as the ledger's file knows it; needs a running loop."""
    store = Store(ledger, types={EVENT: Event})
    clocks = Clocks(store)
    webhooks = Webhooks(
        store=store,
        clock=clocks.account,
        callbacks=callbacks,
        faults=faults,
        app=app,
    )
    events = Events(store, made=webhooks.made)
    webhooks.resume(events)
    world = World(
        store=store,
        clocks=clocks,
        events=events,
        webhooks=webhooks,
        faults=faults,
    )
    world.settings |= store.get("meta", "settings") or {}
    events.version = world.settings.get("api_version", events.version)
    catalog.prepare(world)
    store.soon()
    clockwork = Clockwork(world)
    api = StripeApi(
        world=world,
        clockwork=clockwork,
        faults=faults,
        keys=Keys(store, clocks.account),
        credentials=credentials,
    )
    clockwork.wake()
    control = StripeControl(world=world, clockwork=clockwork)
    return Stripe(api, control, clockwork, webhooks)
