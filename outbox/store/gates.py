"""The shared state of breakers and rate limits: votes, the one probe, holds, leased tokens.

All of it is about shard 0: a few rows per sender, whatever the traffic. Senders are named by a
keyed hash, as a sender is a phone number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from msgspec import Struct

from outbox.store.connect import Connection
from outbox.store.sql import rows, statement


class SenderKey(Struct, frozen=True):
    """One sender of one provider."""

    provider: str
    sender: str
    """Keyed hash in hexadecimal; empty where the provider has no senders."""


class Vote(Struct, frozen=True, kw_only=True):
    """A relay's own judgement that a sender cannot be used."""

    provider: str
    sender: str
    open_s: float
    """Until a probe may be made."""
    opened_s: float
    """Since it opened, or its newest probe failed."""
    why: str


class Shared(Struct, frozen=True, kw_only=True):
    """What all relays together hold of one sender."""

    is_open: bool
    """A majority of the live relays votes so."""
    closed_since: bool
    """A probe went well after this relay's own vote: it is withdrawn."""
    held_s: float
    """Until the provider may be called again, by its own wish; 0 when it has none."""
    on_hold_s: float
    """The same by a person's; it may become shorter."""


async def put_votes(connection: Connection, relay: UUID, votes: Sequence[Vote]) -> None:
    """Replace a relay's votes by these."""
    kept = [f"{vote.provider}:{vote.sender}" for vote in votes]
    async with connection.transaction():
        await connection.execute(
            "DELETE FROM breaker_vote WHERE shard = 0 AND relay = %s"
            " AND NOT provider || ':' || sender = ANY(%s)",
            (relay, kept),
        )
        if votes:
            await connection.execute(
                statement("breaker_vote"), {"relay": relay, "rows": rows(list(votes))}
            )


async def shared(connection: Connection, relay: UUID) -> dict[SenderKey, Shared]:
    """What is held of each sender, by a live majority."""
    cursor = await connection.execute(statement("breaker_shared"), {"relay": relay})
    return {
        SenderKey(provider, sender): Shared(
            is_open=is_open,
            closed_since=closed_since,
            held_s=held_s,
            on_hold_s=on_hold_s,
        )
        for provider, sender, is_open, closed_since, held_s, on_hold_s in await cursor.fetchall()
    }


async def lease_probe(connection: Connection, relay: UUID, key: SenderKey, *, for_s: float) -> bool:
    """Whether this relay makes the next probe; nobody else does for ``for_s``.

    The relay that has the lease may take it anew: no traffic came to probe with.
    """
    cursor = await connection.execute(
        "UPDATE breaker SET probe_by = %(relay)s,"
        " probe_until = now() + %(for_s)s * interval '1 second'"
        " WHERE shard = 0 AND provider = %(provider)s AND sender = %(sender)s"
        " AND (probe_until IS NULL OR probe_until < now() OR probe_by = %(relay)s)",
        {"relay": relay, "for_s": for_s, "provider": key.provider, "sender": key.sender},
    )
    return cursor.rowcount == 1


async def end_probe(
    connection: Connection,
    relay: UUID,
    key: SenderKey,
    *,
    ok: bool,
    again_s: float,
) -> None:
    """Tell all relays how the probe went; after a failure nobody probes for ``again_s``."""
    await connection.execute(
        "UPDATE breaker SET closed_at = CASE WHEN %(ok)s THEN now() ELSE closed_at END,"
        " probe_until = CASE WHEN %(ok)s THEN NULL"
        " ELSE now() + %(again_s)s * interval '1 second' END, probe_by = NULL"
        " WHERE shard = 0 AND provider = %(provider)s AND sender = %(sender)s"
        " AND probe_by = %(relay)s",
        {
            "ok": ok,
            "again_s": again_s,
            "provider": key.provider,
            "sender": key.sender,
            "relay": relay,
        },
    )


async def hold(connection: Connection, key: SenderKey, *, for_s: float) -> None:
    """Nobody calls before the provider's own Retry-After is over."""
    await connection.execute(
        "UPDATE breaker SET hold_until = greatest(hold_until,"
        " now() + %(for_s)s * interval '1 second')"
        " WHERE shard = 0 AND provider = %(provider)s AND sender = %(sender)s",
        {"for_s": for_s, "provider": key.provider, "sender": key.sender},
    )


async def know(connection: Connection, keys: Iterable[SenderKey]) -> None:
    """Make the rows of these senders, and say that they are in use; sorted, as all relays do."""
    await connection.execute(
        "INSERT INTO breaker (shard, provider, sender, seen_at) SELECT 0, provider, sender, now()"
        " FROM json_to_recordset(%s::json) AS r (provider text, sender text) ORDER BY 2, 3"
        " ON CONFLICT (shard, provider, sender) DO UPDATE SET seen_at = now()",
        (rows(list(keys)),),
    )


async def forget_dead(connection: Connection) -> None:
    """Drop the votes of relays that are gone: they must not hold anything open."""
    await connection.execute(
        "DELETE FROM breaker_vote v WHERE v.shard = 0 AND v.opened_at < now() - interval '1 minute'"
        " AND NOT EXISTS (SELECT FROM relay r WHERE r.shard = 0 AND r.id = v.relay"
        " AND r.seen_at > now() - interval '1 minute')",
    )


async def lease_tokens(  # noqa: PLR0913 - the terms of a lease
    connection: Connection,
    key: SenderKey,
    *,
    share: str,
    want: int,
    rate: float,
    burst: float,
) -> int:
    """Take up to ``want`` tokens of a bucket that fills at ``rate`` per second up to ``burst``."""
    bound = {
        "provider": key.provider,
        "sender": key.sender,
        "class": share,
        "want": want,
        "rate": rate,
        "burst": burst,
    }
    cursor = await connection.execute(statement("limiter_lease"), bound)
    row = await cursor.fetchone()
    if row is None:
        await connection.execute(
            "INSERT INTO limiter (shard, provider, sender, class, level)"
            " VALUES (0, %(provider)s, %(sender)s, %(class)s, %(burst)s) ON CONFLICT DO NOTHING",
            bound,
        )
        cursor = await connection.execute(statement("limiter_lease"), bound)
        row = await cursor.fetchone()
    return int(row[0]) if row else 0
