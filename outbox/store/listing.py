"""Lists of notifications, newest first, in pages that a cursor continues."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, union_all
from sqlalchemy.sql import ColumnElement

from outbox.domain.ids import SHARDS, parse_id, time_of_id
from outbox.domain.states import State, Work
from outbox.store import tables
from outbox.store.reading import Reading
from outbox.store.reads import OF_DUE, SKEW, SUMMARY, id_at, summary_of
from outbox.store.views import LIVE, Filter, Page, Summary

_WINDOWS = (timedelta(days=1), timedelta(days=8))
"""A list looks at the newest day first, then further back, so that most plans stay small."""

_n, _d = tables.notification, tables.due


def notifications(wanted: Filter) -> Reading[Page]:
    """Notifications that fit, newest first."""
    found: list[Summary] = []
    for low, high in _windows(wanted):
        rows = yield _listed(wanted, low, high, wanted.limit + 1 - len(found))
        found += [Summary(**summary_of(row)) for row in rows]
        if len(found) > wanted.limit:
            return Page(found[: wanted.limit], found[wanted.limit - 1].id)
    return Page(found, None)


def _windows(wanted: Filter) -> Iterator[tuple[UUID, UUID]]:
    """Ranges of ids from the newest to the oldest: lower bound included, upper excluded."""
    end = datetime.now(UTC) if wanted.before is None else time_of_id(wanted.before)
    high = wanted.before or id_at(end, slack=-SKEW)
    floor = UUID(int=0) if wanted.since is None else id_at(wanted.since, slack=SKEW)
    for window in _WINDOWS:
        low = max(floor, id_at(end, slack=window))
        if low < high:
            yield low, high
        high = low
    if floor < high:
        yield floor, high


def _listed(wanted: Filter, low: UUID, high: UUID, limit: int) -> Select[Any]:
    # One branch per shard: each walks its primary key backwards and stops at the limit.
    branches = [
        select(*SUMMARY)
        .select_from(_n.join(_d, OF_DUE, isouter=wanted.state not in LIVE))
        .where(_n.c.shard == shard, _n.c.id >= low, _n.c.id < high, *_conditions(wanted))
        .order_by(_n.c.id.desc())
        .limit(limit)
        for shard in range(SHARDS)
    ]
    every = union_all(*(branch.subquery().select() for branch in branches)).subquery()
    return select(every).order_by(every.c.id.desc()).limit(limit)


def _conditions(wanted: Filter) -> Iterator[ColumnElement[bool]]:
    if wanted.kind is not None:
        yield _n.c.kind == wanted.kind
    if wanted.recipient is not None:
        yield _n.c.recipient == wanted.recipient
    if wanted.phone_hashes:
        yield _n.c.phone_hash.in_(wanted.phone_hashes)
    if wanted.since is not None:
        yield _n.c.created_at >= wanted.since
    if wanted.state in {*LIVE, State.PARKED}:
        # An index holds those that have no end yet: they are few.
        yield _n.c.final_at.is_(None)
    if wanted.state in LIVE:
        yield _n.c.state == State.OPEN
        yield _live(wanted.state)
    elif wanted.state is not None:
        yield _n.c.state == wanted.state


def _live(state: str | None) -> ColumnElement[bool]:
    """The due row of a live state; the same rule as `live_state`."""
    if state == "awaiting_receipt":
        return _d.c.work.in_((Work.AWAIT, Work.ASK))
    waits = _d.c.work.in_((Work.SEND, Work.HOLD))
    if state == "sending":
        return (_d.c.work == Work.RESOLVE) | (waits & _d.c.owner.is_not(None))
    return waits & _d.c.owner.is_(None)


def encode_cursor(cursor: UUID) -> str:
    """A cursor as text, opaque to whoever passes it back."""
    return cursor.hex


def decode_cursor(text: str) -> UUID | None:
    """What `encode_cursor` made, or null."""
    cursor = parse_id(text)
    try:
        return None if cursor is None or time_of_id(cursor) is None else cursor
    except (ValueError, OverflowError):
        # A year that no clock shows.
        return None
