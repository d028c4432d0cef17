"""A gateway in this process on the test's own database, keys for it, and events."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from gateway.app import create_app
from gateway.openapi import description_of
from gateway.server import serve
from outbox.settings import NAMES, Settings, load
from outbox.store import keys
from outbox.store.connect import owner_engine
from outbox.store.keys import Scope
from tests.integration.relay_hand import Hand, hand

from .description import Description

_SECRET = base64.urlsafe_b64encode(bytes(range(32))).decode()
PUBLIC = "https://pruuf.example"
AUTH_TOKENS = ("the-new-token", "the-old-token")
STRIPE_SECRETS = ("whsec_new", "whsec_old")

SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
NDJSON = "application/x-ndjson"
ALICE = {"id": "m_1", "name": "Alice", "phone": "+12025550100"}
BOB = {"id": "c_1", "name": "Bob", "phone": "+12025550123", "locale": "en-US"}
CAROL = {"id": "c_2", "name": "Carol", "phone": "+12025550124"}

MakeKey = Callable[..., str]
_numbers = count(1)


def event(kind: str, data: dict[str, Any], **attributes: object) -> dict[str, Any]:
    """A CloudEvent with an id of its own."""
    return {
        "specversion": "1.0",
        "id": f"evt-{next(_numbers)}",
        "source": "tests",
        "type": kind,
        "time": "2026-11-23T09:00:00Z",
        "subject": ALICE["id"],
        "data": data,
        **attributes,
    }


def missed(*contacts: dict[str, Any], **attributes: object) -> dict[str, Any]:
    """A missed check-in of Alice, of which Bob is told unless others are named."""
    told = list(contacts or (BOB,))
    data = {"member": ALICE, "contacts": told, "due_at": "2026-11-23T08:30:00Z"}
    return event("checkin.missed", data, **attributes)


def confirmed(*contacts: dict[str, Any], **attributes: object) -> dict[str, Any]:
    """A check-in of Alice."""
    told = list(contacts or (BOB,))
    data = {"member": ALICE, "contacts": told, "at": "2026-11-23T08:00:00Z"}
    return event("checkin.confirmed", data, **attributes)


def invited(**attributes: object) -> dict[str, Any]:
    """Bob invites Carol."""
    data = {
        "inviter": {"id": "c_1", "name": "Bob"},
        "invitee": {"name": "Carol", "phone": "+12025550124"},
        "code": "HX7-2QK",
    }
    return event("member.invited", data, **attributes)


def rows(database_url: str, query: str) -> list[tuple[Any, ...]]:
    """Rows by the owner's own connection."""
    with psycopg.connect(database_url) as connection:
        return connection.execute(query).fetchall()


@contextmanager
def nothing_is_written(database_url: str) -> Iterator[None]:
    """What is done in here must leave no trace of an event."""
    query = (
        "SELECT (SELECT count(*) FROM event_key), (SELECT count(*) FROM event),"
        " (SELECT count(*) FROM notification), (SELECT count(*) FROM due),"
        " (SELECT count(*) FROM alert)"
    )
    before = rows(database_url, query)
    yield
    assert rows(database_url, query) == before


def environment(database_url: str) -> dict[str, str]:
    """Settings of a gateway."""
    return {
        "DATABASE_URL": database_url,
        "PRUUF_KEYS": _SECRET,
        "PRUUF_LOOKUP_KEYS": _SECRET,
        "PRUUF_PUBLIC_URL": PUBLIC,
        "PRUUF_PORT": "0",
        "TWILIO_AUTH_TOKEN": ",".join(AUTH_TOKENS),
        "STRIPE_API_KEY": "sk_test_nobody",
        "STRIPE_API_BASE": "http://127.0.0.1:9",
        "STRIPE_PRICE_ID": "price_pruuf",
        "STRIPE_WEBHOOK_SECRETS": ",".join(STRIPE_SECRETS),
    }


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[[str], Settings]:
    def make(database_url: str) -> Settings:
        return load(environment(database_url), cwd=tmp_path)

    return make


@pytest.fixture
def settings(make_settings: Callable[[str], Settings], database_url: str) -> Settings:
    return make_settings(database_url)


@pytest.fixture
def make_key(database_url: str) -> MakeKey:
    """Makes a key with these scopes, all if none is named; returns the Authorization header."""

    def make(*scopes: Scope) -> str:
        with owner_engine(database_url).begin() as connection:
            made = keys.create(connection, name="test", scopes=scopes or list(Scope))
        return f"Bearer {made.secret}"

    return make


@pytest.fixture(scope="session")
def described() -> Callable[[Litestar], Description]:
    """Reads the description of an app, which takes a while, once: it is that of the code."""
    known: list[Description] = []

    def describe(app: Litestar) -> Description:
        if not known:
            known.append(Description(description_of(app)))
        return known[0]

    return describe


@pytest.fixture
async def anonymous(
    settings: Settings,
    described: Callable[[Litestar], Description],
) -> AsyncIterator[AsyncTestClient[Litestar]]:
    """A client without a key; every answer that it gets has to be as described."""

    async def check(answer: httpx.Response) -> None:
        await answer.aread()
        described(client.app).check(answer)

    async with AsyncTestClient(app=create_app(settings)) as client:
        client.event_hooks["response"].append(check)
        yield client


@pytest.fixture
async def api(anonymous: AsyncTestClient[Litestar], make_key: MakeKey) -> AsyncTestClient[Litestar]:
    """A client whose key may do everything."""
    anonymous.headers["Authorization"] = make_key()
    return anonymous


@pytest.fixture
async def served(settings: Settings, make_key: MakeKey) -> AsyncIterator[httpx.AsyncClient]:
    """A client, with a key for everything, of a gateway that listens on a port of loopback."""
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(settings, ready=port.set_result))
    serving.add_done_callback(lambda _: port.cancel())
    base_url = f"http://127.0.0.1:{await port}"
    headers = {"Authorization": make_key()}
    async with httpx.AsyncClient(base_url=base_url, headers=headers, timeout=60) as client:
        yield client
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving


def _answers(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while True:
        assert process.poll() is None, f"the gateway ended with {process.returncode}"
        try:
            if httpx.get(url).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            assert time.monotonic() < until, "the gateway does not answer"
        time.sleep(0.05)


@pytest.fixture
def gateway_url(tmp_path: Path, database_url: str) -> Iterator[str]:
    """The address of a gateway that is a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    clean = {name: value for name, value in os.environ.items() if name not in NAMES}
    with subprocess.Popen(
        [sys.executable, "-m", "gateway.cli.main", "gateway"],
        env={**clean, **environment(database_url), "PRUUF_PORT": str(port)},
        cwd=tmp_path,
    ) as process:
        try:
            _answers(f"http://127.0.0.1:{port}/readyz", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(30)
            finally:
                process.kill()
    assert process.returncode == 0


@pytest.fixture
async def by_hand(settings: Settings) -> AsyncIterator[Hand]:
    """A relay that works by hand, on this test's own database."""
    async with hand(settings) as made:
        yield made
