"""The inbox: each callback is stored once, sealed, whoever brings it and however often."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from outbox.domain.callbacks import Callback, decode
from outbox.domain.ids import new_id, shard_of_id
from outbox.domain.inbound import Inbound
from outbox.domain.inbound import decode as decode_text
from outbox.store import inbox
from outbox.store.connect import Connection
from outbox.store.inbox import InboxItem, sealed, sealed_text
from tests.integration.stored import SEALER, gateway, rows

_SID = "SM" + "0" * 32
_SAID = Callback(
    source="twilio",
    status="delivered",
    provider_id=_SID,
    notification=new_id(7),
    step=1,
    fence=2,
    raw={"To": "+12025550123"},
)
_TEXT = Inbound(phone="+12025550123", to="+12025550100", body="STOP", provider_id=_SID)


async def _store(connection: Connection, items: Sequence[InboxItem]) -> list[bool]:
    async with connection.pipeline(), connection.transaction():
        return await inbox.store(connection, items)


async def test_a_callback_is_stored_sealed_in_the_shard_of_its_notification(
    database_url: str,
) -> None:
    item = sealed(SEALER, _SAID, lane=2)
    async with gateway(database_url) as connection:
        assert await _store(connection, [item]) == [True]
    [(shard, row, provider, lane, body, done)] = rows(
        database_url, "SELECT shard, id, provider, lane, body, done_at FROM inbox"
    )
    assert (shard, row, provider, lane, done) == (7, item.id, "twilio", 2, None)
    assert shard_of_id(row) == 7
    plain = SEALER.unseal(body, table="inbox", row=str(row), field="body")
    assert decode(plain) == _SAID
    assert b"+12025550123" not in body


async def test_a_callback_without_a_reference_of_ours_is_kept_too(database_url: str) -> None:
    lost = replace(_SAID, notification=None)
    async with gateway(database_url) as connection:
        assert await _store(connection, [sealed(SEALER, lost, lane=2)]) == [True]
    assert rows(database_url, "SELECT shard, said FROM inbox") == [(0, f":{_SID}:delivered:")]


async def test_a_repetition_is_recognised_whenever_it_comes(database_url: str) -> None:
    def item() -> InboxItem:
        return sealed(SEALER, _SAID, lane=2)

    async with gateway(database_url) as connection:
        assert await _store(connection, [item(), item(), item()]) == [True, False, False]
        assert await _store(connection, [item()]) == [False]
    assert rows(database_url, "SELECT count(*) FROM inbox") == [(1,)]


async def test_a_commit_that_is_run_again_stores_nothing_twice(database_url: str) -> None:
    item = sealed(SEALER, _SAID, lane=2)
    async with gateway(database_url) as connection:
        await _store(connection, [item])
        await _store(connection, [item])
    assert rows(database_url, "SELECT count(*) FROM inbox") == [(1,)]


async def test_a_repetition_after_it_was_applied_is_one_still(database_url: str) -> None:
    async with gateway(database_url) as connection:
        await _store(connection, [sealed(SEALER, _SAID, lane=2)])
        rows(database_url, "UPDATE inbox SET done_at = now() RETURNING 1")
        assert await _store(connection, [sealed(SEALER, _SAID, lane=2)]) == [False]


@pytest.mark.parametrize(
    "other",
    [
        replace(_SAID, status="undelivered"),
        replace(_SAID, status="undelivered", code="30003"),
        replace(_SAID, provider_id="SM" + "1" * 32),
        replace(_SAID, notification=new_id(7)),
        replace(_SAID, source="app", status="received"),
    ],
)
async def test_what_says_something_else_is_stored_beside_it(
    database_url: str, other: Callback
) -> None:
    async with gateway(database_url) as connection:
        items = [sealed(SEALER, each, lane=2) for each in (_SAID, other)]
        assert await _store(connection, items) == [True, True]


async def test_answers_come_in_the_order_of_what_was_brought(database_url: str) -> None:
    said = [replace(_SAID, notification=new_id(n % 16)) for n in range(40)]
    async with gateway(database_url) as connection:
        await _store(connection, [sealed(SEALER, each, lane=2) for each in said[::3]])
        items = [sealed(SEALER, each, lane=2) for each in said]
        assert await _store(connection, items) == [bool(n % 3) for n in range(40)]


async def test_gateways_that_bring_the_same_in_opposite_orders_do_not_deadlock(
    database_url: str,
) -> None:
    async with gateway(database_url) as one, gateway(database_url) as other:
        for _ in range(10):
            said = [replace(_SAID, notification=new_id(n % 16)) for n in range(40)]
            first, second = await asyncio.gather(
                _store(one, [sealed(SEALER, each, lane=2) for each in said]),
                _store(other, [sealed(SEALER, each, lane=2) for each in reversed(said)]),
            )
            # Each is new for exactly one of the two.
            assert [a != b for a, b in zip(first, reversed(second), strict=True)] == [True] * 40


async def test_texts_of_one_number_stay_in_one_shard_and_each_is_stored_once(
    database_url: str,
) -> None:
    texts = [_TEXT, replace(_TEXT, provider_id="SM" + "1" * 32, body="START")]
    async with gateway(database_url) as connection:
        items = [sealed_text(SEALER, each) for each in (*texts, _TEXT)]
        assert await _store(connection, items) == [True, True, False]
    assert len({item.shard for item in items}) == 1
    stored = rows(database_url, "SELECT id, body, lane FROM inbox ORDER BY id")
    opened = [
        decode_text(SEALER.unseal(body, table="inbox", row=str(row), field="body"))
        for row, body, _ in stored
    ]
    assert sorted(each.body for each in opened) == ["START", "STOP"]
    assert {lane for _, _, lane in stored} == {0}


async def test_nothing_brought_is_nothing_stored(database_url: str) -> None:
    async with gateway(database_url) as connection:
        assert await _store(connection, []) == []
