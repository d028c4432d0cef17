"""What we have of the messages that a provider may list: by its names, and by our references."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from outbox.domain.callbacks import Callback
from outbox.domain.reconciling import REPAIRED, Difference, Ours, Theirs, bits_of, step_of
from outbox.domain.states import Lane
from outbox.sealing import Sealer
from outbox.store import inbox
from outbox.store.connect import Connection
from outbox.store.wake import CHANNEL

_PROVIDER = "twilio"
_SLACK = timedelta(hours=1)
"""Between the clocks of Twilio, of a relay and of the database."""
_LONGEST = timedelta(days=8)
"""From acceptance to the last text: longer than any plan."""
_AT_ONCE = 500

_ATTEMPTS = (
    "SELECT DISTINCT ON (provider_id) provider_id, notification, step, fence, at FROM attempt"
    " WHERE stored_at >= %s AND provider = 'twilio' AND channel = 'sms' AND provider_id IS NOT NULL"
    " ORDER BY provider_id, what = 'ask', fence"
)
_RANKS = (
    "SELECT provider_id, max(rank) FROM receipt WHERE stored_at >= %s AND source = 'twilio'"
    " AND provider_id IS NOT NULL GROUP BY provider_id"
)
# A reference holds the four bytes before an id's last one, and three bits more.
_IDS = (
    "SELECT substring(uuid_send(id) FROM 12 FOR 4), id FROM notification"
    " WHERE created_at >= %s AND substring(uuid_send(id) FROM 12 FOR 4) = ANY(%s)"
)
# Of a call whose answer was lost there may be nothing but its claim.
_CALL = (
    "SELECT coalesce((SELECT max(fence) FROM attempt WHERE shard = %(shard)s"
    " AND notification = %(id)s AND step = %(step)s AND what = 'send' AND provider_id IS NULL),"
    " (SELECT call_fence FROM due WHERE shard = %(shard)s AND notification = %(id)s), 1),"
    " (SELECT created_at FROM notification WHERE shard = %(shard)s AND id = %(id)s),"
    " coalesce((SELECT max(rank) FROM receipt WHERE shard = %(shard)s AND notification = %(id)s"
    " AND provider_id = %(name)s), 0)"
)


async def named(connection: Connection, since: datetime) -> dict[str, Ours]:
    """Attempts since then, by the provider's name for their message."""
    begin = since - _SLACK
    cursor = await connection.execute(_RANKS, (begin,), binary=True)
    ranks: dict[str, int] = dict(await cursor.fetchall())
    cursor = await connection.execute(_ATTEMPTS, (begin,), binary=True)
    return {
        name: Ours(notification=each, step=step, fence=fence, at=at, rank=ranks.get(name, 0))
        for name, each, step, fence, at in await cursor.fetchall()
    }


async def referred(
    connection: Connection, unexplained: Sequence[Theirs], since: datetime
) -> dict[str, Ours]:
    """The calls that references lead to, by reference."""
    wanted: defaultdict[bytes, list[Theirs]] = defaultdict(list)
    for each in unexplained:
        bits = bits_of(each.reference or "")
        if bits is not None:
            wanted[(bits & 0xFFFFFFFF).to_bytes(4)].append(each)
    cursor = await connection.execute(_IDS, (since - _LONGEST, list(wanted)), binary=True)
    found: dict[str, Ours] = {}
    for key, notification in await cursor.fetchall():
        for each in wanted[bytes(key)]:
            reference = each.reference or ""
            step = step_of(reference, notification)
            if step is not None:
                found[reference] = await _call(connection, notification, step, each.provider_id)
    return found


async def _call(connection: Connection, notification: UUID, step: int, name: str) -> Ours:
    shard = notification.bytes[-1]
    given = {"shard": shard, "id": notification, "step": step, "name": name}
    row = await (await connection.execute(_CALL, given)).fetchone()
    if row is None:
        msg = "a SELECT without FROM returned nothing"
        raise RuntimeError(msg)
    return Ours(notification=notification, step=step, fence=row[0], at=row[1], rank=row[2])


async def repair(connection: Connection, sealer: Sealer, differences: Sequence[Difference]) -> int:
    """Put what the provider says into the inbox, as if it had called back; how much was new."""
    heard = [
        Callback(
            source=_PROVIDER,
            status=each.status,
            provider_id=each.provider_id,
            code=each.code,
            notification=each.notification,
            step=each.step,
            fence=each.fence,
        )
        for each in differences
        if each.apart in REPAIRED and each.status is not None and each.notification is not None
    ]
    new = 0
    for first in range(0, len(heard), _AT_ONCE):
        items = [
            inbox.sealed(sealer, callback, lane=int(Lane.TRANSACTIONAL))
            for callback in heard[first : first + _AT_ONCE]
        ]
        async with connection.transaction():
            new += sum(await inbox.store(connection, items))
    await connection.execute("SELECT pg_notify(%s, 'inbox')", (CHANNEL,))
    return new
