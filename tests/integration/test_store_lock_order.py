"""Every statement over several due rows locks them by seq: who waits holds none above."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any
from uuid import UUID

import pytest

from outbox.domain.ids import shard_of_id
from outbox.store.all_clear import Ending, end
from outbox.store.claims import Claim
from outbox.store.connect import Connection
from outbox.store.settle import Settlement, settle
from outbox.store.sql import id_range, statement
from outbox.store.sql import rows as as_rows
from tests.integration.settled import AWAIT, GIVEN_UP, PARK, claimed, two
from tests.integration.stored import CLEARS, blocked, hour

Act = Callable[[Connection, Sequence[Claim]], Coroutine[Any, Any, None]]


async def _moves(connection: Connection, claims: Sequence[Claim]) -> None:
    await settle(connection, [Settlement(claim=taken, move=AWAIT) for taken in claims])


async def _parks(connection: Connection, claims: Sequence[Claim]) -> None:
    await settle(connection, [Settlement(claim=taken, move=PARK) for taken in claims])


async def _finishes(connection: Connection, claims: Sequence[Claim]) -> None:
    await settle(connection, [Settlement(claim=taken, move=GIVEN_UP) for taken in claims])


async def _hears_of_failures(connection: Connection, claims: Sequence[Claim]) -> None:
    said = [{"notification": c.notification, "step": c.step, "fence": c.fence} for c in claims]
    shard = claims[0].shard
    await connection.execute(statement("receipts_failure"), {"shard": shard, "rows": as_rows(said)})


async def _hears_of_successes(connection: Connection, claims: Sequence[Claim]) -> None:
    said = [
        {"notification": c.notification, "proof": "carrier", "channel": "sms", "step": c.step}
        for c in claims
    ]
    ids = [claim.notification for claim in claims]
    bound = {"shard": claims[0].shard, "rows": as_rows(said), **id_range(ids)}
    await connection.execute(statement("receipts_success"), bound)


async def _ends_an_alert(connection: Connection, claims: Sequence[Claim]) -> None:
    ids: tuple[UUID, ...] = tuple(claim.notification for claim in claims)
    async with connection.transaction():
        await end(connection, Ending(shard_of_id(ids[0]), ids, hour(9)), draft=CLEARS.draft)


@pytest.mark.parametrize(
    "act",
    [_moves, _parks, _finishes, _hears_of_failures, _hears_of_successes, _ends_an_alert],
    ids=lambda act: act.__name__.strip("_"),
)
async def test_whoever_waits_for_a_row_holds_none_above_it(database_url: str, act: Act) -> None:
    async with two(database_url) as (one, other):
        claims = sorted(await claimed(database_url, one, 3), key=lambda taken: -taken.seq)
        lowest = claims[-1]
        async with one.transaction():
            await one.execute("SELECT FROM due WHERE seq = %s FOR UPDATE", (lowest.seq,))
            acting = asyncio.create_task(act(other, claims))
            await blocked(database_url, other)
            cursor = await one.execute("SELECT seq FROM due ORDER BY seq FOR UPDATE NOWAIT")
            assert len(await cursor.fetchall()) == 3
        await acting
