"""Ids that lead to their row: uuidv7 whose last byte is the shard.

An id alone tells the day (its partition) and the shard, so every read by id names one
partition of one shard (RFC 9562, section 5.7; the shard sits in the random part).
"""

from __future__ import annotations

import hashlib
import os
import time
from datetime import UTC, datetime
from uuid import UUID

SHARDS = 16
"""Fixed at the first migration; changing it means rehashing every row."""

_MS_SHIFT = 80
_VERSION = 0x7 << 76
_VARIANT = 0x2 << 62
_RANDOM_MASK = ~((0xF << 76) | (0x3 << 62) | 0xFF) & ((1 << 80) - 1)


def shard_of(subject: str) -> int:
    """Shard of a Member, account or recipient id: 0..SHARDS-1, the same for ever."""
    return hashlib.blake2b(subject.encode(), digest_size=1).digest()[0] % SHARDS


def key_shard(source: str, source_id: str) -> int:
    """Shard of an idempotency key."""
    return shard_of(f"{source}\0{source_id}")


def new_id(shard: int, *, at_ms: int | None = None) -> UUID:
    """A fresh id of this shard; ``at_ms`` (Unix milliseconds) defaults to now."""
    ms = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    random = int.from_bytes(os.urandom(10)) & _RANDOM_MASK
    return UUID(int=(ms << _MS_SHIFT) | _VERSION | _VARIANT | random | shard)


def shard_of_id(value: UUID) -> int:
    """Shard that an id was made for; 0..255, so check it against SHARDS for foreign ids."""
    return value.int & 0xFF


def time_of_id(value: UUID) -> datetime:
    """When the id was made, by the clock of the process that made it."""
    return datetime.fromtimestamp((value.int >> _MS_SHIFT) / 1000, tz=UTC)


def day_floor(day: datetime) -> UUID:
    """Smallest id of a UTC day; the partition bounds."""
    start = day.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return UUID(int=int(start.timestamp() * 1000) << _MS_SHIFT)


def moment_floor(at: datetime) -> UUID:
    """Smallest id of a moment, by the clock that made the id."""
    return UUID(int=int(at.timestamp() * 1000) << _MS_SHIFT)


def parse_id(text: str) -> UUID | None:
    """An id of ours, or null for anything else (also for a shard out of range)."""
    try:
        value = UUID(text)
    except ValueError:
        return None
    # The constructor also takes braces, other alphabets' digits, and underscores, which it drops.
    if text.lower() not in {str(value), value.hex}:
        return None
    return value if value.version == 7 and shard_of_id(value) < SHARDS else None  # noqa: PLR2004
