"""Connections: a silent server is hung up on, and what is the server's fault may work later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

from gateway.failures import problem_of
from gateway.resources import gateway_engine
from outbox.relay.database import AGAIN
from outbox.store import connect as connections
from outbox.store.connect import UNABLE, Connection, Role, check, connect
from tests.faults.proxy import Proxy

_SILENCE_S = 0.3
_PATIENCE_S = 30


@pytest.fixture
def line(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    monkeypatch.setattr(connections, "SILENCE_S", _SILENCE_S)
    with Proxy(database_url) as proxy:
        yield proxy


async def _opened(line: Proxy) -> Connection:
    return await connect(line.url, Role.RELAY, application="test")


async def test_whoever_waits_for_a_silent_server_is_freed(line: Proxy) -> None:
    async with asyncio.timeout(_PATIENCE_S), await _opened(line) as connection:
        await connection.execute("SELECT 1")
        line.stall()
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError):
            await connection.execute("SELECT 1")
        assert time.monotonic() - began >= _SILENCE_S
        assert connection.closed
        line.flow()


async def test_a_transaction_in_a_pipeline_is_freed_as_well(line: Proxy) -> None:
    async with asyncio.timeout(_PATIENCE_S), await _opened(line) as connection:
        with pytest.raises(psycopg.OperationalError):  # noqa: PT012 - raised at the end of either
            async with connection.pipeline(), connection.transaction():
                await connection.execute("SELECT 1")
                line.forget()
                await connection.execute("SELECT 1")
        assert connection.closed


async def test_one_that_is_at_work_is_not_cut(line: Proxy) -> None:
    async with await _opened(line) as connection:
        for _ in range(4):
            await connection.execute("SELECT pg_sleep(0.1)")
        async for _ in connection.notifies(timeout=_SILENCE_S / 2):
            pass
        await check(connection)
        assert not connection.closed


async def test_a_pooled_connection_that_died_is_replaced_soon(
    line: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SILENCE_S", _PATIENCE_S)
    monkeypatch.setattr("gateway.resources.ANSWER_S", _SILENCE_S)
    engine = gateway_engine(line.url)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            async with engine.connect() as pooled:
                await pooled.exec_driver_sql("SELECT 1")
            assert line.forget() == 1
            async with engine.connect() as pooled:
                await pooled.exec_driver_sql("SELECT 1")
    finally:
        await engine.dispose()


@pytest.mark.parametrize(
    "error",
    [
        errors.TransactionTimeout,
        errors.IdleInTransactionSessionTimeout,
        errors.ReadOnlySqlTransaction,
        errors.AdminShutdown,
        errors.CannotConnectNow,
        errors.TooManyConnections,
        errors.DiskFull,
        # A file that cannot grow for any other reason.
        errors.InternalError_,
        errors.DeadlockDetected,
        psycopg.InterfaceError,
    ],
)
def test_what_is_the_servers_fault_may_work_later(error: type[psycopg.Error]) -> None:
    assert issubclass(error, UNABLE)
    assert issubclass(error, AGAIN)
    problem = problem_of(error(), "a test")
    assert problem.kind.status == 503
    assert problem.headers["Retry-After"]
