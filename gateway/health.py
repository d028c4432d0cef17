"""``/healthz``, ``/readyz``, ``/metrics``: alive, able to accept, and in figures.

A gateway that can accept stays in rotation, also when no relay is seen: what it accepts is safe.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import psycopg
from litestar import Request, Response, Router, get
from msgspec import Struct
from prometheus_client.exposition import choose_encoder
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from gateway import examples
from gateway.documented import Answer, documented
from gateway.resources import Resources, resources_of
from outbox.store import tables
from outbox.store.migrate import newest_revision

_WITHIN_S = 2.0
"""Longest that the database may take to answer before it counts as away."""

_AGAIN_S = 1.0
"""Answers are shared for this long: whoever asks, the database is asked once a second."""

_PARTITION_DAYS = 2
_RELAY_SEEN_S = 30


class Check(Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


class Readiness(Struct, frozen=True):
    """Whether events can be accepted."""

    ready: bool
    """False: take this process out of rotation."""
    degraded: bool
    """True: it accepts, but something behind it lags."""
    checks: tuple[Check, ...]


class Alive(Struct, frozen=True):
    """The process answers."""

    alive: bool = True


async def _database(resources: Resources, revision: str) -> list[Check]:
    days = select(func.pruuf_partition_days())
    seen = select(func.count()).select_from(tables.relay)
    interval = text(f"interval '{_RELAY_SEEN_S} seconds'")
    seen = seen.where(tables.relay.c.seen_at > func.now() - interval)
    async with resources.engine.connect() as connection:
        has = await connection.scalar(text("SELECT version_num FROM alembic_version"))
        if has != revision:
            detail = f"the schema is at {has}, this version needs {revision}: pruuf migrate"
            return [Check("database", ok=False, detail=detail)]
        ahead = await connection.scalar(days) or 0
        relays = await connection.scalar(seen) or 0
    noun = "relay" if relays == 1 else "relays"
    return [
        Check("database", ok=True, detail=f"reachable, schema {has}"),
        Check("partitions", ok=ahead >= _PARTITION_DAYS, detail=f"made for {ahead} days"),
        Check("relays", ok=relays > 0, detail=f"{relays} {noun} seen within {_RELAY_SEEN_S} s"),
    ]


class Readings:
    """Looks, and remembers for a second."""

    def __init__(self, resources: Resources) -> None:
        """Take what to look at."""
        self._resources = resources
        self._revision = newest_revision()
        self._lock = asyncio.Lock()
        self._last: tuple[float, Readiness] | None = None

    async def look(self) -> Readiness:
        """What is so now, or was within the last second."""
        async with self._lock:
            now = time.monotonic()
            if self._last is None or now - self._last[0] > _AGAIN_S:
                self._last = (now, await self._look())
            return self._last[1]

    async def _look(self) -> Readiness:
        try:
            async with asyncio.timeout(_WITHIN_S):
                checks = await _database(self._resources, self._revision)
        except TimeoutError:
            checks = [Check("database", ok=False, detail=f"no answer within {_WITHIN_S:.0f} s")]
        except (DBAPIError, PoolTimeoutError, psycopg.Error) as error:
            cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
            detail = f"cannot be used ({type(cause).__name__})"
            checks = [Check("database", ok=False, detail=detail)]
        workers = self._resources.intake.connected
        connected = f"{workers} connections" if workers else "no database connection"
        checks.append(Check("intake", ok=workers > 0, detail=connected))
        checks.append(self._inbox())
        # Without a relay nothing is sent, but nothing is lost either.
        return Readiness(
            ready=all(check.ok for check in checks if check.name != "relays"),
            degraded=not all(check.ok for check in checks),
            checks=tuple(checks),
        )

    def _inbox(self) -> Check:
        workers = self._resources.inbox.connected
        detail = "connected" if workers else "no database connection"
        return Check("inbox", ok=workers > 0, detail=detail)


@get("/healthz", sync_to_thread=False, opt=documented(answers={200: Answer("Alive", Alive)}))
def healthz() -> Alive:
    """Whether the process is alive; says nothing of the database."""
    return Alive()


@get(
    "/readyz",
    opt=documented(
        answers={
            200: Answer("Able to accept events", Readiness, examples={"no relay": examples.READY}),
            503: Answer("Not able to accept events", Readiness),
        },
    ),
)
async def readyz(request: Request[Any, Any, Any]) -> Response[Readiness]:
    """Whether events can be accepted; 503 only when they cannot."""
    readings: Readings = request.app.state.readings
    readiness = await readings.look()
    headers = {"Cache-Control": "no-store"}
    return Response(readiness, status_code=200 if readiness.ready else 503, headers=headers)


@get(
    "/metrics",
    sync_to_thread=False,
    opt=documented(answers={200: Answer("Figures", str, "text/plain")}),
)
def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Everything this process counts, as Prometheus' text, or as OpenMetrics if asked for."""
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    # The framework adds the character set to every text.
    media_type, _, _ = content_type.partition("; charset")
    return Response(encode(resources_of(request).metrics.registry), media_type=media_type)


router = Router("/", route_handlers=[healthz, readyz, metrics], tags=["health"])
