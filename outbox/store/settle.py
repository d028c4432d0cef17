"""Settle: append what happened, then move what is still ours; one transaction a batch.

A stale settle (its lease was lost) is kept as an attempt and moves nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from outbox.domain.decide import Final, Move
from outbox.domain.outcomes import Outcome, Result
from outbox.store import inbox, suppressions
from outbox.store.claims import Claim
from outbox.store.connect import Connection
from outbox.store.inbox import InboxItem
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


class Also(Protocol):
    """Facts that are written in the transaction of a settle, by those who know of them."""

    @property
    def place(self) -> tuple[int, str]:
        """Shard and id of the row that it locks: all who lock several do so in this order."""
        ...

    async def hold(self, connection: Connection) -> None:
        """Lock that row, in the open transaction."""
        ...

    async def write(self, connection: Connection) -> None:
        """Write what it locked; it may be run again."""
        ...


class Settlement(Struct, frozen=True, kw_only=True):
    """What became of one claim."""

    claim: Claim
    move: Move | Final
    attempts: tuple[Attempt, ...] = ()
    dead: tuple[Device, ...] = ()
    """Devices whose address the provider no longer knows."""
    blocked: str | None = None
    """Why no call was made: ``down``, ``returning``, ``held``, ``rate``; null when one was."""
    page: str | None = None
    """Why a person must know of this alert although it is not over; null otherwise."""
    heard: tuple[InboxItem, ...] = ()
    """What the provider said when it was asked: applied like what it says by itself."""
    also: Also | None = None
    """What else was learned, of something that is not delivered; null for most."""


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
            "receipt_within_s": s.move.receipt_within_s,
            "suspect": s.move.suspect,
            "anew": s.move.anew,
        }
        for s in settlements
        if isinstance(s.move, Move)
    ]


def parked_rows(settlements: Iterable[Settlement]) -> list[dict[str, object]]:
    """Rows for ``settle_parked``."""
    return [
        {
            **_fenced(s),
            "notification": s.claim.notification,
            "work": s.move.work,
            "reason": s.move.parked,
        }
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
    heard = [entry for settlement in settlements for entry in settlement.heard]
    if heard:
        await inbox.store(connection, heard)
    if attempts:
        await connection.execute(
            statement("settle_attempts"),
            {"shard": shard, "rows": rows(attempts)},
        )
    opted_out = [
        (s.claim.notification, attempt.outcome.code or "")
        for s in settlements
        for attempt in s.attempts
        if attempt.outcome.result is Result.RECIPIENT_SUPPRESSED and attempt.outcome.latency_ms
    ]
    await suppressions.learn(connection, shard, opted_out)
    parked, moves = parked_rows(settlements), move_rows(settlements)
    finals = [s for s in settlements if isinstance(s.move, Final)]
    if parked or (moves and finals):
        # Several statements are to come, and rows are locked in one order by all.
        await connection.execute(
            "SELECT FROM due WHERE shard = %s AND seq = ANY(%s) ORDER BY seq FOR NO KEY UPDATE",
            (shard, [s.claim.seq for s in settlements]),
        )
    # Parking looks at fence and owner, so it comes before the move that clears the owner.
    for name, values in (("settle_parked", parked), ("settle_moves", moves)):
        if values:
            await connection.execute(statement(name), {"shard": shard, "rows": rows(values)})
    if finals:
        await connection.execute(
            statement("settle_finals"),
            {
                "shard": shard,
                "rows": rows(final_rows(finals)),
                **id_range(s.claim.notification for s in finals),
            },
        )


async def learn(connection: Connection, settlements: Iterable[Settlement]) -> None:
    """Write what was learned beside, true whoever holds the claims by now, in the open transaction.

    To be called before any due row is locked, with all that the transaction has of it.
    """
    learned = [settlement.also for settlement in settlements if settlement.also is not None]
    learned.sort(key=lambda also: also.place)
    for each in learned:
        await each.hold(connection)
    for each in learned:
        await each.write(connection)


async def settle(connection: Connection, settlements: Sequence[Settlement]) -> None:
    """Settle a batch in one transaction; shards in ascending order, as everywhere."""
    by_shard: defaultdict[int, list[Settlement]] = defaultdict(list)
    for settlement in settlements:
        by_shard[settlement.claim.shard].append(settlement)
    async with connection.pipeline(), connection.transaction():
        await learn(connection, settlements)
        for shard in sorted(by_shard):
            await run_shard(connection, shard, by_shard[shard])
