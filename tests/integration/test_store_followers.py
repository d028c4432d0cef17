"""Who wants an address to follow a topic: whatever device it is, as long as it is alive."""

from __future__ import annotations

import psycopg
import pytest

from outbox.domain.ids import new_id, shard_of
from outbox.sealing import Sealer
from outbox.store.connect import Role, connect
from outbox.store.devices import row_name
from outbox.store.followers import Wish, wanting

_OLD, _NEW = bytes(32), bytes(range(32))
_SEALER = Sealer([_OLD], [_OLD])


def _device(
    database_url: str,
    recipient: str,
    address: str,
    *topics: str,
    sealer: Sealer = _SEALER,
) -> None:
    row = row_name(recipient, "d")
    sealed = sealer.seal(address.encode(), table="device", row=row, field="token")
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO device (shard, recipient, id, token, token_hash, address_kind, platform)"
            " VALUES (%s, %s, 'd', %s, %s, 'token', 'ios')",
            (shard_of(recipient), recipient, sealed, sealer.lookup(address)),
        )
        for topic in topics:
            connection.execute(
                "INSERT INTO topic_device (shard, recipient, device, topic)"
                " VALUES (%s, %s, 'd', %s)",
                (shard_of(recipient), recipient, topic),
            )


async def _wanting(database_url: str, address: str, topic: str, sealer: Sealer) -> list[str]:
    wish = Wish(new_id(0), address, topic)
    async with await connect(database_url, Role.RELAY, application="test") as connection:
        found = await wanting(connection, sealer, [wish, Wish(new_id(1), "another", topic)])
    assert set(found) <= {wish.notification}
    return sorted(device.recipient for device in found.get(wish.notification, ()))


async def test_by_its_address_whosever_it_is(database_url: str) -> None:
    _device(database_url, "c_1", "shared", "news", "weather")
    _device(database_url, "c_2", "shared", "news")
    _device(database_url, "c_3", "not-shared", "news")
    assert await _wanting(database_url, "shared", "news", _SEALER) == ["c_1", "c_2"]
    assert await _wanting(database_url, "shared", "weather", _SEALER) == ["c_1"]
    assert await _wanting(database_url, "shared", "sport", _SEALER) == []


async def test_not_by_one_that_is_dead(database_url: str) -> None:
    _device(database_url, "c_1", "shared", "news")
    _device(database_url, "c_2", "shared", "news")
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE device SET dead_at = now() WHERE recipient = 'c_1'")
    assert await _wanting(database_url, "shared", "news", _SEALER) == ["c_2"]


@pytest.mark.parametrize(
    ("keys", "found"),
    [([_NEW, _OLD], ["c_1"]), ([_NEW], [])],
)
async def test_rows_of_an_older_look_up_key_are_found(
    database_url: str, keys: list[bytes], found: list[str]
) -> None:
    _device(database_url, "c_1", "shared", "news")
    assert await _wanting(database_url, "shared", "news", Sealer([_OLD], keys)) == found
