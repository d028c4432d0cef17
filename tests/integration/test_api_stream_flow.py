"""Streams go on as they please: slow and silent clients, a database away, a process that ends."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import psycopg
import pytest

from gateway import auth, server, stream
from gateway.server import serve
from outbox.settings import Settings
from outbox.store import keys
from outbox.store.connect import owner_engine

from .conftest import MakeKey, confirmed, missed, rows
from .test_api_stream import post
from .wire import Wire, ndjson_of

_EVENTS = "SELECT count(*) FROM event"


async def test_answers_come_while_the_stream_goes_on(served: httpx.AsyncClient) -> None:
    async with Wire.open(served) as wire:
        for number in range(1, 4):
            wire.send(ndjson_of([confirmed()]))
            if number == 1:
                assert (await wire.head()).startswith(b"HTTP/1.1 202 ")
            assert (await wire.answer())["line"] == number
        # A line may come in pieces.
        line = ndjson_of([confirmed()])
        wire.send(line[:50])
        wire.send(line[50:])
        assert (await wire.answer())["duplicate"] is False
        wire.send(b"")
        assert await wire.answer() is None


async def until(database_url: str, query: str, wanted: Any) -> None:  # noqa: ANN401 - a figure
    async with asyncio.timeout(30):
        while rows(database_url, query)[0][0] != wanted:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


async def test_who_goes_away_cancels_nothing_that_was_read(
    served: httpx.AsyncClient,
    database_url: str,
) -> None:
    whole = [confirmed() for _ in range(300)]
    async with Wire.open(served) as wire:
        wire.send(ndjson_of(whole) + ndjson_of([confirmed()])[:-1])
        await wire.writer.drain()
        await wire.head()
        wire.writer.transport.abort()
    await until(database_url, _EVENTS, 300)
    # A line without its end may be half a line: it is not among them.
    answer = await served.post("/v1/events", json=confirmed())
    assert answer.status_code == 202
    assert rows(database_url, _EVENTS) == [(301,)]


async def test_who_reads_only_at_the_end_gets_every_answer(
    served: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "_IN_MEMORY", 1000)
    answers = await post(served, ndjson_of(confirmed() for _ in range(3000)))
    assert [each["line"] for each in answers] == list(range(1, 3001))
    assert all(each["duplicate"] is False for each in answers)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No room for answers, and no patience with those who do not read them."""
    monkeypatch.setattr(stream, "_IN_MEMORY", 1000)
    monkeypatch.setattr(stream, "_ON_DISK", 0)
    monkeypatch.setattr(stream, "_SILENCE_S", 0.5)
    monkeypatch.setattr(server, "_UNREAD_MS", 500)


async def test_who_never_reads_is_held_back_and_let_go(
    impatient: None,
    served: httpx.AsyncClient,
    database_url: str,
) -> None:
    async with Wire.open(served) as wire:
        with pytest.raises(ConnectionError):
            await wire.flood(ndjson_of(confirmed() for _ in range(100)))
    assert 0 < rows(database_url, _EVENTS)[0][0] < 100_000


async def test_silence_ends_a_stream_with_a_word(
    served: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "_SILENCE_S", 0.2)
    async with Wire.open(served) as wire:
        wire.send(ndjson_of([confirmed()]) + b"{")
        await wire.head()
        assert (await wire.answer())["line"] == 1
        last = await wire.answer()
        assert (last["line"], last["status"]) == (2, 503)
        assert last["retry_after_s"] > 0
        assert await wire.answer() is None


async def test_a_gateway_that_ends_answers_what_it_read(
    settings: Settings,
    make_key: MakeKey,
    database_url: str,
) -> None:
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(settings, ready=port.set_result))
    base_url = f"http://127.0.0.1:{await port}"
    headers = {"Authorization": make_key()}
    async with (
        httpx.AsyncClient(base_url=base_url, headers=headers) as client,
        Wire.open(client) as wire,
    ):
        wire.send(ndjson_of([missed()]))
        await wire.head()
        assert (await wire.answer())["line"] == 1
        serving.cancel()
        last = await wire.answer()
        assert (last["line"], last["status"]) == (2, 503)
        assert "shutting down" in last["detail"]
        assert await wire.answer() is None
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(serving, 30)
    assert rows(database_url, _EVENTS) == [(1,)]


async def test_a_database_that_goes_away_costs_lines_their_answer_only(
    served: httpx.AsyncClient,
    database_url: str,
) -> None:
    name = database_url.rpartition("/")[2]
    elsewhere = database_url.rpartition("/")[0] + "/postgres"
    waiting = [confirmed() for _ in range(5)]
    with psycopg.connect(elsewhere, autocommit=True) as server:
        async with Wire.open(served) as wire:
            wire.send(ndjson_of([confirmed()]))
            await wire.head()
            assert (await wire.answer())["duplicate"] is False
            server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                (name,),
            )
            wire.send(ndjson_of(waiting))
            away = [await wire.answer() for _ in waiting]
            assert {each["status"] for each in away} == {503}
            assert all(each["retry_after_s"] > 0 for each in away)
            server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            async with asyncio.timeout(60):
                while any("status" in each for each in away):
                    wire.send(ndjson_of(waiting))
                    away = [await wire.answer() for _ in waiting]
            wire.send(b"")
            assert await wire.answer() is None
    assert rows(database_url, _EVENTS) == [(6,)]


async def test_a_revoked_key_ends_what_a_stream_may(
    served: httpx.AsyncClient,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Wire.open(served) as wire:
        wire.send(ndjson_of([confirmed()]))
        await wire.head()
        assert (await wire.answer())["duplicate"] is False
        with owner_engine(database_url).begin() as connection:
            assert keys.revoke(connection, served.headers["Authorization"].split("_")[1])
        monkeypatch.setattr(auth, "FRESH_S", 0.0)
        wire.send(ndjson_of([confirmed(), confirmed()]))
        assert [(await wire.answer())["status"] for _ in range(2)] == [401, 401]
    assert rows(database_url, _EVENTS) == [(1,)]
