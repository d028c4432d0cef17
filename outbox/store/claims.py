"""Claims: peek without locks where something is due, then lease it, fenced and owned."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from msgspec import Struct

from outbox.store.connect import Connection
from outbox.store.sql import statement


class Queue(Struct, frozen=True):
    """One (shard, lane) with something due, and its low-water mark."""

    shard: int
    lane: int
    low: datetime


class Claim(Struct, frozen=True, kw_only=True):
    """A due row in this process's hands until its lease ends, and what it is about."""

    shard: int
    lane: int
    token: UUID
    seq: int
    notification: UUID
    step: int
    """Index into the plan; equal to the number of steps when none is left."""
    work: int
    attempt: int
    """Tries of this step, this one included."""
    asked: int
    fence: int
    call_fence: int
    """Fence of the newest call of this notification: this claim's own if it is to send."""
    best_rank: int
    cancel: bool
    suspect: int
    """Times in a row that its owner never settled, or that our own code failed on it."""
    step_age_s: float
    """Since the step began, by the database's clock."""
    receipt_left_s: float | None
    """Until the deadline of the receipt that is asked for; null unless it is."""
    abandoned: bool
    """A previous owner never settled: its call may have gone out."""
    event: UUID
    subject: str
    recipient: str
    kind: str
    plan: bytes
    template: str
    locale: str
    content: bytes
    clears: UUID | None
    """Of an all-clear: the alert's notification that it takes back."""
    created_at: datetime
    expired: bool


async def peek(connection: Connection, lanes: Sequence[int]) -> list[Queue]:
    """Queues of these lanes with something due, most urgent lane and oldest row first."""
    cursor = await connection.execute(statement("peek"), {"lanes": list(lanes)}, binary=True)
    return [Queue(*row) for row in await cursor.fetchall()]


async def claim(
    connection: Connection,
    wanted: Sequence[tuple[Queue, int]],
    *,
    lease_s: float,
) -> list[Claim]:
    """Lease up to the wanted number of rows of each queue, in one round trip and one commit."""
    cursors = []
    async with connection.pipeline():
        for queue, limit in wanted:
            token = uuid4()
            cursor = await connection.execute(
                statement("claim"),
                {
                    "shard": queue.shard,
                    "lane": queue.lane,
                    "low": queue.low,
                    "limit": limit,
                    "lease_s": lease_s,
                    "token": token,
                },
                binary=True,
            )
            cursors.append((queue, token, cursor))
    claims: list[Claim] = []
    for queue, token, cursor in cursors:
        claims += [_claim(queue, token, row) for row in await cursor.fetchall()]
    return claims


def _claim(queue: Queue, token: UUID, row: tuple[object, ...]) -> Claim:
    names = Claim.__struct_fields__[3:]
    return Claim(
        shard=queue.shard,
        lane=queue.lane,
        token=token,
        **dict(zip(names, row, strict=True)),  # type: ignore[arg-type]
    )
