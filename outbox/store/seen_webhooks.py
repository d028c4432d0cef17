"""How callbacks fare, for their page: how long they wait, what they were about, which failed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg
from msgspec import Struct

from outbox.domain.ids import SHARDS
from outbox.store.reads import SKEW, id_at
from outbox.store.sql import statement

_MOST_OF_A_SHARD = 3_000
_MOST_TYPES = 100_000


class Lag(Struct, frozen=True, kw_only=True):
    """From arrival to effect."""

    provider: str
    n: int
    """How many it is judged by."""
    p50_s: float
    p99_s: float


class TypeSeen(Struct, frozen=True, kw_only=True):
    """Webhooks of Stripe that were alike."""

    type: str
    result: str
    n: int
    newest: datetime


def lags(
    connection: psycopg.Connection[Any], *, now: datetime, length: timedelta
) -> dict[str, Lag]:
    """By provider."""
    found = connection.execute(
        statement("seen_lag"),
        {
            "shards": list(range(SHARDS)),
            "low_id": id_at(now - length, slack=SKEW),
            "most": _MOST_OF_A_SHARD,
        },
    )
    return {
        provider: Lag(provider=provider, n=n, p50_s=waits[0], p99_s=waits[1])
        for provider, n, waits in found
    }


def types(connection: psycopg.Connection[Any], *, since: datetime) -> list[TypeSeen]:
    """What Stripe told of, what needs a look first."""
    found = connection.execute(statement("seen_types"), {"since": since, "most": _MOST_TYPES})
    return [
        TypeSeen(type=type_, result=result, n=n, newest=newest)
        for type_, result, n, newest in found
    ]
