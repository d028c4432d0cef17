"""Recipients and devices: whole, sealed, found under old keys, and gone when they are erased."""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.resources import gateway_engine
from outbox.domain.ids import shard_of
from outbox.sealing import Sealer, UnsealError
from outbox.store.connect import Role, connect
from outbox.store.devices import delete_device, devices_of, put_device
from outbox.store.recipients import (
    MAX_DEVICES,
    devices,
    erase_recipient,
    find_recipients,
    forget_device,
    put_recipient,
)
from tests.integration.stored import SEALER, rows


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = gateway_engine(database_url)
    yield engine
    await engine.dispose()


async def _put(
    connection: AsyncConnection,
    recipient: str = "c_1",
    *,
    name: str | None = "Bob",
    phone: str | None = "+12025550123",
    sealer: Sealer = SEALER,
) -> bool:
    _, new = await put_recipient(
        connection, sealer, recipient, name=name, phone=phone, locale=None, timezone=None
    )
    return new


async def _register(
    connection: AsyncConnection, device: str, *, recipient: str = "c_1", address: str = "token"
) -> bool:
    return await put_device(
        connection,
        SEALER,
        recipient,
        device,
        address=address,
        address_kind="token",
        platform="ios",
    )


async def _addresses(database_url: str, *recipients: str) -> dict[str, list[str]]:
    async with await connect(database_url, Role.RELAY, application="test") as connection:
        found = await devices(connection, SEALER, recipients)
        return {key: [each.address for each in value] for key, value in found.items()}


