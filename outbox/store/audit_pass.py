"""A pass each minute: what is not final, what has changed since, and some older roots anew.

Whatever it reads is found by an index, so that it costs what happened, not what is stored.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from msgspec import Struct

from outbox.domain.audit import OVERDUE_S, Found, gathered, offender
from outbox.domain.facts import Head, Seals
from outbox.domain.ids import SHARDS
from outbox.domain.states import Lane
from outbox.store import audit, audit_check, audit_roots
from outbox.store.audit import Scope, snapshot
from outbox.store.audit_check import Span
from outbox.store.connect import Connection
from outbox.store.sql import statement

EVERY_S = 60.0
_ALL = list(range(SHARDS))
_AT_ONCE = 20_000
"""Notifications that are looked at by one statement."""
_OVERLAP = timedelta(seconds=audit_roots.LAG_S)
"""What commits late is older than the pass before."""
_FIRST = timedelta(minutes=10)
_TURNS = 256
_OF_ALL = frozenset(
    {
        "open_without_due",
        "final_with_due",
        "due_without_notification",
        "overdue",
        "open_at_rest",
    }
)
"""Checks that `_open` makes of everything."""
_ANEW = 10_000
"""Facts whose roots are checked anew in each pass."""
_DAY = timedelta(days=1)
_NEXT = (
    "SELECT min(first.minute) FROM unnest(%(shards)s::smallint[]) s(shard) CROSS JOIN LATERAL ("
    " SELECT minute FROM audit_root r WHERE r.shard = s.shard"
    " AND r.minute >= coalesce(%(begin)s::timestamptz, '-infinity') ORDER BY minute LIMIT 1) first"
)
_MINUTES = (
    "SELECT minute, sum(facts) FROM audit_root WHERE shard = ANY(%(shards)s)"
    " AND minute >= %(begin)s::timestamptz AND minute < %(begin)s::timestamptz + interval '1 day'"
    " GROUP BY 1 ORDER BY 1"
)
LIMIT = "SET transaction_timeout = '120s'"
"""Of the audit's own session: what reads in one snapshot may take longer than what writes."""
# For what is read here an index is always right, however many the planner thinks they are.
_BY_INDEX = (
    "SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true),"
    " set_config('max_parallel_workers_per_gather', '0', true)"
)

_STORE = (
    "INSERT INTO audit_pass AS p (shard, at, took_s, clean_at, accepted, final, pending, parked,"
    " offenders, checked_until) VALUES (0, %(at)s, %(took_s)s, %(clean_at)s, %(accepted)s,"
    " %(final)s, %(pending)s, %(parked)s, %(offenders)s::jsonb, %(until)s)"
    " ON CONFLICT (shard) DO UPDATE SET at = excluded.at, took_s = excluded.took_s,"
    " clean_at = coalesce(excluded.clean_at, p.clean_at), accepted = excluded.accepted,"
    " final = excluded.final, pending = excluded.pending, parked = excluded.parked,"
    " offenders = excluded.offenders, checked_until = excluded.checked_until"
)
_NEWEST = (
    "SELECT at, took_s, clean_at, accepted, final, pending, parked, offenders::text,"
    " checked_until, now() FROM audit_pass WHERE shard = 0"
)
_ACCEPTED = (
    "SELECT (SELECT coalesce(sum(accepted), 0) FROM audit_count)::bigint"
    " + (SELECT count(*) FROM notification WHERE created_at >= %(until)s)"
)


class Pass(Struct, frozen=True, kw_only=True):
    """What a pass found; as stored."""

    at: datetime
    took_s: float
    clean_at: datetime | None
    accepted: int
    final: int
    """By subtraction: a whole audit counts them."""
    pending: int
    parked: int
    offenders: dict[str, int]
    """By check."""
    until: datetime | None = None
    """From when on older roots are checked next; null: from the beginning."""


async def newest(connection: Connection) -> tuple[Pass | None, float]:
    """The newest pass, whoever made it, and its age in seconds."""
    row = await (await connection.execute(_NEWEST)).fetchone()
    if row is None:
        return None, float("inf")
    fields = dict(zip(Pass.__struct_fields__, row[:-1], strict=True))
    fields["offenders"] = msgspec.json.decode(row[7], type=dict[str, int])
    return Pass(**fields), (row[-1] - row[0]).total_seconds()


