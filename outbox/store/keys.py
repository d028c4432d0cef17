"""API keys: made once, shown once, kept as a hash only; one that ended is never found again.

A key reads ``pruuf_<id>_<secret>``. The secret is 32 random bytes, so a plain SHA-256 of it
can be kept: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct
from sqlalchemy import Connection, func, insert, or_, select, text, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql import Select, Update

from outbox.domain.ids import shard_of
from outbox.store.tables import api_key

_ID_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
_ID_LENGTH = 10
_SECRET_BYTES = 32
_SECRET_FORM = re.compile(r"pruuf_(?P<id>[a-z0-9]{1,32})_(?P<secret>[0-9a-f]{64})\Z")


class Scope(StrEnum):
    """What a key may do."""

    EVENTS = "events"
    """Post events and verifications."""
    RECIPIENTS = "recipients"
    READ = "read"
    OPERATE = "operate"
    """Cancel, redrive, make card links."""


class KeyView(Struct, frozen=True, kw_only=True):
    """A key as it may be shown."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    last_used_at: datetime | None
    """Within a minute; null while it was never used."""
    revoked_at: datetime | None
    expires_at: datetime | None
    """From then on it is refused; null: it ends when it is revoked."""


class CreatedKey(Struct, frozen=True, kw_only=True):
    """A new key with its secret, which is shown this once."""

    id: str
    name: str
    scopes: tuple[str, ...]
    secret: str
    """The whole bearer token."""


class StoredKey(Struct, frozen=True, kw_only=True):
    """What a request is checked against."""

    id: str
    name: str
    secret_hash: bytes
    scopes: frozenset[str]


def parse(token: str) -> tuple[str, bytes] | None:
    """Id and secret hash of a bearer token, or null when it is none of ours."""
    form = _SECRET_FORM.match(token)
    if form is None:
        return None
    return form["id"], hashlib.sha256(bytes.fromhex(form["secret"])).digest()


def create(
    connection: Connection, *, name: str, scopes: Sequence[Scope], lasts_s: float | None = None
) -> CreatedKey:
    """Make a key in the open transaction; the connection must be the owner's, not a process'.

    ``lasts_s``: seconds until it is refused; null: until it is revoked.
    """
    if not name or not scopes:
        msg = "a key needs a name and at least one scope"
        raise ValueError(msg)
    key_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH))
    secret = secrets.token_bytes(_SECRET_BYTES)
    wanted = sorted({str(scope) for scope in scopes})
    # Named only where it is set: a key can be made before the schema is migrated.
    ends = {} if lasts_s is None else {"expires_at": func.now() + timedelta(seconds=lasts_s)}
    connection.execute(
        insert(api_key).values(
            shard=shard_of(key_id),
            id=key_id,
            name=name,
            secret_hash=hashlib.sha256(secret).digest(),
            scopes=wanted,
            **ends,
        ),
    )
    token = f"pruuf_{key_id}_{secret.hex()}"
    return CreatedKey(id=key_id, name=name, scopes=tuple(wanted), secret=token)


def every_key(connection: Connection) -> list[KeyView]:
    """All keys, revoked ones too, oldest first."""
    columns = (
        api_key.c.id,
        api_key.c.name,
        api_key.c.scopes,
        api_key.c.created_at,
        api_key.c.last_used_at,
        api_key.c.revoked_at,
        api_key.c.expires_at,
    )
    rows = connection.execute(select(*columns).order_by(api_key.c.created_at, api_key.c.id))
    return [_view(row) for row in rows.mappings()]


def _view(row: RowMapping) -> KeyView:
    return KeyView(
        id=row["id"],
        name=row["name"],
        scopes=tuple(row["scopes"]),
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
        revoked_at=row["revoked_at"],
        expires_at=row["expires_at"],
    )


def revoke(connection: Connection, key_id: str) -> bool:
    """Revoke a key in the open transaction; false when there is none of this id."""
    found = connection.execute(
        update(api_key)
        .where(api_key.c.shard == shard_of(key_id), api_key.c.id == key_id)
        .values(revoked_at=func.coalesce(api_key.c.revoked_at, func.now()))
        .returning(api_key.c.id),
    )
    return found.first() is not None


def _valid(key_id: str) -> Select[tuple[str, str, bytes, list[str]]]:
    return select(
        api_key.c.id,
        api_key.c.name,
        api_key.c.secret_hash,
        api_key.c.scopes,
    ).where(
        api_key.c.shard == shard_of(key_id),
        api_key.c.id == key_id,
        api_key.c.revoked_at.is_(None),
        or_(api_key.c.expires_at.is_(None), api_key.c.expires_at > func.now()),
    )


def _used(key_id: str) -> Update:
    minute = text("interval '1 minute'")
    return (
        update(api_key)
        .where(api_key.c.shard == shard_of(key_id), api_key.c.id == key_id)
        .where(
            or_(
                api_key.c.last_used_at.is_(None),
                api_key.c.last_used_at < func.now() - minute,
            ),
        )
        .values(last_used_at=func.now())
    )


async def find(engine: AsyncEngine, key_id: str) -> StoredKey | None:
    """The key of this id, unless it ended or was never made."""
    async with engine.connect() as connection:
        row = (await connection.execute(_valid(key_id))).first()
    if row is None:
        return None
    return StoredKey(
        id=row.id,
        name=row.name,
        secret_hash=bytes(row.secret_hash),
        scopes=frozenset(row.scopes),
    )


async def note_use(engine: AsyncEngine, key_id: str) -> None:
    """Set ``last_used_at``, unless any gateway did within the last minute."""
    async with engine.begin() as connection:
        await connection.execute(_used(key_id))
