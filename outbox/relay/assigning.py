"""What claims need beside themselves, read in as few round trips as there are kinds of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from outbox.domain import content as contents
from outbox.domain.decide import Standing
from outbox.domain.history import History
from outbox.domain.plans import Channel
from outbox.domain.policy import NOTICE
from outbox.domain.states import Work
from outbox.relay.caller import Assignment
from outbox.relay.faults import plan_of
from outbox.sealing import Sealer, UnsealError
from outbox.store.claims import Claim
from outbox.store.connect import Connection
from outbox.store.followers import Wish, wanting
from outbox.store.history import histories, standings
from outbox.store.recipients import Device, devices


async def assign(
    connection: Connection,
    sealer: Sealer,
    claims: Sequence[Claim],
    claimed_at: float,
) -> list[Assignment]:
    """Read histories, devices and standings; most claims need none of them."""
    past: defaultdict[int, list[UUID]] = defaultdict(list)
    held: defaultdict[int, list[UUID]] = defaultdict(list)
    recipients: set[str] = set()
    wishes: list[Wish] = []
    for claim in claims:
        if _has_a_past(claim):
            past[claim.shard].append(claim.notification)
        if claim.work == Work.HOLD and claim.clears is not None:
            held[claim.shard].append(claim.clears)
        channel = _channel(claim)
        if channel is Channel.PUSH:
            recipients.add(claim.recipient)
        elif channel is Channel.TOPICS:
            wishes += _wish(sealer, claim)
    history = await histories(connection, past) if past else {}
    standing: Mapping[UUID, Standing] = await standings(connection, held) if held else {}
    addresses: Mapping[str, Sequence[Device]] = {}
    if recipients:
        addresses = await devices(connection, sealer, sorted(recipients))
    # Read after the claims were committed: that is what the topics step relies on.
    followers = await wanting(connection, sealer, wishes) if wishes else {}
    return [
        Assignment(
            claim=claim,
            claimed_at=claimed_at,
            history=history.get(claim.notification, History()),
            devices=tuple(
                addresses.get(claim.recipient, ())
                if _channel(claim) is Channel.PUSH
                else followers.get(claim.notification, ())
            ),
            standing=None if claim.clears is None else standing.get(claim.clears),
        )
        for claim in claims
    ]


def _has_a_past(claim: Claim) -> bool:
    """Whether an earlier call may matter; the first claim of a notification has none."""
    return claim.fence > 1 and (
        claim.step > 0
        or claim.work != Work.SEND
        or claim.attempt > 1
        or claim.cancel
        # It is cancelled when it is not so any more, but not where a relay died with its call.
        or claim.kind.startswith(NOTICE)
    )


def _channel(claim: Claim) -> Channel | None:
    """By what a claim is to be sent; null when it is not."""
    try:
        steps = plan_of(claim).steps
    except LookupError:
        # The call will meet the same, and is then set aside by itself.
        return None
    return (
        steps[claim.step].channel if claim.work == Work.SEND and claim.step < len(steps) else None
    )


def _wish(sealer: Sealer, claim: Claim) -> list[Wish]:
    row = str(claim.notification)
    try:
        plain = sealer.unseal(claim.content, table="notification", row=row, field="content")
        content = contents.decode(plain)
    except (UnsealError, msgspec.DecodeError):
        # The call will meet the same, and is then set aside by itself.
        return []
    return [Wish(claim.notification, content.address or "", content.topic or "")]
