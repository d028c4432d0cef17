"""Use per minute, counted under keyed hashes: what is above its limit is seen by everybody at once.

Counting takes the locks of all its keys first, in one order, and holds them until the commit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from outbox.domain.codes_limits import Used
from outbox.domain.ids import SHARDS
from outbox.sealing import Sealer
from outbox.store.connect import Connection
from outbox.store.intake_rows import b64
from outbox.store.sql import rows, statement


def usage_key(sealer: Sealer, what: str, value: str) -> bytes:
    """The key under which something is counted; tells neither what nor whose."""
    return sealer.lookup(f"usage\0{what}\0{value}")


def shard_of_key(key: bytes) -> int:
    """Shard of a key; its first byte is the look-up key's version."""
    return key[1] % SHARDS


async def lock(connection: Connection, keys: Iterable[bytes]) -> dict[bytes, Used]:
    """Lock these keys in the open transaction; how often each was counted lately."""
    by_shard: defaultdict[int, list[bytes]] = defaultdict(list)
    for key in sorted(set(keys)):
        by_shard[shard_of_key(key)].append(key)
    wanted = [
        {"shard": shard, "key": b64(key)} for shard in sorted(by_shard) for key in by_shard[shard]
    ]
    bound = {"rows": rows(wanted)}
    await connection.execute(statement("usage_rows"), bound)
    for shard in sorted(by_shard):
        of_shard = {"shard": shard, "keys": by_shard[shard]}
        await connection.execute(statement("usage_lock"), of_shard)
    # Planned anew each time: a plan made while the table was small reads all of it for ever.
    sums = statement("usage_sums")
    cursor = await connection.execute(sums, bound, binary=True, prepare=False)
    return {
        bytes(key): Used(minute=minute, ten_minutes=ten, hour=hour)
        for key, minute, ten, hour in await cursor.fetchall()
    }


async def add(connection: Connection, used: Mapping[bytes, Used]) -> None:
    """Write what the open transaction counted of keys that it locked."""
    added = [
        {"shard": shard_of_key(key), "key": b64(key), "added": each.added}
        for key, each in sorted(used.items())
        if each.added
    ]
    if added:
        await connection.execute(statement("usage_add"), {"rows": rows(added)})


async def minute_left_s(connection: Connection) -> int:
    """Whole seconds until the next minute begins, by the database's clock; at least one."""
    cursor = await connection.execute("SELECT ceil(60 - extract(second FROM now()))::integer")
    row = await cursor.fetchone()
    return max(1, row[0]) if row else 60
