"""Recipients and devices: stored sealed, shown without tokens, erased without a rest."""

from __future__ import annotations

import psycopg
from litestar import Litestar
from litestar.testing import AsyncTestClient

from outbox.domain.ids import shard_of
from outbox.sealing import Sealer
from outbox.settings import Settings
from outbox.store.connect import Role, connect
from outbox.store.recipients import devices, forget_device

_BOB = {
    "phone": "+12025550123",
    "name": "Bob",
    "locale": "es-MX",
    "timezone": "America/New_York",
}
_PHONE = {"token": "the-secret-address", "address_kind": "token", "platform": "ios"}


async def test_put_replaces_whole(api: AsyncTestClient[Litestar]) -> None:
    first = await api.put("/v1/recipients/c_1", json=_BOB)
    assert first.status_code == 201
    assert first.json().items() >= {**_BOB, "id": "c_1", "devices": []}.items()
    second = await api.put("/v1/recipients/c_1", json={"name": "Robert"})
    assert second.status_code == 200
    got = (await api.get("/v1/recipients/c_1")).json()
    assert got == second.json()
    assert got["phone"] is None
    assert (got["name"], got["locale"], got["timezone"]) == ("Robert", "en-US", "UTC")
    assert got["created_at"] == first.json()["created_at"]


async def test_nothing_personal_is_stored_in_clear(
    api: AsyncTestClient[Litestar], database_url: str
) -> None:
    await api.put("/v1/recipients/c_1", json=_BOB)
    await api.put("/v1/recipients/c_1/devices/d_1", json=_PHONE)
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT r::text FROM recipient r").fetchall()
        rows += connection.execute("SELECT d::text FROM device d").fetchall()
    assert len(rows) == 2
    for value in ("+12025550123", "Bob", "the-secret-address"):
        hexed = value.encode().hex()
        assert all(value not in row[0] and hexed not in row[0] for row in rows)


async def test_a_token_is_never_shown(api: AsyncTestClient[Litestar]) -> None:
    # The app may register before the backend tells of its user.
    assert (await api.put("/v1/recipients/c_1/devices/d_1", json=_PHONE)).status_code == 204
    answer = await api.get("/v1/recipients/c_1")
    [device] = answer.json()["devices"]
    assert device.keys() == {"id", "platform", "address_kind", "seen_at", "dead_at"}
    assert (device["id"], device["platform"], device["dead_at"]) == ("d_1", "ios", None)
    assert "the-secret-address" not in answer.text


async def test_unknown_fields_and_kinds_are_refused(api: AsyncTestClient[Litestar]) -> None:
    for wrong in (
        {**_PHONE, "colour": "red"},
        {**_PHONE, "platform": "fridge"},
        {**_PHONE, "token": ""},
        {"token": "x", "platform": "ios"},
    ):
        answer = await api.put("/v1/recipients/c_1/devices/d_1", json=wrong)
        assert answer.status_code == 400
    assert (await api.get("/v1/recipients/c_1")).status_code == 404


async def test_erasing_leaves_nothing(api: AsyncTestClient[Litestar], database_url: str) -> None:
    await api.put("/v1/recipients/c_1", json=_BOB)
    await api.put("/v1/recipients/c_1/devices/d_1", json=_PHONE)
    await api.put("/v1/recipients/c_2", json=_BOB)
    assert (await api.delete("/v1/recipients/c_1")).status_code == 204
    assert (await api.delete("/v1/recipients/c_1")).status_code == 204
    assert (await api.get("/v1/recipients/c_1")).status_code == 404
    with psycopg.connect(database_url) as connection:
        left = connection.execute("SELECT id FROM recipient").fetchall()
        assert left == [("c_2",)]
        assert connection.execute("SELECT count(*) FROM device").fetchone() == (0,)


async def test_deleting_a_device_leaves_the_others(api: AsyncTestClient[Litestar]) -> None:
    for device in ("d_1", "d_2"):
        await api.put(f"/v1/recipients/c_1/devices/{device}", json=_PHONE)
    assert (await api.delete("/v1/recipients/c_1/devices/d_1")).status_code == 204
    assert (await api.delete("/v1/recipients/c_1/devices/d_1")).status_code == 204
    left = (await api.get("/v1/recipients/c_1")).json()["devices"]
    assert [device["id"] for device in left] == ["d_2"]


async def test_a_relay_reads_addresses_and_forgets_only_the_dead_one(
    api: AsyncTestClient[Litestar],
    settings: Settings,
) -> None:
    await api.put("/v1/recipients/c_1/devices/d_1", json=_PHONE)
    await api.put("/v1/recipients/c_2/devices/d_1", json={**_PHONE, "token": "another"})
    sealer = Sealer(settings.keys, settings.lookup_keys)
    url = settings.require_database()
    async with await connect(url, Role.RELAY, application="test") as connection:
        found = await devices(connection, sealer, ["c_1", "c_2", "nobody"])
        assert {r: [d.address for d in ds] for r, ds in found.items()} == {
            "c_1": ["the-secret-address"],
            "c_2": ["another"],
        }
        old = found["c_1"][0]
        # The app registered a new address while the old one was being called.
        await api.put("/v1/recipients/c_1/devices/d_1", json={**_PHONE, "token": "new"})
        assert not await forget_device(connection, "c_1", "d_1", old.token_hash)
        [new] = (await devices(connection, sealer, ["c_1"]))["c_1"]
        assert await forget_device(connection, "c_1", "d_1", new.token_hash)
        assert not (await devices(connection, sealer, ["c_1"])).get("c_1")
    [shown] = (await api.get("/v1/recipients/c_1")).json()["devices"]
    assert shown["dead_at"] is not None
    await api.put("/v1/recipients/c_1/devices/d_1", json=_PHONE)
    [shown] = (await api.get("/v1/recipients/c_1")).json()["devices"]
    assert shown["dead_at"] is None


async def test_a_moved_address_does_not_open(
    api: AsyncTestClient[Litestar],
    settings: Settings,
    database_url: str,
) -> None:
    await api.put("/v1/recipients/c_1/devices/d_1", json=_PHONE)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE device SET recipient = 'c_2', shard = %s",
            (shard_of("c_2"),),
        )
    sealer = Sealer(settings.keys, settings.lookup_keys)
    async with await connect(database_url, Role.RELAY, application="test") as connection_:
        assert not (await devices(connection_, sealer, ["c_2"])).get("c_2")
