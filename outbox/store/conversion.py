"""What verifications add up to, and the end of those that nobody needs any more."""

from __future__ import annotations

from outbox.domain.codes_conversion import Conversion
from outbox.domain.policy import CODE_HOLDS_S
from outbox.store.connect import Connection

_KEPT = {
    # Longer than the longest time over which use is counted.
    "usage_minute": ("shard, key, minute", "minute < now() - interval '2 hours'"),
    "verification": (
        "shard, id",
        "created_at < now() - interval '1 day' * CASE WHEN notification IS NULL THEN 1 ELSE 30 END",
    ),
}
_AT_ONCE = 2000


async def conversions(connection: Connection) -> list[Conversion]:
    """By country, of the hour whose codes have all had their time."""
    cursor = await connection.execute(
        "SELECT country, count(*)::integer, count(approved_at)::integer FROM verification"
        " WHERE created_at > now() - interval '1 hour' - %(holds)s * interval '1 second'"
        " AND created_at <= now() - %(holds)s * interval '1 second'"
        " AND notification IS NOT NULL GROUP BY country ORDER BY country",
        {"holds": CODE_HOLDS_S},
        binary=True,
    )
    return [
        Conversion(country=country, sent=sent, approved=approved)
        for country, sent, approved in await cursor.fetchall()
    ]


async def clear(connection: Connection) -> int:
    """Delete some of what is too old; how many. Nobody waits for such rows, nor locks them."""
    deleted = 0
    for table, (key, old) in _KEPT.items():
        cursor = await connection.execute(
            f"DELETE FROM {table} WHERE ({key}) IN"  # noqa: S608 - our own words
            f" (SELECT {key} FROM {table} WHERE {old} LIMIT {_AT_ONCE})".encode(),
        )
        deleted += cursor.rowcount
    return deleted
