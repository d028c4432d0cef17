"""Events as the edge hands them over, and how they are written; for tests of the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any, Unpack

import psycopg
from msgspec.structs import replace

from outbox.domain.content import Content
from outbox.domain.ids import key_shard, new_id, shard_of
from outbox.domain.intake import CheckedIn, Missed, NewEvent, NewNotification
from outbox.domain.policy import default_policy
from outbox.domain.states import Lane
from outbox.drafts import AllClears, draft, page_draft
from outbox.sealing import Sealer
from outbox.store import intake
from outbox.store.claims import Queue
from outbox.store.connect import Connection, Role, connect
from outbox.store.group_commit import GroupCommit
from outbox.store.intake import Accepted, Request
from tests.unit.fake_database import Options

SEALER = Sealer([bytes(range(32))], [bytes(range(32, 64))])
CLEARS = AllClears(SEALER, default_policy())
DAY = datetime(2026, 11, 23, tzinfo=UTC)
_numbers = count(1)

Intake = GroupCommit[Request, list[Accepted]]


def hour(number: float) -> datetime:
    """A time of the one day that the tests tell of."""
    return DAY + timedelta(hours=number)


def note(kind: str, recipient: str, member: str, content: Content | None = None) -> NewNotification:
    """A notification about this Member."""
    return draft(
        SEALER,
        kind=kind,
        recipient=recipient,
        locale="en-US",
        content=content
        or Content(
            phone="+12025550123",
            member_name="Alice",
            member_phone="+12025550100",
            at=hour(8),
        ),
        shard=shard_of(member),
    )


def event(
    kind: str,
    *contacts: str,
    member: str = "m_1",
    rule: CheckedIn | Missed | None = None,
    **changed: Any,  # noqa: ANN401 - fields of any type
) -> NewEvent:
    """An event with an id of its own; ``changed`` are fields that differ."""
    shard = shard_of(member)
    source_id = changed.pop("source_id", f"e_{next(_numbers)}")
    data = repr((kind, contacts, rule and type(rule).__name__, source_id)).encode()
    made = new_id(shard)
    whole = NewEvent(
        id=made,
        shard=shard,
        key_shard=key_shard("backend", source_id),
        source="backend",
        source_id=source_id,
        type=kind,
        subject=member,
        occurred_at=hour(9),
        content_hash=SEALER.content_hash(data),
        traceparent=None,
        data=SEALER.seal(data, table="event", row=str(made), field="data"),
        keep_key=kind == "checkin.missed",
        notifications=tuple(note(kind, contact, member) for contact in contacts),
        rule=rule,
    )
    return replace(whole, **changed)


def missed(*contacts: str, due: float = 8, member: str = "m_1", **changed: Any) -> NewEvent:  # noqa: ANN401
    """A missed check-in, due at this hour."""
    page = page_draft(SEALER, shard=shard_of(member), summary="nobody to tell")
    rule = Missed(hour(due), page)
    return event("checkin.missed", *contacts, member=member, rule=rule, **changed)


def confirmed(*contacts: str, at: float = 9, member: str = "m_1", **changed: Any) -> NewEvent:  # noqa: ANN401
    """A check-in at this hour."""
    rule = CheckedIn(hour(at))
    return event("checkin.confirmed", *contacts, member=member, rule=rule, **changed)


def again(told: NewEvent) -> NewEvent:
    """The same event once more, as another request brings it: ids of its own."""
    return replace(
        told,
        id=new_id(told.shard),
        notifications=tuple(replace(n, id=new_id(told.shard)) for n in told.notifications),
    )


@asynccontextmanager
async def gateway(database_url: str) -> AsyncIterator[Connection]:
    """A connection as the gateway's."""
    connection = await connect(database_url, Role.GATEWAY, application="test")
    async with connection:
        yield connection


@asynccontextmanager
async def relay(database_url: str) -> AsyncIterator[Connection]:
    """A connection as a relay's."""
    connection = await connect(database_url, Role.RELAY, application="test")
    async with connection:
        yield connection


def safety_queue(member: str) -> Queue:
    """The queue of this Member's alerts, from its very beginning."""
    return Queue(shard_of(member), int(Lane.SAFETY), datetime(2000, 1, 1, tzinfo=UTC))


async def blocked(database_url: str, connection: Connection) -> None:
    """Returns when this connection waits for a lock of another one."""
    watcher = await psycopg.AsyncConnection.connect(database_url, autocommit=True)
    async with asyncio.timeout(60), watcher:
        while True:
            cursor = await watcher.execute(
                "SELECT cardinality(pg_blocking_pids(%s)) > 0", (connection.info.backend_pid,)
            )
            if await cursor.fetchone() == (True,):
                return


async def write(connection: Connection, *requests: Sequence[NewEvent]) -> list[list[Accepted]]:
    """Write requests in one transaction of their own."""
    async with connection.pipeline(), connection.transaction():
        return await intake.write(
            connection, [Request(tuple(events)) for events in requests], clear=CLEARS.draft
        )


@asynccontextmanager
async def committing(database_url: str, **options: Unpack[Options]) -> AsyncIterator[Intake]:
    """A group commit of events, as a gateway has it."""

    async def write_batch(connection: Connection, batch: Sequence[Request]) -> list[list[Accepted]]:
        return await intake.write(connection, batch, clear=CLEARS.draft)

    opener = partial(connect, database_url, Role.GATEWAY, application="test")
    async with Intake(write=write_batch, connect=opener, **options) as commits:
        async with asyncio.timeout(60):
            while not commits.connected:  # noqa: ASYNC110 - it has no signal of its own
                await asyncio.sleep(0.01)
        yield commits


def rows(database_url: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Rows as the owner sees them."""
    with psycopg.connect(database_url) as connection:
        return connection.execute(query, values or None).fetchall()


def counts(database_url: str) -> dict[str, int]:
    """How many rows lie in each table of the intake."""
    tables = ("event_key", "event", "notification", "due")
    return {name: rows(database_url, f"SELECT count(*) FROM {name}")[0][0] for name in tables}
