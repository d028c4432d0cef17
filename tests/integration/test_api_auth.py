"""Keys: who is let in, what is said to everybody else, and how fast a revocation works."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from gateway import auth
from gateway.app import create_app
from outbox.settings import Settings
from outbox.store import keys
from outbox.store.connect import owner_engine

from .conftest import MakeKey
from .test_api_problems import assert_problem

_FORGERIES: list[Callable[[str], str]] = [
    lambda _: "Bearer",
    lambda _: "Bearer nonsense",
    lambda header: header.replace("Bearer", "Basic"),
    lambda header: header[:-1],
    lambda header: header[:-1] + ("0" if header[-1] != "0" else "1"),
    lambda header: header.replace("pruuf_", "pruuf_zz"),
    lambda header: header.upper(),
]


async def test_a_forged_key_is_unknown(
    anonymous: AsyncTestClient[Litestar], make_key: MakeKey
) -> None:
    genuine = make_key()
    for forge in _FORGERIES:
        headers = {"Authorization": forge(genuine)}
        answer = await anonymous.get("/v1/notifications", headers=headers)
        assert_problem(answer, 401, "unauthorized")


async def test_a_revoked_key_stops_when_it_is_read_again(
    anonymous: AsyncTestClient[Litestar],
    make_key: MakeKey,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    header = make_key()
    key_id = header.split("_")[1]
    headers = {"Authorization": header}
    assert (await anonymous.get("/v1/notifications", headers=headers)).status_code == 200
    with owner_engine(database_url).begin() as connection:
        assert keys.revoke(connection, key_id)
        assert not keys.revoke(connection, "nobody")
    monkeypatch.setattr(auth, "FRESH_S", 0.0)
    assert_problem(await anonymous.get("/v1/notifications", headers=headers), 401, "unauthorized")
    with owner_engine(database_url).connect() as connection:
        [view] = keys.every_key(connection)
    assert view.id == key_id
    assert view.revoked_at is not None


async def test_the_use_of_a_key_is_noted(
    api: AsyncTestClient[Litestar],
    database_url: str,
) -> None:
    await api.get("/v1/notifications")
    with psycopg.connect(database_url, autocommit=True) as connection:
        async with asyncio.timeout(5):
            while not _used(connection):  # noqa: ASYNC110 - the database tells no one
                await asyncio.sleep(0.01)
        secrets = connection.execute("SELECT encode(secret_hash, 'hex') FROM api_key").fetchone()
    assert secrets is not None
    assert secrets[0] not in api.headers["Authorization"]


def _used(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT last_used_at IS NOT NULL FROM api_key").fetchone()
    return row is not None and bool(row[0])


async def test_while_the_database_is_away_nobody_is_called_a_stranger(
    make_settings: Callable[[str], Settings],
    make_key: MakeKey,
) -> None:
    header = make_key()
    away = make_settings("postgresql://pruuf@127.0.0.1:1/pruuf")
    async with AsyncTestClient(app=create_app(away)) as client:
        answer = await client.get("/v1/notifications", headers={"Authorization": header})
        assert_problem(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0


async def test_options_needs_no_key(anonymous: AsyncTestClient[Litestar]) -> None:
    answer = await anonymous.options("/v1/recipients/c")
    assert answer.status_code == 204
    assert "PUT" in answer.headers["allow"]
