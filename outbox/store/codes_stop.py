"""Countries to which no one-time code goes for a while."""

from __future__ import annotations

from outbox.domain.codes_conversion import Conversion
from outbox.store.connect import Connection

STOPPED_S = 3600
"""As long as is measured: then nothing that went there says anything any more, and some may go."""


async def now(connection: Connection) -> frozenset[str]:
    """Those of this moment."""
    cursor = await connection.execute(
        "SELECT country FROM codes_stop WHERE shard = 0 AND until > now()"
    )
    return frozenset(country for (country,) in await cursor.fetchall())


async def stop(connection: Connection, measured: Conversion) -> bool:
    """Stop one, unless it is stopped already; whether it was this that did."""
    cursor = await connection.execute(
        "INSERT INTO codes_stop AS s (shard, country, until, sent, approved)"
        " VALUES (0, %(country)s, now() + %(for)s * interval '1 second', %(sent)s, %(approved)s)"
        " ON CONFLICT (shard, country) DO UPDATE SET since = now(), until = excluded.until,"
        " sent = excluded.sent, approved = excluded.approved WHERE s.until <= now() RETURNING 1",
        {
            "country": measured.country,
            "for": STOPPED_S,
            "sent": measured.sent,
            "approved": measured.approved,
        },
    )
    return await cursor.fetchone() is not None
