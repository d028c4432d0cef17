"""The audit's rules, asked of the ledger: one read-only snapshot a shard; names who breaks one.

Nothing here changes anything; what cannot be asked of one shard is asked of all in a snapshot of
its own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from msgspec import Struct

from outbox.domain import plans
from outbox.domain.audit import (
    AHEAD_DAYS,
    OVERDUE_S,
    UNAPPLIED_S,
    Found,
    offender,
)
from outbox.domain.facts import Head
from outbox.domain.receipts import RANKS
from outbox.domain.states import Lane
from outbox.store.connect import Connection, Role, conninfo
from outbox.store.sql import rows, statement

NOTHING = UUID(int=0)
"""Below every id."""

_LATE_S = 60.0
"""By so much a deadline may lie further ahead than its plan says."""


class Scope(Struct, frozen=True, kw_only=True):
    """What is looked at."""

    low: UUID = NOTHING
    """Smallest id."""
    since: datetime | None = None
    """Accepted at or after this; null: everything."""
    ids: Sequence[UUID] | None = None
    """These notifications alone; null: all."""
    most: int = 20
    """Offenders to be named for each rule, and shard."""
    stored_since: datetime | None = None
    """Keys and events that were stored since; null: all."""


class Shard(Struct, frozen=True):
    """What the snapshot of a shard, or of some, showed."""

    classes: dict[tuple[str, date, str], int]
    """Notifications by kind, day, and class: final, pending or parked."""
    found: list[Found]


@asynccontextmanager
async def auditor(database_url: str) -> AsyncIterator[Connection]:
    """A connection of the audit's own: its reading may last longer than a transaction."""
    target = conninfo(database_url, Role.AUDITOR, application="pruuf audit")
    async with await psycopg.AsyncConnection.connect(target, autocommit=True) as connection:
        await connection.execute("SET transaction_timeout = 0")
        await connection.execute("SET idle_in_transaction_session_timeout = 0")
        # To compile what runs for a second takes longer than to run it.
        await connection.execute("SET jit = off")
        yield connection


@asynccontextmanager
async def snapshot(connection: Connection) -> AsyncIterator[None]:
    """One moment of the database, in which nothing can be written."""
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


async def lives(connection: Connection, shards: Sequence[int], scope: Scope) -> Shard:
    """Every notification with all that belongs to it; to be called in a `snapshot`."""
    given = {
        "shards": list(shards),
        "low": scope.low,
        "ids": None if scope.ids is None else list(scope.ids),
        "most": scope.most,
    }
    overdue = [OVERDUE_S[lane] for lane in Lane]
    classes: Counter[tuple[str, date, str]] = Counter()
    wrong: defaultdict[str, list[tuple[int, list[str]]]] = defaultdict(list)
    for row in await _rows(connection, "audit_lives", {**given, "overdue_s": overdue}):
        kind, day, standing, checks, number, ids = row
        if standing is not None:
            classes[kind, day, standing] += number
        for check in checks:
            wrong[check].append((number, [str(each) for each in ids]))
    for check, number, ids in _unplanned(await _rows(connection, "audit_plans", given)):
        wrong[check].append((number, [str(each) for each in ids]))
    found = [
        Found(
            check,
            sum(number for number, _ in groups),
            tuple(offender(check, name) for _, names in groups for name in names),
        )
        for check, groups in wrong.items()
    ]
    return Shard(dict(classes), found)


async def beside(connection: Connection, shard: int, scope: Scope) -> list[Found]:
    """Receipts, opt-outs and codes of a shard; to be called in a `snapshot`."""
    ranks = [
        {"source": source, "status": status, "rank": rank}
        for (source, status), rank in RANKS.items()
    ]
    given = {"shard": shard, "low": scope.low, "most": scope.most, "ranks": rows(ranks)}
    return list(_named(await _rows(connection, "audit_rest", given)))


async def around(
    connection: Connection,
    shards: Sequence[int],
    *,
    members: Sequence[str] | None = None,
    most: int = 20,
) -> list[Found]:
    """Alerts of these Members, or all, and the queues; to be called in a `snapshot`."""
    given = {
        "shards": list(shards),
        "most": most,
        "members": None if members is None else list(members),
    }
    alerts = _named(await _rows(connection, "audit_alerts", given))
    return [*alerts, *await queues(connection, shards, most=most)]


async def queues(connection: Connection, shards: Sequence[int], *, most: int = 20) -> list[Found]:
    """Queues, their marks and the inbox; to be called in a `snapshot`."""
    given = {"shards": list(shards), "most": most, "unapplied_s": UNAPPLIED_S}
    return list(_named(await _rows(connection, "audit_queues", given)))


async def across(connection: Connection, scope: Scope) -> list[Found]:
    """What joins shards: keys, answers and partitions; to be called in a `snapshot`."""
    given = {"low": scope.low, "most": scope.most, "since": scope.stored_since or "-infinity"}
    missing = await _rows(connection, "audit_partitions", {"ahead": AHEAD_DAYS})
    found = [
        *_named(await _rows(connection, "audit_keys", given)),
        *_named(await _rows(connection, "audit_answers", given)),
    ]
    if missing:
        names = tuple(offender("partition_missing", name) for (name,) in missing)
        found.append(Found("partition_missing", len(names), names))
    return found


async def accepted(
    connection: Connection, shard: int, head: Head | None
) -> dict[tuple[str, date, str], int]:
    """What was accepted: as counted when it came into a root, and what has come since."""
    until = None if head is None else head.until
    cursor = await connection.execute(
        "SELECT kind, day, sum(number)::bigint FROM ("
        " SELECT kind, day, accepted AS number FROM audit_count WHERE shard = %(shard)s"
        " UNION ALL SELECT kind, (created_at AT TIME ZONE 'UTC')::date, count(*) FROM notification"
        " WHERE shard = %(shard)s AND created_at >= %(until)s GROUP BY 1, 2) c GROUP BY 1, 2",
        {"shard": shard, "until": until or "-infinity"},
        prepare=False,
    )
    return {(kind, day, "accepted"): number for kind, day, number in await cursor.fetchall()}


async def _rows(connection: Connection, name: str, given: dict[str, Any]) -> list[Any]:
    # Unprepared: a plan for any values would not know whether ids were given.
    cursor = await connection.execute(statement(name), given, prepare=False, binary=True)
    return await cursor.fetchall()


def _named(answer: Sequence[tuple[list[str], int, list[str]]]) -> Iterator[Found]:
    for checks, number, names in answer:
        for check in checks:
            yield Found(check, number, tuple(offender(check, name) for name in names))


def _unplanned(answer: Sequence[tuple[Any, ...]]) -> Iterator[tuple[str, int, list[UUID]]]:
    """What only the plan can judge."""
    for stored, lane, taken, step, expires_after_s, receipt_left_s, number, ids in answer:
        try:
            plan = plans.decode(bytes(stored))
            planned_lane = plan.lane_number
        except (msgspec.MsgspecError, KeyError):
            yield "plan_unreadable", number, ids
            continue
        if planned_lane != lane:
            yield "plan_of_other_lane", number, ids
        if max(taken, step or 0) > len(plan.steps):
            yield "step_beyond", number, ids
            continue
        if expires_after_s is not None and abs(expires_after_s - plan.expires_after_s) > 1:
            yield "expiry_unexplained", number, ids
        if receipt_left_s is not None:
            within_s = plan.steps[step].receipt_within_s if step < len(plan.steps) else None
            if receipt_left_s > (within_s or 0) + _LATE_S:
                yield "waits_too_long", number, ids
