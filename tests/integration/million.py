"""A ledger of many notifications, copied into the tables: every life is sound, and sealed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg

from outbox.domain import content as contents
from outbox.domain import plans
from outbox.domain.content import Content
from outbox.domain.ids import SHARDS, key_shard, new_id
from outbox.sealing import Sealer

_TABLES = {
    "event": "shard, id, source, source_id, type, subject, occurred_at, accepted_at,"
    " content_hash, data",
    "event_key": "shard, source, source_id, event, content_hash, answer, created_at",
    "notification": "shard, id, event, subject, recipient, kind, lane, plan, template, locale,"
    " content, state, proof, channel, created_at, expires_at, final_at, phone_hash",
    "attempt": "shard, notification, fence, step, try, channel, provider, result, provider_id,"
    " at, latency_ms, stored_at",
    "receipt": "shard, notification, source, said, fence, step, provider_id, status, rank, at,"
    " stored_at",
    "due": "shard, notification, lane, due_at",
}
_AT_ONCE = 20_000
_PHONES = 500
_KIND = "member.invited"


def fill(url: str, sealer: Sealer, number: int, *, over: timedelta, until: datetime) -> None:
    """So many notifications, delivered by SMS within ``over`` before ``until``; 1 in 100 is due."""
    with psycopg.connect(url) as connection:
        for first in range(0, number, _AT_ONCE):
            many = min(_AT_ONCE, number - first)
            rows = {table: [] for table in _TABLES}  # type: dict[str, list[tuple[Any, ...]]]
            for n in range(first, first + many):
                at = until - over + over * (n / number)
                for table, row in _life(sealer, n, at):
                    rows[table].append(row)
            for table, values in rows.items():
                copy = f"COPY {table} ({_TABLES[table]}) FROM STDIN".encode()
                with connection.cursor().copy(copy) as stream:
                    for row in values:
                        stream.write_row(row)
            connection.commit()
            sys.stdout.write(f"\r{first + many:,} of {number:,}")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE")
        for table in ("event", "event_key", "notification", "attempt", "receipt"):
            connection.execute(f"VACUUM {table}".encode())


_PLAN = plans.encode(plans.defaults()[_KIND])
_EXPIRES = timedelta(seconds=plans.defaults()[_KIND].expires_after_s)


def _life(sealer: Sealer, n: int, at: datetime) -> Iterator[tuple[str, tuple[Any, ...]]]:
    shard = n % SHARDS
    ms = int(at.timestamp() * 1000)
    event, notification = new_id(shard, at_ms=ms), new_id(shard, at_ms=ms)
    subject, source_id = f"i-{n}", f"e-{n}"
    data, sms = subject.encode(), f"SM{n:032x}"
    hashed = sealer.content_hash(data)
    phone = f"+1202555{n % _PHONES:04d}"
    sealed = sealer.seal(data, table="event", row=str(event), field="data")
    content = sealer.seal(
        contents.encode(Content(phone=phone, inviter_name="Bob", code="HX7-2QK")),
        table="notification",
        row=str(notification),
        field="content",
    )
    at = at.astimezone(UTC)
    final_at = None if n % 100 == 0 else at + timedelta(seconds=4)
    yield (
        "event",
        (shard, event, "many", source_id, _KIND, subject, at, at, hashed, sealed),
    )
    answer = [{"id": str(notification), "recipient": subject, "kind": _KIND}]
    yield (
        "event_key",
        (
            key_shard("many", source_id),
            "many",
            source_id,
            event,
            hashed,
            msgspec.json.encode([{**answer[0], "lane": "transactional"}]).decode(),
            at,
        ),
    )
    yield (
        "notification",
        (
            shard,
            notification,
            event,
            subject,
            subject,
            _KIND,
            2,
            _PLAN,
            "invite",
            "en-US",
            content,
            "open" if final_at is None else "delivered",
            None if final_at is None else "carrier",
            None if final_at is None else "sms",
            at,
            at + _EXPIRES,
            final_at,
            sealer.lookup(phone),
        ),
    )
    if final_at is None:
        yield "due", (shard, notification, 2, datetime.now(UTC) + timedelta(hours=1))
        return
    yield (
        "attempt",
        (shard, notification, 1, 0, 1, "sms", "twilio", "accepted", sms, at, 80, at),
    )
    said = f"{sms}:delivered:"
    yield (
        "receipt",
        (shard, notification, "twilio", said, 1, 0, sms, "delivered", 9, final_at, final_at),
    )
