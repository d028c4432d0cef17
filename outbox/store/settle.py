"""Settle: append what happened, then move what is still ours; one transaction a batch.

A stale settle (its lease was lost) is kept as an attempt and moves nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct

from outbox.domain.decide import Final, Move
from outbox.domain.outcomes import Outcome
from outbox.store.claims import Claim
from outbox.store.connect import Connection
from outbox.store.recipients import Device
from outbox.store.sql import id_range, rows, statement


class Attempt(Struct, frozen=True, kw_only=True):
    """One call to a provider, as it is appended."""

    channel: str
    outcome: Outcome
    at: datetime
    """Start of the call, by this process's clock; for people, never for decisions."""
    what: str = "send"
    ordinal: int = 0
    sender: int | None = None


class Settlement(Struct, frozen=True, kw_only=True):
    """What became of one claim."""

    claim: Claim
    move: Move | Final
    attempts: tuple[Attempt, ...] = ()
    dead: tuple[Device, ...] = ()
    """Devices whose address the provider no longer knows."""


def attempt_rows(settlements: Iterable[Settlement]) -> list[dict[str, object]]:
    """Rows for ``settle_attempts``."""
    return [
        {
            "seq": s.claim.seq,
            "token": s.claim.token,
            "notification": s.claim.notification,
            "fence": s.claim.fence,
            "ordinal": attempt.ordinal,
            "step": s.claim.step,
            "try": s.claim.attempt,
            "what": attempt.what,
            "channel": attempt.channel,
            "provider": attempt.outcome.provider,
            "sender": attempt.sender,
            "result": attempt.outcome.result,
            "code": attempt.outcome.code,
            "detail": attempt.outcome.detail,
            "provider_id": attempt.outcome.provider_id,
            "at": attempt.at,
            "latency_ms": attempt.outcome.latency_ms,
        }
        for s in settlements
        for attempt in s.attempts
    ]


def _fenced(s: Settlement) -> dict[str, object]:
    return {"seq": s.claim.seq, "token": s.claim.token, "fence": s.claim.fence}


def move_rows(settlements: Iterable[Settlement]) -> list[dict[str, object]]:
    """Rows for ``settle_moves``."""
    return [
        {
            **_fenced(s),
            "work": s.move.work,
            "step": s.move.step,
            "attempt": s.move.attempt,
            "asked": s.move.asked,
            "delay_s": s.move.delay_s,
        }
        for s in settlements
        if isinstance(s.move, Move)
    ]


def parked_rows(settlements: Iterable[Settlement]) -> list[dict[str, object]]:
    """Rows for ``settle_parked``."""
    return [
        {**_fenced(s), "notification": s.claim.notification, "reason": s.move.parked}
        for s in settlements
        if isinstance(s.move, Move) and s.move.parked is not None
    ]


def final_rows(settlements: Iterable[Settlement]) -> list[dict[str, object]]:
    """Rows for ``settle_finals``."""
    return [
        {
            **_fenced(s),
            "state": s.move.state,
            "reason": s.move.reason,
            "proof": s.move.proof,
            "channel": s.move.channel,
            "steps": s.claim.step,
        }
        for s in settlements
        if isinstance(s.move, Final)
    ]


async def run_shard(connection: Connection, shard: int, settlements: Sequence[Settlement]) -> None:
    """Append and move the settlements of one shard in the open transaction."""
    attempts = attempt_rows(settlements)
    if attempts:
        await connection.execute(
            statement("settle_attempts"),
            {"shard": shard, "rows": rows(attempts)},
        )
    for name, values in (
        # Parking looks at fence and owner, so it comes before the move that clears the owner.
        ("settle_parked", parked_rows(settlements)),
        ("settle_moves", move_rows(settlements)),
    ):
        if values:
            await connection.execute(statement(name), {"shard": shard, "rows": rows(values)})
    finals = [s for s in settlements if isinstance(s.move, Final)]
    if finals:
        await connection.execute(
            statement("settle_finals"),
            {
                "shard": shard,
                "rows": rows(final_rows(finals)),
                **id_range(s.claim.notification for s in finals),
            },
        )


async def settle(connection: Connection, settlements: Sequence[Settlement]) -> None:
    """Settle a batch in one transaction; shards in ascending order, as everywhere."""
    by_shard: defaultdict[int, list[Settlement]] = defaultdict(list)
    for settlement in settlements:
        by_shard[settlement.claim.shard].append(settlement)
    async with connection.pipeline(), connection.transaction():
        for shard in sorted(by_shard):
            await run_shard(connection, shard, by_shard[shard])
