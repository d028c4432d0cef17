"""Claims, what is said of their calls, and what became of them; for tests of the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from outbox.domain.callbacks import Callback
from outbox.domain.decide import Final, Move
from outbox.domain.ids import new_id
from outbox.domain.outcomes import Outcome, Result
from outbox.domain.states import State, Work
from outbox.store import receipts
from outbox.store.claims import Claim, claim
from outbox.store.connect import Connection
from outbox.store.receipts import Applied, Taken
from outbox.store.settle import Attempt
from tests.integration.stored import gateway, missed, relay, rows, safety_queue, write

ACCEPTED = Attempt(
    channel="sms",
    at=datetime(2026, 11, 23, tzinfo=UTC),
    outcome=Outcome(result=Result.ACCEPTED, provider="twilio", provider_id="SM1", latency_ms=80),
)
AWAIT = Move(work=Work.AWAIT, step=0, attempt=1, delay_s=15, receipt_within_s=60)
NEXT = Move(work=Work.SEND, step=1, attempt=0)
PARK = Move(work=Work.SEND, step=0, attempt=0, delay_s=None, parked="twilio_20003")
GIVEN_UP = Final(state=State.UNDELIVERABLE, reason="no_receipt")


async def claimed(database_url: str, connection: Connection, number: int = 1) -> list[Claim]:
    """So many alerts of one Member, in a relay's hands."""
    async with gateway(database_url) as intake:
        await write(intake, [missed(*(f"c_{n}" for n in range(number)))])
    return await claim(connection, [(safety_queue("m_1"), number)], lease_s=60)


def said(taken: Claim, status: str, **changed: Any) -> tuple[Taken, Callback]:  # noqa: ANN401
    """What Twilio says of the call of a claim; ``changed`` are fields that differ."""
    callback = Callback(
        source="twilio",
        status=status,
        provider_id="SM1",
        notification=taken.notification,
        step=taken.step,
        fence=taken.fence,
    )
    stored = Taken(new_id(taken.shard), "twilio", b"", datetime.now(UTC))
    return stored, replace(callback, **changed)


async def heard(connection: Connection, *told: tuple[Taken, Callback]) -> Applied:
    """Apply receipts in the open transaction."""
    shard = told[0][0].id.bytes[-1]
    return await receipts.apply(connection, shard, told, classify=lambda *_: Result.CHANNEL_FINAL)


async def applied(connection: Connection, *told: tuple[Taken, Callback]) -> Applied:
    """Apply receipts in one transaction."""
    async with connection.transaction():
        return await heard(connection, *told)


def row(database_url: str) -> tuple[Any, ...] | None:
    """Work, step, whether it is due now, and whether somebody holds it."""
    found = rows(database_url, "SELECT work, step, due_at <= now(), owner IS NOT NULL FROM due")
    return found[0] if found else None


def state_of(database_url: str) -> tuple[Any, ...]:
    """State, reason and proof of the one notification."""
    [row] = rows(database_url, "SELECT state, reason, proof FROM notification")
    return row


@asynccontextmanager
async def two(database_url: str) -> AsyncIterator[tuple[Connection, Connection]]:
    """Two relays."""
    async with relay(database_url) as one, relay(database_url) as other, asyncio.timeout(60):
        yield one, other