async def test_a_recipient_comes_back_as_it_was_put(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        stored, new = await put_recipient(
            connection,
            SEALER,
            "c_1",
            name="Zoë",
            phone="+442079460958",
            locale="es-MX",
            timezone="Europe/Berlin",
        )
        assert new
        assert await find_recipients(connection, SEALER, ["c_1", "c_1", "c_2"]) == {"c_1": stored}
    assert (stored.name, stored.phone, stored.locale) == ("Zoë", "+442079460958", "es-MX")
    assert stored.created_at == stored.updated_at


async def test_a_put_replaces_whole_and_keeps_when_it_began(
    engine: AsyncEngine, database_url: str
) -> None:
    async with engine.begin() as connection:
        assert await _put(connection)
    async with engine.begin() as connection:
        assert not await _put(connection, phone=None, name=None)
        [found] = (await find_recipients(connection, SEALER, ["c_1"])).values()
    assert (found.name, found.phone, found.timezone) == (None, None, "UTC")
    assert found.created_at < found.updated_at
    assert rows(database_url, "SELECT shard, phone_hash FROM recipient") == [
        (shard_of("c_1"), None)
    ]


async def test_many_are_found_at_once_over_all_shards(engine: AsyncEngine) -> None:
    names = {f"c_{number}": f"Name {number}" for number in range(50)}
    async with engine.begin() as connection:
        for recipient, name in names.items():
            await _put(connection, recipient, name=name)
        found = await find_recipients(connection, SEALER, [*names, "nobody"])
        assert await find_recipients(connection, SEALER, []) == {}
    assert {key: each.name for key, each in found.items()} == names


async def test_a_row_under_a_lost_key_is_an_error_and_not_an_empty_answer(
    engine: AsyncEngine,
) -> None:
    lost = Sealer([b"x" * 32], [b"y" * 32])
    async with engine.begin() as connection:
        await _put(connection, sealer=lost)
        with pytest.raises(UnsealError, match="PRUUF_KEYS"):
            await find_recipients(connection, SEALER, ["c_1"])
        both = Sealer([bytes(range(32)), b"x" * 32], [b"y" * 32])
        assert (await find_recipients(connection, both, ["c_1"]))["c_1"].name == "Bob"


async def test_a_row_moved_to_another_person_does_not_open(
    engine: AsyncEngine, database_url: str
) -> None:
    async with engine.begin() as connection:
        await _put(connection)
    moved = "UPDATE recipient SET id = 'c_2', shard = %s RETURNING 1"
    rows(database_url, moved, shard_of("c_2"))
    async with engine.begin() as connection:
        with pytest.raises(UnsealError, match="moved"):
            await find_recipients(connection, SEALER, ["c_2"])


async def test_a_number_is_found_by_its_keyed_hash(engine: AsyncEngine, database_url: str) -> None:
    async with engine.begin() as connection:
        await _put(connection)
        await _put(connection, "c_2", phone="+12025550124")
    query = "SELECT id FROM recipient WHERE phone_hash = %s"
    assert rows(database_url, query, SEALER.lookup("+12025550123")) == [("c_1",)]


async def test_erasing_leaves_nothing_in_any_table_of_the_person(
    engine: AsyncEngine, database_url: str
) -> None:
    topic = "INSERT INTO topic_device (shard, recipient, device, topic) VALUES (%s, %s, 'd', 't')"
    for recipient in ("c_1", "c_2"):
        async with engine.begin() as connection:
            await _put(connection, recipient)
            await _register(connection, "d_1", recipient=recipient)
        rows(database_url, f"{topic} RETURNING 1", shard_of(recipient), recipient)
    async with engine.begin() as connection:
        await erase_recipient(connection, "c_1")
        await erase_recipient(connection, "nobody")
    with psycopg.connect(database_url) as owner:
        tables = owner.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND (column_name = 'recipient'"
            " OR (table_name, column_name) = ('recipient', 'id'))"
            # Kept by id: who asked to be forgotten, and whose name was opened by whom.
            " AND table_name !~ '^notification' AND table_name NOT IN ('erasure', 'opening')",
        ).fetchall()
        assert {"recipient", "device", "topic_device"} <= {table for table, _ in tables}
        for table, column in tables:
            left = owner.execute(f"SELECT {column} FROM {table}").fetchall()
            assert left == [("c_2",)], table


async def test_an_app_may_register_before_its_user_is_known(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        assert await _register(connection, "d_1")
    async with engine.begin() as connection:
        # The person is put for the first time now, but the row is there.
        await _put(connection)
        [found] = (await find_recipients(connection, SEALER, ["c_1"])).values()
        [device] = await devices_of(connection, "c_1")
    assert found.name == "Bob"
    assert (device.id, device.dead_at) == ("d_1", None)


async def test_a_person_that_is_put_again_keeps_their_devices(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await _register(connection, "d_1")
        await _put(connection)
        assert not await _register(connection, "d_1", address="new")
        assert len(await devices_of(connection, "c_1")) == 1


async def test_a_push_goes_to_the_newest_devices_first_and_to_no_more_than_the_limit(
    engine: AsyncEngine, database_url: str
) -> None:
    for number in range(MAX_DEVICES + 2):
        async with engine.begin() as connection:
            await _register(connection, f"d_{number}", address=f"address {number}")
    expected = [f"address {number}" for number in range(MAX_DEVICES + 1, 1, -1)]
    assert await _addresses(database_url, "c_1", "nobody") == {"c_1": expected}
    async with engine.begin() as connection:
        await _register(connection, "d_0", address="address 0")
    assert (await _addresses(database_url, "c_1"))["c_1"][0] == "address 0"


async def test_a_dead_device_is_called_no_more_until_it_registers_again(
    engine: AsyncEngine, database_url: str
) -> None:
    async with engine.begin() as connection:
        await _register(connection, "d_1")
        await _register(connection, "d_2", address="other")
    hashed = SEALER.lookup("token")
    async with await connect(database_url, Role.RELAY, application="test") as relay:
        assert not await forget_device(relay, "c_1", "d_1", SEALER.lookup("an older one"))
        assert not await forget_device(relay, "c_2", "d_1", hashed)
        assert await forget_device(relay, "c_1", "d_1", hashed)
        assert not await forget_device(relay, "c_1", "d_1", hashed)
    assert await _addresses(database_url, "c_1") == {"c_1": ["other"]}
    async with engine.begin() as connection:
        await _register(connection, "d_1")
    assert await _addresses(database_url, "c_1") == {"c_1": ["token", "other"]}


async def test_one_address_that_does_not_open_costs_only_itself(
    engine: AsyncEngine, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with engine.begin() as connection:
        await _register(connection, "d_1", address="sound")
        await _register(connection, "d_2", address="spoilt")
    rows(database_url, "UPDATE device SET token = '\\x00' WHERE id = 'd_2' RETURNING 1")
    assert await _addresses(database_url, "c_1") == {"c_1": ["sound"]}
    assert "does not open" in caplog.text
    assert "c_1" not in caplog.text


async def test_a_deleted_device_is_gone_with_what_it_follows_and_the_same_again_is_fine(
    engine: AsyncEngine, database_url: str
) -> None:
    topic = "INSERT INTO topic_device (shard, recipient, device, topic) VALUES (%s, 'c_1', %s, 't')"
    for device in ("d_1", "d_2"):
        rows(database_url, f"{topic} RETURNING 1", shard_of("c_1"), device)
    async with engine.begin() as connection:
        await _register(connection, "d_1")
        await _register(connection, "d_2")
        for _ in range(2):
            await delete_device(connection, "c_1", "d_1")
        assert [each.id for each in await devices_of(connection, "c_1")] == ["d_2"]
    assert rows(database_url, "SELECT device FROM topic_device") == [("d_2",)]
