"""A callback that could not be applied is put back by a person, who says why; both are recorded."""

from __future__ import annotations

from uuid import UUID

from outbox.domain.ids import new_id, shard_of_id
from outbox.domain.states import Lane
from outbox.store.actions import Done, Result
from outbox.store.connect import Connection

_STATES = {
    Result.REDRIVEN: "waiting",
    Result.IN_FLIGHT: "waiting",
    Result.ALREADY_FINAL: "applied",
}


async def redrive(
    connection: Connection,
    callback: UUID,
    *,
    actor: str,
    reason: str,
) -> Done | None:
    """Let the relays try it again; null when there is no such callback.

    What was applied stays so: an old STOP that is applied once more would undo a later START.
    """
    shard = shard_of_id(callback)
    async with connection.transaction():
        cursor = await connection.execute(
            "SELECT pruuf_redrive_callback(%s::smallint, %s, %s, %s, %s)",
            (shard, callback, new_id(shard), actor, reason),
        )
        row = await cursor.fetchone()
    if row is None or row[0] is None:
        return None
    result = Result(row[0])
    return Done(id=callback, result=result, state=_STATES[result], lane=int(Lane.TRANSACTIONAL))
