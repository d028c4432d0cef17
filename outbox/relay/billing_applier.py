"""Applies Stripe's webhooks from the inbox, beside the receipts of alerts and never before them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from functools import partial

from observability.relay_metrics import RelayMetrics
from outbox.domain.billing_facts import STRIPE
from outbox.domain.billing_webhooks import Event, MalformedEventError, decode, row_of
from outbox.domain.content import Content
from outbox.domain.ids import shard_of
from outbox.domain.intake import NewEvent
from outbox.domain.policy import Policy
from outbox.domain.states import Lane
from outbox.drafts import draft, notice_draft, own_event
from outbox.providers.stripe import API_VERSION
from outbox.relay.database import Session
from outbox.relay.inbox_rounds import InboxRounds
from outbox.sealing import Sealer, UnsealError
from outbox.store import billing_marks as marks
from outbox.store import billing_unowned
from outbox.store.billing_effects import Effects, OutOfOrderError
from outbox.store.billing_inbox import Taken, done, shards_waiting, take
from outbox.store.billing_marks import Made
from outbox.store.billing_owners import Owner
from outbox.store.connect import Connection

_log = logging.getLogger(__name__)

_UNLISTED = "unlisted"


def own_command(
    sealer: Sealer, policy: Policy, kind: str, subject: str, about: str | None
) -> NewEvent:
    """An event of our own with one command."""
    command = draft(
        sealer,
        kind=kind,
        recipient=STRIPE,
        locale="en",
        content=Content(about=about),
        shard=shard_of(subject),
        policy=policy,
    )
    return own_event(sealer, type_=kind, subject=subject, notifications=(command,))


class BillingApplier(InboxRounds):
    """One connection, woken with the inbox or by its own poll."""

    _AT_ONCE = 32
    _FAULTS = "billing_inbox"

    def __init__(  # noqa: PLR0913 - all that it needs is passed in
        self,
        *,
        session: Session,
        sealer: Sealer,
        policy: Policy,
        metrics: RelayMetrics,
        wake_lane: Callable[[int], None],
        poll_s: float = 1.0,
    ) -> None:
        """``wake_lane`` is told which lanes have rows that became due."""
        super().__init__(session=session, metrics=metrics, poll_s=poll_s)
        self._sealer = sealer
        self._wake_lane = wake_lane
        self._versions = {API_VERSION}
        self._effects = Effects(
            draft=partial(own_command, sealer, policy),
            page=lambda summary, reason: notice_draft(
                sealer, summary=summary, reason=reason, policy=policy
            ),
        )

    async def _waiting(self, connection: Connection) -> Sequence[int]:
        return await shards_waiting(connection)

    async def _set_aside(self, connection: Connection, shard: int, why: str) -> None:
        _log.error("a webhook of shard %d cannot be applied: %s", shard, why)
        async with connection.transaction():
            batch = await take(connection, shard, 1)
            await done(
                connection, shard, [(each.id, f"cannot be applied: {why}") for each in batch]
            )
        self._metrics.billing_webhooks.labels(_UNLISTED, "failed").inc(len(batch))

    async def _shard(self, connection: Connection, shard: int, limit: int) -> int:
        also: set[Owner] = set()
        while True:
            try:
                return await self._apply(connection, shard, limit, also)
            except OutOfOrderError as error:
                also.add(error.owner)

    async def _apply(
        self, connection: Connection, shard: int, limit: int, also: AbstractSet[Owner]
    ) -> int:
        made: list[tuple[Event | None, Made]] = []
        async with connection.transaction():
            batch = await take(connection, shard, limit)
            if not batch:
                return 0
            events = [(taken, self._open(taken)) for taken in batch]
            told = await self._effects.begin(
                connection, [each for _, each in events if each is not None], also
            )
            notes = []
            for taken, event in events:
                result = (
                    Made("failed", "cannot be read")
                    if event is None
                    else await self._effects.apply(connection, shard, event, told)
                )
                made.append((event, result))
                notes.append((taken.id, result.note))
            await marks.remember(connection, told.heard)
            await done(connection, shard, notes)
            await billing_unowned.keep(connection, shard, told.unowned)
        for event, result in made:
            self._count(event, result)
        if any(result.commands for _, result in made):
            self._wake_lane(int(Lane.TRANSACTIONAL))
        return len(batch)

    def _count(self, event: Event | None, made: Made) -> None:
        known = None if event is None else row_of(event.type)
        type_ = _UNLISTED if known is None else known.type
        self._metrics.billing_webhooks.labels(type_, made.result).inc()
        if event is None or event.api_version is None:
            return
        is_pinned = event.api_version == API_VERSION
        self._metrics.billing_versions.labels("pinned" if is_pinned else "other").inc()
        if event.api_version not in self._versions:
            self._versions.add(event.api_version)
            _log.warning("Stripe tells by the API version %s", event.api_version[:40])

    def _open(self, taken: Taken) -> Event | None:
        try:
            plain = self._sealer.unseal(taken.body, table="inbox", row=str(taken.id), field="body")
            return decode(plain)
        except (UnsealError, MalformedEventError) as error:
            self._metrics.faults.labels(self._FAULTS).inc()
            _log.error("webhook %s cannot be read: %s", taken.id, type(error).__name__)
            return None