async def make(
    connection: Connection, seals: Seals, before: Pass | None, *, most: int = 10
) -> tuple[Pass, list[Found]]:
    """Make a pass and store it; also who was found, by name."""
    began = time.perf_counter()
    await connection.execute(LIMIT)
    async with snapshot(connection):
        await connection.execute(audit_roots.SETTINGS)
        await connection.execute(_BY_INDEX)
        now = await _now(connection)
        since = now - _FIRST if before is None else before.at - _OVERLAP
        counted, found = await _open(connection, most)
        found += await _lives(connection, now, since, most)
        found += await audit.queues(connection, _ALL, most=most)
        found += await audit.across(connection, Scope(most=most, stored_since=since))
        heads = await audit_roots.heads(connection)
        found += _heads(seals, heads)
        begin = None if before is None else before.until
        anew, until = await _anew(connection, seals, heads, begin, most)
        found += anew
        proven = min((head.until for head in heads if head.until), default=None)
        cursor = await connection.execute(_ACCEPTED, {"until": proven or "-infinity"})
        total = await cursor.fetchone()
    accepted = total[0] if total else 0
    found = gathered(found, most=most)
    made = Pass(
        at=now,
        took_s=time.perf_counter() - began,
        clean_at=None if found else now,
        accepted=accepted,
        final=accepted - counted["pending"] - counted["parked"],
        pending=counted["pending"],
        parked=counted["parked"],
        offenders={each.check: each.number for each in found},
        until=until,
    )
    offenders = msgspec.json.encode(made.offenders).decode()
    await connection.execute(_STORE, {**msgspec.structs.asdict(made), "offenders": offenders})
    return made, found


async def _now(connection: Connection) -> datetime:
    row = await (await connection.execute("SELECT now()")).fetchone()
    if row is None:
        msg = "SELECT now() returned nothing"
        raise RuntimeError(msg)
    now: datetime = row[0]
    return now


async def _open(connection: Connection, most: int) -> tuple[Counter[str], list[Found]]:
    """All that is not final, and all that is due: as many of each, and whose fault it is if not."""
    given = {"overdue_s": [OVERDUE_S[lane] for lane in Lane], "most": most}
    cursor = await connection.execute(statement("audit_open"), given, prepare=False, binary=True)
    counted: Counter[str] = Counter()
    found: list[Found] = []
    for standing, checks, number, ids in await cursor.fetchall():
        counted[standing] += number
        found += [
            Found(check, number, tuple(offender(check, str(each)) for each in ids))
            for check in checks
        ]
    return counted, found


async def _lives(connection: Connection, now: datetime, since: datetime, most: int) -> list[Found]:
    """The whole lives of what was touched since, and in turn of some that only wait."""
    given = {"shards": _ALL, "since": since, "turn": int(now.timestamp() // EVERY_S) % _TURNS}
    cursor = await connection.execute(statement("audit_touched"), given, prepare=False, binary=True)
    row = await cursor.fetchone()
    touched: Sequence[UUID] = (row[0] if row else None) or ()
    found: list[Found] = []
    for first in range(0, len(touched), _AT_ONCE):
        scope = Scope(ids=touched[first : first + _AT_ONCE], most=most)
        found += (await audit.lives(connection, _ALL, scope)).found
    return [each for each in found if each.check not in _OF_ALL]


def _heads(seals: Seals, heads: Sequence[Head]) -> list[Found]:
    lost = set(_ALL) - {head.shard for head in heads if seals.is_ours(head)}
    names = tuple(offender("head_wrong", f"{shard}") for shard in sorted(lost))
    return [Found("head_wrong", len(names), names)] if names else []


async def _anew(
    connection: Connection,
    seals: Seals,
    heads: Sequence[Head],
    begin: datetime | None,
    most: int,
) -> tuple[list[Found], datetime | None]:
    """Check some older roots anew; what is found, and where the next pass goes on."""
    sound = [head for head in heads if head.until is not None and seals.is_ours(head)]
    until = max((head.until for head in sound if head.until), default=None)
    row = await (await connection.execute(_NEXT, {"shards": _ALL, "begin": begin})).fetchone()
    if until is None or row is None or row[0] is None:
        return [], None
    end, number = until, 0
    cursor = await connection.execute(_MINUTES, {"shards": _ALL, "begin": row[0]})
    for minute, facts in await cursor.fetchall():
        if number and number + facts > _ANEW:
            end = minute
            break
        number += facts
    end = min(end, row[0] + _DAY)
    found = await audit_check.check(connection, seals, sound, Span(begin=begin, end=end))
    return audit_check.counted(found, most=most), None if end >= until else end
