"""The app factory: routes, limits, problem details, and the resources behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.types import ControllerRouterHandler

from gateway import events, health, notifications, problem_pages, receipts, recipients, webhooks
from gateway.failures import HANDLERS
from gateway.health import Readings
from gateway.measuring import Measured
from gateway.openapi import openapi_config
from gateway.resources import open_resources
from outbox.settings import Settings

MAX_BODY_BYTES = 1024 * 1024

ROUTES: tuple[ControllerRouterHandler, ...] = (
    events.router,
    recipients.router,
    notifications.router,
    receipts.router,
    webhooks.router,
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
    app.asgi_handler = Measured(app.asgi_handler)
    return app
