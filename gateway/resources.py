"""What the routes work with: opened once per process, closed in the reverse order.

Nothing here fails when the database is away: a gateway starts, says so, and accepts as soon as
it can.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Any, cast

from litestar.connection import ASGIConnection
from msgspec import Struct
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from gateway.auth import KeyRing
from gateway.prepare import Preparer
from gateway.tally import Tally
from observability.exporting import tracing
from observability.metrics import GatewayMetrics, new_registry
from observability.outcomes import OutcomeCounter
from observability.tracing import Tracer
from outbox.domain.codes_checks import CHECKS, Checked
from outbox.domain.references import ReferenceSigner
from outbox.drafts import AllClears
from outbox.providers.stripe import StripeBilling
from outbox.providers.transport import PooledTransport
from outbox.sealing import Sealer
from outbox.settings import Settings
from outbox.store import billing_intake, inbox, intake, keys, verifications
from outbox.store.connect import (
    ANSWER_S,
    Connection,
    ImpatientConnection,
    Role,
    connect,
    conninfo,
)
from outbox.store.group_commit import GroupCommit
from outbox.store.inbox import InboxItem
from outbox.store.intake import Accepted, Request
from outbox.store.verifications import Guess, Limited, Opened, Wanted
from outbox.store.wake import Waker

_POOL = 5
_POOL_WAIT_S = 5.0
_OPERATORS = 4
"""Actions of people at once in one process: a storm of cancels must not take the connections that
intake and relays need."""
_FIRST_WITHIN_S = 2.0
_STREAMS = 32
"""Event streams at once in one process; each may hold a few chunks."""


Operators = Callable[[], AbstractAsyncContextManager[Connection]]
Intake = GroupCommit[Request, list[Accepted]]
Inbox = GroupCommit[InboxItem, bool]
Codes = GroupCommit[Wanted, Opened | Limited]
Checks = GroupCommit[Guess, Checked | Limited]


class Resources(Struct, frozen=True, kw_only=True):
    """All that a route may use; ``app.state.resources``."""

    settings: Settings
    metrics: GatewayMetrics
    tracer: Tracer | None
    """Null: nothing is traced."""
    tally: Tally
    sealer: Sealer
    preparer: Preparer
    signer: ReferenceSigner
    stripe: StripeBilling | None
    """For the pages where a card is added; null: billing is off."""
    engine: AsyncEngine
    """For simple reads and writes; its pool holds a few connections."""
    keys: KeyRing
    intake: Intake
    """Events, group-committed."""
    inbox: Inbox
    """Verified callbacks, group-committed."""
    codes: Codes
    """One-time codes that are asked for, on a connection of their own: no flood of them waits
    before an alert."""
    checks: Checks
    """Guesses of such codes."""
    operators: Operators
    """Opens a connection for one action of a person, a few at once, and closes it."""
    waker: Waker
    streams: asyncio.Semaphore
    """Places for event streams."""


def resources_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Resources:
    """The resources of the app that serves this connection."""
    return cast("Resources", connection.app.state.resources)


def gateway_engine(database_url: str) -> AsyncEngine:
    """An engine whose connections assume the gateway's role; connects on first use."""

    async def open_connection() -> ImpatientConnection:
        # conninfo, not a URL: it may name several hosts, which SQLAlchemy's URL would not pass on.
        return await ImpatientConnection.connect(
            conninfo(database_url, Role.GATEWAY, application="pruuf gateway"),
        )

    engine = create_async_engine(
        "postgresql+psycopg://",
        async_creator=open_connection,
        pool_size=_POOL,
        max_overflow=_POOL,
        pool_timeout=_POOL_WAIT_S,
        # A connection that died while nobody used it is replaced, not handed out.
        pool_pre_ping=True,
        hide_parameters=True,
    )

    def lent(pooled: Any, *_: object) -> None:  # noqa: ANN401 - the dialect's own
        pooled.driver_connection.silence_s = None

    def given_back(pooled: Any, *_: object) -> None:  # noqa: ANN401 - the dialect's own
        if pooled is not None:
            # The question whether it lives still comes before it is lent again.
            pooled.driver_connection.silence_s = ANSWER_S

    event.listen(engine.sync_engine, "checkout", lent)
    event.listen(engine.sync_engine, "checkin", given_back)
    return engine


async def _first_connections(*commits: GroupCommit[Any, Any]) -> None:
    """Wait a little, so that the first request after the start is not refused for nothing."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_FIRST_WITHIN_S):
            while not all(commit.connected for commit in commits):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open everything; at the end what was accepted is written before connections close."""
    database_url = settings.require_database()
    metrics = GatewayMetrics(new_registry())
    tally = Tally(OutcomeCounter(metrics.registry, "events", "webhooks"))
    engine = gateway_engine(database_url)
    sealer = Sealer(settings.keys, settings.lookup_keys)
    clears = AllClears(sealer, settings.policy)

    async def write_events(
        connection: Connection,
        requests: Sequence[Request],
    ) -> list[list[Accepted]]:
        metrics.intake_batch.observe(sum(len(request.events) for request in requests))
        return await intake.write(
            connection, requests, clear=clears.draft, record=billing_intake.record
        )

    limits = settings.policy.codes
    request_codes = partial(verifications.request, codes=limits)
    check_codes = partial(verifications.check, most_a_minute=limits.per_caller_minute * CHECKS)

    turns = asyncio.Semaphore(_OPERATORS)

    @asynccontextmanager
    async def operators() -> AsyncIterator[Connection]:
        application = "pruuf gateway operator"
        async with turns, await connect(database_url, Role.GATEWAY, application=application) as one:
            yield one

    def opener(part: str) -> partial[Any]:
        return partial(connect, database_url, Role.GATEWAY, application=f"pruuf gateway {part}")

    ring = KeyRing(
        find=partial(keys.find, engine),
        note_use=partial(keys.note_use, engine),
        clock=time.monotonic,
    )
    try:
        async with (
            tracing(settings.tracing, service="pruuf-gateway", counts=metrics.spans) as tracer,
            PooledTransport() as transport,
            tally.written(opener("tally")),
            Waker(opener("waker")) as waker,
            GroupCommit(
                write=request_codes, connect=opener("codes"), workers=1, name="codes"
            ) as codes,
            GroupCommit(
                write=check_codes, connect=opener("checks"), workers=1, name="checks"
            ) as checks,
            GroupCommit(
                write=inbox.store, connect=opener("inbox"), workers=1, name="inbox"
            ) as inbox_commit,
            GroupCommit(
                write=write_events, connect=opener("intake"), reserved=1, name="intake"
            ) as intake_commit,
        ):
            await _first_connections(intake_commit, inbox_commit, codes, checks)
            yield Resources(
                settings=settings,
                metrics=metrics,
                tracer=tracer,
                tally=tally,
                sealer=sealer,
                preparer=Preparer(sealer, settings.policy, billing=settings.stripe is not None),
                signer=ReferenceSigner(settings.keys),
                stripe=None
                if settings.stripe is None
                else StripeBilling(settings.stripe, transport),
                engine=engine,
                keys=ring,
                intake=intake_commit,
                inbox=inbox_commit,
                codes=codes,
                checks=checks,
                operators=operators,
                waker=waker,
                streams=asyncio.Semaphore(_STREAMS),
            )
    finally:
        await ring.close()
        await engine.dispose()
