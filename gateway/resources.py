"""What the routes work with: opened once per process, closed in the reverse order.

Nothing here fails when the database is away: a gateway starts, says so, and accepts as soon as
it can.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import psycopg
from litestar.connection import ASGIConnection
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from gateway.auth import KeyRing
from observability.metrics import GatewayMetrics, new_registry
from outbox.domain.references import ReferenceSigner
from outbox.sealing import Sealer
from outbox.settings import Settings
from outbox.store import inbox, intake, keys
from outbox.store.connect import Connection, Role, connect, conninfo
from outbox.store.group_commit import GroupCommit
from outbox.store.inbox import InboxItem
from outbox.store.intake import Accepted, Request
from outbox.store.wake import Waker

_POOL = 5
_POOL_WAIT_S = 5.0

Intake = GroupCommit[Request, list[Accepted]]
Inbox = GroupCommit[InboxItem, bool]


class Resources(Struct, frozen=True, kw_only=True):
    """All that a route may use; ``app.state.resources``."""

    settings: Settings
    metrics: GatewayMetrics
    sealer: Sealer
    signer: ReferenceSigner
    engine: AsyncEngine
    """For simple reads and writes; its pool holds a few connections."""
    keys: KeyRing
    intake: Intake
    """Events, group-committed."""
    inbox: Inbox
    """Verified callbacks, group-committed."""
    waker: Waker


def resources_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Resources:
    """The resources of the app that serves this connection."""
    return cast("Resources", connection.app.state.resources)


def gateway_engine(database_url: str) -> AsyncEngine:
    """An engine whose connections assume the gateway's role; connects on first use."""

    async def open_connection() -> psycopg.AsyncConnection[Any]:
        # conninfo, not a URL: it may name several hosts, which SQLAlchemy's URL would not pass on.
        return await psycopg.AsyncConnection.connect(
            conninfo(database_url, Role.GATEWAY, application="pruuf gateway"),
        )

    return create_async_engine(
        "postgresql+psycopg://",
        async_creator=open_connection,
        pool_size=_POOL,
        max_overflow=_POOL,
        pool_timeout=_POOL_WAIT_S,
        # A connection that died while nobody used it is replaced, not handed out.
        pool_pre_ping=True,
        hide_parameters=True,
    )


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open everything; at the end what was accepted is written before connections close."""
    database_url = settings.require_database()
    metrics = GatewayMetrics(new_registry())
    engine = gateway_engine(database_url)

    async def write_events(
        connection: Connection,
        requests: Sequence[Request],
    ) -> list[list[Accepted]]:
        metrics.intake_batch.observe(sum(len(request.events) for request in requests))
        return await intake.write(connection, requests)

    def opener(part: str) -> partial[Any]:
        return partial(connect, database_url, Role.GATEWAY, application=f"pruuf gateway {part}")

    ring = KeyRing(
        find=partial(keys.find, engine),
        note_use=partial(keys.note_use, engine),
        clock=time.monotonic,
    )
    try:
        async with (
            Waker(opener("waker")) as waker,
            GroupCommit(write=inbox.store, connect=opener("inbox"), workers=1) as inbox_commit,
            GroupCommit(write=write_events, connect=opener("intake")) as intake_commit,
        ):
            yield Resources(
                settings=settings,
                metrics=metrics,
                sealer=Sealer(settings.keys, settings.lookup_keys),
                signer=ReferenceSigner(settings.keys),
                engine=engine,
                keys=ring,
                intake=intake_commit,
                inbox=inbox_commit,
                waker=waker,
            )
    finally:
        await ring.close()
        await engine.dispose()
