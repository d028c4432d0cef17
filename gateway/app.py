"""The app factory: routes, limits, problem details, and the resources behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.types import ControllerRouterHandler

from gateway import (
    accounts,
    acknowledging,
    actions,
    events,
    health,
    holds,
    inbound,
    inbox,
    notifications,
    opening,
    problem_pages,
    readiness,
    receipts,
    recipients,
    stream,
    stripe_webhooks,
    topics,
    verifications,
    webhooks,
)
from gateway.failures import HANDLERS
from gateway.head import HeadAndOptions
from gateway.health import Readings
from gateway.measuring import Measured
from gateway.openapi import openapi_config
from gateway.resources import open_resources
from gateway.shedding import Shedding
from gateway.single import SingleEvents
from outbox.settings import Settings

MAX_BODY_BYTES = 1024 * 1024

ROUTES: tuple[ControllerRouterHandler, ...] = (
    events.router,
    stream.router,
    recipients.router,
    opening.router,
    readiness.router,
    topics.router,
    notifications.router,
    actions.router,
    receipts.router,
    verifications.router,
    accounts.router,
    webhooks.router,
    inbound.router,
    stripe_webhooks.router,
    inbox.router,
    holds.router,
    acknowledging.router,
    health.router,
    problem_pages.router,
)


def create_app(settings: Settings) -> Litestar:
    """The gateway's ASGI app; `SettingsError` at once when it could never accept anything."""
    settings.require_database()

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with open_resources(settings) as resources:
            app.state.resources = resources
            app.state.readings = Readings(resources)
            measured.tracer = resources.tracer
            yield

    app = Litestar(
        ROUTES,
        lifespan=[lifespan],
        exception_handlers=HANDLERS,
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=openapi_config(),
        # Faults are logged where they are turned into a problem (`gateway.failures`).
        logging_config=None,
    )
    # Set when the process is to end: what could go on for ever stops itself.
    app.state.draining = asyncio.Event()
    measured = Measured(Shedding(SingleEvents(app, HeadAndOptions(app.asgi_handler))))
    app.asgi_handler = measured
    return app
