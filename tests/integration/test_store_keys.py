"""API keys: found by their id until revoked, kept as a hash, and seen when they were used."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.resources import gateway_engine
from outbox.store import keys
from outbox.store.connect import owner_engine
from outbox.store.keys import CreatedKey, Scope, parse
from tests.integration.stored import rows


def _create(database_url: str, *scopes: Scope, name: str = "backend") -> CreatedKey:
    with owner_engine(database_url).begin() as connection:
        return keys.create(connection, name=name, scopes=scopes or (Scope.EVENTS,))


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = gateway_engine(database_url)
    yield engine
    await engine.dispose()


async def test_a_key_is_found_by_its_id_with_its_scopes(
    database_url: str, engine: AsyncEngine
) -> None:
    made = _create(database_url, Scope.READ, Scope.EVENTS, Scope.READ)
    parsed = parse(made.secret)
    assert parsed is not None
    key_id, secret_hash = parsed
    assert (key_id, made.scopes) == (made.id, ("events", "read"))
    found = await keys.find(engine, key_id)
    assert found is not None
    assert (found.id, found.name) == (made.id, "backend")
    assert found.scopes == {"events", "read"}
    assert found.secret_hash == secret_hash


async def test_a_key_that_was_made_for_a_time_ends_by_itself(
    database_url: str, engine: AsyncEngine
) -> None:
    with owner_engine(database_url).begin() as connection:
        made = keys.create(connection, name="visitor", scopes=[Scope.READ], lasts_s=3600)
    assert await keys.find(engine, made.id) is not None
    with owner_engine(database_url).begin() as connection:
        [view] = keys.every_key(connection)
        assert view.expires_at is not None
        assert (view.expires_at - view.created_at).total_seconds() == 3600
    rows(database_url, "UPDATE api_key SET expires_at = now() RETURNING 1")
    assert await keys.find(engine, made.id) is None


def test_the_secret_itself_is_stored_nowhere(database_url: str) -> None:
    made = _create(database_url)
    secret = made.secret.rpartition("_")[2]
    [(row,)] = rows(database_url, "SELECT k::text FROM api_key k")
    assert secret not in row
    assert made.secret not in row
    assert hashlib.sha256(bytes.fromhex(secret)).hexdigest() in row


def test_two_keys_share_nothing(database_url: str) -> None:
    made = [_create(database_url) for _ in range(20)]
    assert len({each.id for each in made}) == len({each.secret[-64:] for each in made}) == 20


@pytest.mark.parametrize(("name", "scopes"), [("", [Scope.READ]), ("backend", [])])
def test_a_key_without_a_name_or_a_scope_is_not_made(
    database_url: str, name: str, scopes: list[Scope]
) -> None:
    with (
        owner_engine(database_url).begin() as connection,
        pytest.raises(ValueError, match="needs a name and at least one scope"),
    ):
        keys.create(connection, name=name, scopes=scopes)
    assert rows(database_url, "SELECT count(*) FROM api_key") == [(0,)]


async def test_a_revoked_key_is_not_found_and_stays_in_the_list(
    database_url: str, engine: AsyncEngine
) -> None:
    kept, made = _create(database_url), _create(database_url, name="leaked")
    with owner_engine(database_url).begin() as connection:
        assert keys.revoke(connection, made.id)
    assert await keys.find(engine, made.id) is None
    assert await keys.find(engine, kept.id) is not None
    with owner_engine(database_url).begin() as connection:
        before = keys.every_key(connection)
        # The same again is fine, and does not change when it was.
        assert keys.revoke(connection, made.id)
        assert keys.every_key(connection) == before
    assert [(key.name, key.revoked_at is not None) for key in before] == [
        ("backend", False),
        ("leaked", True),
    ]


async def test_a_key_that_was_never_made_is_not_found_nor_revoked(
    database_url: str, engine: AsyncEngine
) -> None:
    assert await keys.find(engine, "nobody") is None
    with owner_engine(database_url).begin() as connection:
        assert not keys.revoke(connection, "nobody")


async def test_a_use_is_noted_at_most_once_a_minute(database_url: str, engine: AsyncEngine) -> None:
    made = _create(database_url)
    used = "SELECT last_used_at FROM api_key"
    assert rows(database_url, used) == [(None,)]
    await asyncio.gather(*(keys.note_use(engine, made.id) for _ in range(5)))
    [(first,)] = rows(database_url, used)
    assert first is not None
    await keys.note_use(engine, made.id)
    assert rows(database_url, used) == [(first,)]
    ago = "UPDATE api_key SET last_used_at = now() - interval '61 seconds' RETURNING last_used_at"
    [(earlier,)] = rows(database_url, ago)
    await keys.note_use(engine, made.id)
    assert rows(database_url, used)[0][0] > earlier


@given(st.one_of(st.text(), st.from_regex(r"pruuf_[a-z0-9]{0,40}_[0-9a-fA-F]{60,66}\n?")))
def test_any_other_text_is_no_key_and_raises_nothing(token: str) -> None:
    ours = re.fullmatch(r"pruuf_[a-z0-9]{1,32}_[0-9a-f]{64}", token)
    assert (parse(token) is not None) == (ours is not None and not token.endswith("\n"))
