"""A gateway in this process on the test's own database, and keys for it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from litestar.testing import AsyncTestClient

from gateway.app import create_app
from outbox.settings import Settings, load
from outbox.store import keys
from outbox.store.connect import owner_engine
from outbox.store.keys import Scope

_SECRET = base64.urlsafe_b64encode(bytes(range(32))).decode()
PUBLIC = "https://pruuf.example"
AUTH_TOKENS = ("the-new-token", "the-old-token")

MakeKey = Callable[..., str]


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[[str], Settings]:
    def make(database_url: str) -> Settings:
        environment = {
            "DATABASE_URL": database_url,
            "PRUUF_KEYS": _SECRET,
            "PRUUF_LOOKUP_KEYS": _SECRET,
            "PRUUF_PUBLIC_URL": PUBLIC,
            "PRUUF_PORT": "0",
            "TWILIO_AUTH_TOKEN": ",".join(AUTH_TOKENS),
        }
        return load(environment, cwd=tmp_path)

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


@pytest.fixture
async def anonymous(settings: Settings) -> AsyncIterator[AsyncTestClient]:
    """A client without a key."""
    async with AsyncTestClient(app=create_app(settings)) as client:
        yield client


@pytest.fixture
async def api(anonymous: AsyncTestClient, make_key: MakeKey) -> AsyncTestClient:
    """A client whose key may do everything."""
    anonymous.headers["Authorization"] = make_key()
    return anonymous
