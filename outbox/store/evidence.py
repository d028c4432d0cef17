"""Evidence for a provider's support: its own ids, times and answers; nothing about a person.

A call is found by when it was stored, so that a long history costs nothing.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from sqlalchemy import RowMapping, Select, and_, func, literal, or_, select

from outbox.domain.ids import shard_of_id
from outbox.domain.outcomes import Result
from outbox.domain.receipts import Rank
from outbox.store import tables
from outbox.store.reading import Reading

_a, _r = tables.attempt, tables.receipt


class Sought(Struct, frozen=True, kw_only=True):
    """Which calls are wanted."""

    provider: str
    since: datetime
    until: datetime
    """Stored at or after the one and before the other."""
    code: str | None = None
    """Of the answer, or of a receipt; null: any."""
    every: bool = False
    """Those that ended well, too."""
    limit: int = 200


class Heard(Struct, frozen=True, kw_only=True):
    """What the provider said of a call later."""

    at: datetime | None
    status: str
    code: str | None


class Item(Struct, frozen=True, kw_only=True):
    """One call."""

    at: datetime
    provider_id: str | None
    """The provider's name for it: Twilio's SID, FCM's message name, Stripe's object."""
    reference: str
    """Ours: notification, fence and ordinal."""
    channel: str
    result: str
    code: str | None
    latency_ms: int
    heard: list[Heard]


class Evidence(Struct, frozen=True, kw_only=True):
    """What a provider is shown."""

    provider: str
    since: datetime
    until: datetime
    calls: int
    """All of the time, whatever came of them."""
    items: list[Item]
    """Newest first."""
    more: bool
    """Whether there are more than the limit."""


def evidence(sought: Sought) -> Reading[Evidence]:
    """The calls that are wanted, with what was heard of them."""
    within = _within(sought)
    counted = yield select(func.count().label("calls")).select_from(_a).where(within)
    rows = yield _calls(sought)
    found = rows[: sought.limit]
    heard: defaultdict[tuple[UUID, int], list[Heard]] = defaultdict(list)
    if found:
        for row in (yield _receipts(sought, {row["notification"] for row in found})):
            one = Heard(at=row["at"], status=row["status"], code=row["code"])
            heard[row["notification"], row["fence"]].append(one)
    return Evidence(
        provider=sought.provider,
        since=sought.since,
        until=sought.until,
        calls=counted[0]["calls"],
        items=[_item(row, heard[row["notification"], row["fence"]]) for row in found],
        more=len(rows) > sought.limit,
    )


def _item(row: RowMapping, heard: list[Heard]) -> Item:
    return Item(
        at=row["at"],
        provider_id=row["provider_id"],
        reference=f"{row['notification']}/{row['fence']}.{row['ordinal']}",
        channel=row["channel"],
        result=row["result"],
        code=row["code"],
        latency_ms=row["latency_ms"],
        heard=heard,
    )


def _within(sought: Sought) -> Any:  # noqa: ANN401 - SQLAlchemy's own
    return and_(
        _a.c.stored_at >= sought.since,
        _a.c.stored_at < sought.until,
        _a.c.provider == sought.provider,
        _a.c.what == "send",
    )


def _said(sought: Sought, *conditions: Any) -> Any:  # noqa: ANN401 - SQLAlchemy's own
    """Whether a receipt of the call is such."""
    return (
        select(literal(1))
        .select_from(_r)
        .where(
            _r.c.shard == _a.c.shard,
            _r.c.notification == _a.c.notification,
            _r.c.fence == _a.c.fence,
            _r.c.source == sought.provider,
            *conditions,
        )
        .exists()
    )


def _calls(sought: Sought) -> Select[Any]:
    chosen = select(
        _a.c.at,
        _a.c.provider_id,
        _a.c.notification,
        _a.c.fence,
        _a.c.ordinal,
        _a.c.channel,
        _a.c.result,
        _a.c.code,
        _a.c.latency_ms,
    ).where(_within(sought))
    if sought.code is not None:
        chosen = chosen.where(
            or_(_a.c.code == sought.code, _said(sought, _r.c.code == sought.code))
        )
    elif not sought.every:
        chosen = chosen.where(
            or_(_a.c.result != Result.ACCEPTED, _said(sought, _r.c.rank == Rank.FAILED))
        )
    return chosen.order_by(_a.c.at.desc(), _a.c.notification, _a.c.ordinal).limit(sought.limit + 1)


def _receipts(sought: Sought, notifications: set[UUID]) -> Select[Any]:
    return (
        select(_r.c.notification, _r.c.fence, _r.c.at, _r.c.status, _r.c.code)
        .where(
            _r.c.shard.in_({shard_of_id(each) for each in notifications}),
            _r.c.notification.in_(notifications),
            _r.c.notification.between(min(notifications), max(notifications)),
            _r.c.source == sought.provider,
        )
        .order_by(_r.c.rank, _r.c.at)
    )
