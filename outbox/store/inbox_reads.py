"""Callbacks that could not be applied, for those who look after them; bodies stay sealed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from sqlalchemy import Boolean, RowMapping, Select, func, literal_column, select, union_all
from sqlalchemy.sql import ColumnElement

from outbox.domain.ids import SHARDS, shard_of_id
from outbox.store import tables
from outbox.store.inbox import TEXTS
from outbox.store.reading import Reading
from outbox.store.reads import SKEW, id_at

PROVIDERS = ("stripe", "twilio", TEXTS, "app")
"""Who calls back; texts from people are apart from Twilio's receipts."""

CANNOT = "cannot be "
"""How the note of a callback begins that could not be applied; an index is made of them."""

_inbox, _action = tables.inbox, tables.inbox_action


class Wanted(Struct, frozen=True, kw_only=True):
    """Which failed callbacks a list is about."""

    provider: str | None = None
    since: datetime | None = None
    """Received at or after it."""
    before: UUID | None = None
    """Where the page before ended."""
    limit: int = 50


class Failed(Struct, frozen=True, kw_only=True):
    """A callback that could not be applied."""

    id: UUID
    provider: str
    received_at: datetime
    tried_at: datetime
    """The last time."""
    tries: int
    """How often it was tried to its end."""
    error: str
    """Why it could not be applied the last time."""


class Failures(Struct, frozen=True):
    """A part of their list."""

    items: list[Failed]
    next: UUID | None
    """Null when this is the last."""


class Redrive(Struct, frozen=True, kw_only=True):
    """Somebody asked that it be tried again."""

    at: datetime
    actor: str
    reason: str
    result: str
    """``redriven``; ``in_flight``; ``already_final``."""
    error: str | None
    """Why it had failed before; null where nothing had."""


class Kept(Struct, frozen=True, kw_only=True):
    """One callback, applied or not."""

    id: UUID
    provider: str
    said: str
    """What makes it unique, as the provider named it."""
    body: bytes
    """Sealed; empty once it was erased."""
    received_at: datetime
    done_at: datetime | None
    note: str | None
    redrives: list[Redrive]
    """Oldest first."""

    @property
    def state(self) -> str:
        """``waiting``, ``applied`` or ``failed``."""
        if self.done_at is None:
            return "waiting"
        return "failed" if (self.note or "").startswith(CANNOT) else "applied"

    @property
    def tries(self) -> int:
        """How often it was tried to its end."""
        again = sum(each.result == "redriven" for each in self.redrives)
        return again + (self.done_at is not None)


_REDRIVES = (
    select(func.count())
    .where(
        _action.c.shard == _inbox.c.shard,
        _action.c.callback == _inbox.c.id,
        _action.c.result == "redriven",
    )
    .scalar_subquery()
)


def failures(wanted: Wanted) -> Reading[Failures]:
    """Callbacks that could not be applied, newest first; read by an index of what failed."""
    rows = yield _listed(wanted)
    found = [_failed(row) for row in rows]
    if len(found) > wanted.limit:
        return Failures(found[: wanted.limit], found[wanted.limit - 1].id)
    return Failures(found, None)


def _listed(wanted: Wanted) -> Select[Any]:
    # One branch per shard: each walks the index of what failed backwards and stops at the limit.
    branches = [
        select(
            *(
                _inbox.c.id,
                _inbox.c.provider,
                _inbox.c.received_at,
                _inbox.c.done_at,
                _inbox.c.note,
            ),
            _REDRIVES.label("redrives"),
        )
        .where(_inbox.c.shard == shard, *_conditions(wanted))
        .order_by(_inbox.c.id.desc())
        .limit(wanted.limit + 1)
        for shard in range(SHARDS)
    ]
    every = union_all(*(branch.subquery().select() for branch in branches)).subquery()
    return select(every).order_by(every.c.id.desc()).limit(wanted.limit + 1)


def _conditions(wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    # In so many words: a parameter would not be recognised as what the index is made of.
    yield literal_column(f"inbox.note LIKE '{CANNOT}%'", Boolean)
    if wanted.provider is not None:
        yield _inbox.c.provider == wanted.provider
    if wanted.since is not None:
        yield _inbox.c.id >= id_at(wanted.since, slack=SKEW)
        yield _inbox.c.received_at >= wanted.since
    if wanted.before is not None:
        yield _inbox.c.id < wanted.before


def _failed(row: RowMapping) -> Failed:
    return Failed(
        id=row["id"],
        provider=row["provider"],
        received_at=row["received_at"],
        tried_at=row["done_at"],
        tries=row["redrives"] + 1,
        error=row["note"],
    )


def callback(wanted: UUID) -> Reading[Kept | None]:
    """One callback with its sealed body; null when there is none."""
    shard = shard_of_id(wanted)
    rows = yield select(_inbox).where(_inbox.c.shard == shard, _inbox.c.id == wanted)
    if not rows:
        return None
    acts = yield (
        select(_action)
        .where(_action.c.shard == shard, _action.c.callback == wanted)
        .order_by(_action.c.at, _action.c.id)
    )
    row = rows[0]
    return Kept(
        id=row["id"],
        provider=row["provider"],
        said=row["said"],
        body=bytes(row["body"]),
        received_at=row["received_at"],
        done_at=row["done_at"],
        note=row["note"],
        redrives=[
            Redrive(**{name: each[name] for name in Redrive.__struct_fields__}) for each in acts
        ],
    )
