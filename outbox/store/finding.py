"""Finds notifications by whatever a person has in hand: an id, a recipient, a Member, a number.

For the dashboard's role: it reads no keyed hash, and asks a function of the owner's which ids
belong to a number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec import Struct
from sqlalchemy import Connection, Select, or_, select, text
from sqlalchemy.sql import ColumnElement

from outbox.domain.ids import parse_id, shard_of, shard_of_id
from outbox.sealing import Sealer
from outbox.settings import Settings
from outbox.store import reads, tables
from outbox.store.reading import run
from outbox.store.reads import OF_DUE, SUMMARY, id_at, summary_of
from outbox.store.views import Event, Notification, Summary

_n, _d = tables.notification, tables.due
_LISTED = 50
_PROVIDERS_ID = re.compile(r"(SM|MM)[0-9a-f]{32}\Z|projects/[\w.-]+/messages/\S+\Z")
_PROVIDERS_DAYS = 2
"""No index leads from a provider's id to its attempt: only so much is looked through."""
_NUMBER = re.compile(r"\+\d{7,15}\Z")
_LATELY = timedelta(days=90)


class Found(Struct, frozen=True, kw_only=True):
    """What there is."""

    by: str
    """``notification``, ``event``, ``number``, ``provider``, or ``name``: a recipient or Member."""
    told: Notification | None = None
    """The one that is meant, if one alone can be."""
    event: Event | None = None
    others: Sequence[Summary] = ()
    """Newest first, at most 50."""


def number_in(typed: str) -> str | None:
    """A phone number in E.164, if that is what somebody typed."""
    bare = re.sub(r"[\s().-]", "", typed)
    return bare if _NUMBER.match(bare) else None


def hashes(settings: Settings, number: str) -> list[bytes]:
    """Keyed hashes of a number under every look-up key."""
    return Sealer(settings.keys, settings.lookup_keys).lookups(number)


def of_number(connection: Connection, keyed: Sequence[bytes]) -> Found:
    """What went, or goes, to a number."""
    low = id_at(datetime.now(UTC) - _LATELY)
    ids = connection.execute(
        text("SELECT id FROM pruuf_of_number(:hashes, :low, :most)"),
        {"hashes": list(keyed), "low": low, "most": _LISTED},
    ).scalars()
    return _alone(connection, "number", _by_id(list(ids)))


def look(connection: Connection, typed: str) -> Found:
    """What an id or a name leads to."""
    identity = parse_id(typed)
    if identity is not None:
        return _of_id(connection, identity)
    if _PROVIDERS_ID.match(typed):
        attempt = tables.attempt
        calls = connection.execute(
            select(attempt.c.notification)
            .where(
                attempt.c.notification
                >= id_at(datetime.now(UTC) - timedelta(days=_PROVIDERS_DAYS)),
                attempt.c.provider_id == typed,
            )
            .limit(_LISTED)
        ).scalars()
        return _alone(connection, "provider", _by_id(list(calls)))
    of_member = (_n.c.shard == shard_of(typed)) & (_n.c.subject == typed)
    return _alone(connection, "name", or_(_n.c.recipient == typed, of_member))


def _of_id(connection: Connection, identity: UUID) -> Found:
    told = run(connection, reads.notification(identity))
    if told is not None:
        event = run(connection, reads.event(told.event_id))
        return Found(by="notification", told=told, event=event)
    event = run(connection, reads.event(identity))
    if event is None:
        return Found(by="notification")
    found = _alone(connection, "event", _by_id([each.id for each in event.notifications]))
    return Found(by="event", told=found.told, event=event, others=found.others)


def _by_id(ids: Sequence[UUID]) -> ColumnElement[bool]:
    # The shard is in the id: each leads to one row of one partition.
    shards = {shard_of_id(each) for each in ids}
    return _n.c.shard.in_(shards) & _n.c.id.in_(ids)


def _alone(connection: Connection, by: str, condition: ColumnElement[bool]) -> Found:
    rows = connection.execute(_matching(condition)).mappings().all()
    found = [Summary(**summary_of(row)) for row in rows]
    if len(found) == 1:
        return Found(by=by, told=run(connection, reads.notification(found[0].id)))
    return Found(by=by, others=found)


def _matching(condition: ColumnElement[bool]) -> Select[Any]:
    return (
        select(*SUMMARY)
        .select_from(_n.outerjoin(_d, OF_DUE))
        .where(condition, _n.c.id >= id_at(datetime.now(UTC) - _LATELY))
        .order_by(_n.c.id.desc())
        .limit(_LISTED)
    )
