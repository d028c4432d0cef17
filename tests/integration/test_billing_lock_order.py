"""Whoever locks several accounts locks them in one order: who waits holds none above.

Beside Postgres' own detection of deadlocks, which costs a second and a second try.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from outbox.domain.billing_webhooks import decode
from outbox.domain.ids import shard_of
from outbox.domain.intake import NewEvent
from outbox.store import billing_inbox, billing_intake
from outbox.store.billing_effects import Effects
from outbox.store.billing_learn import Learned
from outbox.store.billing_marks import Batch
from outbox.store.connect import Connection
from outbox.store.settle import Settlement, settle
from tests.integration.billing_world import World
from tests.integration.settled import AWAIT, claimed, two
from tests.integration.stored import blocked

from .billing_lives import life, stripe_url

__all__ = ["life", "stripe_url"]

Keys = Sequence[billing_intake.Key]
Act = Callable[[str, Connection, Keys], Coroutine[Any, Any, None]]

_ACCOUNTS = sorted((shard_of(f"a{n}"), f"a{n}") for n in range(6))


def _made(*_: str | None) -> NewEvent:
    pytest.fail("nothing has to be made")


async def _is_told(_: str, connection: Connection, keys: Keys) -> None:
    async with connection.transaction():
        await billing_intake.lock(connection, keys)


async def _hears(_: str, connection: Connection, keys: Keys) -> None:
    events = [
        decode(
            json.dumps(
                {
                    "id": f"evt_{account}",
                    "object": "event",
                    "type": "customer.updated",
                    "created": 1_790_000_000,
                    "api_version": "x",
                    "data": {"object": {"id": f"cus_{account}", "object": "customer"}},
                }
            ).encode()
        )
        for _, account in keys
    ]
    async with connection.transaction():
        await Effects(draft=_made, page=_made).begin(connection, events)


async def _learns(database_url: str, connection: Connection, keys: Keys) -> None:
    taken = await claimed(database_url, connection, len(keys))
    await settle(
        connection,
        [
            Settlement(
                claim=claim, move=AWAIT, also=Learned(shard=shard, account=account, as_of={})
            )
            for claim, (shard, account) in zip(taken, keys, strict=True)
        ],
    )


@pytest.mark.parametrize(
    "act", [_is_told, _hears, _learns], ids=lambda act: act.__name__.strip("_")
)
async def test_whoever_waits_for_an_account_holds_none_above_it(
    database_url: str, act: Act
) -> None:
    async with two(database_url) as (one, other):
        async with one.transaction():
            await billing_intake.lock(one, _ACCOUNTS)
            await one.execute("UPDATE account SET customer = 'cus_' || id")
        (shard, lowest), *_ = _ACCOUNTS
        async with one.transaction():
            await one.execute(
                "SELECT FROM account WHERE shard = %s AND id = %s FOR UPDATE", (shard, lowest)
            )
            acting = asyncio.create_task(act(database_url, other, _ACCOUNTS[::-1]))
            await blocked(database_url, other)
            cursor = await one.execute("SELECT FROM account FOR UPDATE NOWAIT")
            assert len(await cursor.fetchall()) == len(_ACCOUNTS)
        await acting


async def test_whose_account_becomes_known_meanwhile_is_locked_in_order_by_a_second_try(
    life: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("c_1", "c_2"):
        await life.open(name)
    await life.work()
    (low, customer), (high, above) = life.relay.rows(
        "SELECT (shard, id)::text, customer FROM account ORDER BY shard, id"
    )
    # Their customers alone tell whose they are.
    events = [
        {
            "id": f"evt_{name}",
            "object": "event",
            "type": "customer.updated",
            "created": 1_900_000_000,
            "api_version": "x",
            "data": {"object": {"id": name, "object": "customer"}},
        }
        for name in (above, customer)
    ]
    # In one batch, the higher one first.
    monkeypatch.setattr(billing_inbox, "shard_of", lambda _: 3)
    life.relay.rows(f"UPDATE account SET customer = NULL WHERE customer = '{customer}' RETURNING 1")
    begin, locked = Effects.begin, []

    async def begun(self: Effects, *given: Any) -> Batch:  # noqa: ANN401 - as it is called
        batch = await begin(self, *given)
        locked.append({f"({shard},{name})" for shard, name in batch.locked})
        if len(locked) == 1:
            life.relay.rows(
                f"UPDATE account SET customer = '{customer}' WHERE (shard, id)::text = '{low}'"
                " RETURNING 1"
            )
        return batch

    monkeypatch.setattr(Effects, "begin", begun)
    await life.hear(*events)
    await life.work()
    assert locked[:2] == [{high}, {low, high}]
    heard = life.relay.rows("SELECT account FROM billing_event WHERE type = 'customer.updated'")
    assert sorted(heard) == [("c_1",), ("c_2",)]
