"""Stripe's events that were of no account of ours when they were heard.

Whose they are may become known later, by another event, a look or a command: then they are applied
as if they came just now, with all that they do. So it does not matter what is heard first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from outbox.domain.ids import SHARDS
from outbox.store.connect import Connection
from outbox.store.sql import rows, statement

Unowned = tuple[str, Sequence[str]]
"""Stripe's id of an event, and the names by which its owner may become known."""


async def keep(connection: Connection, shard: int, events: Sequence[Unowned]) -> None:
    """Keep events of one shard's inbox, which the open transaction has marked as applied."""
    if not events:
        return
    values = [{"id": event, "names": list(names)} for event, names in dict(events).items()]
    await connection.execute(
        "INSERT INTO billing_unowned (shard, id, names) SELECT %s, id, names"
        " FROM json_to_recordset(%s::json) AS r (id text, names text[])"
        " ON CONFLICT (shard, id) DO UPDATE SET names = excluded.names",
        (shard, rows(values)),
    )
    # What came after them in the same transaction may have told whose they are.
    await reopen(connection, {name for _, names in events for name in names})


async def reopen(connection: Connection, names: Iterable[str]) -> None:
    """These names may have become known: what is somebody's by now is applied once more.

    To be called in the transaction that made them known, or after it.
    """
    wanted = sorted(names)
    if wanted:
        await connection.execute(
            statement("billing_owned"), {"names": wanted, "shards": list(range(SHARDS))}
        )
