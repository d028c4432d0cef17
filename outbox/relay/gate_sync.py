"""Shares breakers, holds and rates with the other relays, about once a second.

While the database is away each relay goes by its own judgement, and limited senders rest.
"""

from __future__ import annotations

import asyncio
import logging
from uuid import UUID

from observability.relay_metrics import RelayMetrics
from outbox.domain.rates import BURST_S, Share, Shares, usable_by
from outbox.relay.clock import Clock
from outbox.relay.database import Session
from outbox.relay.gate import PROBE_S, PROBE_WITHIN_S, Gate, Way
from outbox.store import gates
from outbox.store.connect import Connection
from outbox.store.gates import Vote

_log = logging.getLogger(__name__)

_EVERY_S = 1.0
_KNOWN_S = 30.0
"""From saying which senders are in use to saying so again."""

_TOKENS_GOOD_S = 2.0
_LEAST_S = 0.02
"""Between two rounds that hungry calls ask for."""
_SHORT_S = 0.05
"""The same while there are fewer tokens than are wanted: they do not come faster by asking."""


class GateSync:
    """One connection, one loop."""

    def __init__(  # noqa: PLR0913 - all that it needs is passed in
        self,
        gate: Gate,
        *,
        session: Session,
        relay: UUID,
        shares: Shares,
        clock: Clock,
        metrics: RelayMetrics,
    ) -> None:
        """``relay`` is the id under which this process is listed."""
        self._gate = gate
        self._session = session
        self._relay = relay
        self._shares = shares
        self._clock = clock
        self._metrics = metrics
        self._known_at = float("-inf")
        self._voted = False
        self._short = False
        self._stopping = False

    def stop(self) -> None:
        """End `run`."""
        self._stopping = True
        self._gate.hungry.set()

    async def run(self) -> None:
        """Share until stopped."""
        turn = 0
        while not self._stopping:
            self._gate.hungry.clear()
            await self._session.persist(self._round)
            if turn % 30 == 0:
                await self._session.persist(gates.forget_dead)
            turn += 1
            try:
                async with asyncio.timeout(_EVERY_S):
                    await self._gate.hungry.wait()
                    await asyncio.sleep(_SHORT_S if self._short else _LEAST_S)
            except TimeoutError:
                continue

    async def _round(self, connection: Connection) -> None:
        if self._clock() - self._known_at >= _KNOWN_S:
            await gates.know(connection, [way.key for way in self._gate.ways])
            self._known_at = self._clock()
        await self._tell(connection)
        await self._vote(connection)
        await self._learn(connection)
        self._short = False
        for way in self._gate.ways:
            await self._probe(connection, way)
            await self._lease(connection, way)
            self._show(way)

    async def _tell(self, connection: Connection) -> None:
        """Ends of probes, and the providers' own wishes; each is kept until it is told."""
        for way in self._gate.ways:
            while way.ended:
                until = way.breaker.open_until or self._clock()
                await gates.end_probe(
                    connection,
                    self._relay,
                    way.key,
                    ok=way.ended[0],
                    again_s=max(0.0, until - self._clock()),
                )
                way.ended = way.ended[1:]
            until = way.held_until
            if until > way.hold_told:
                await gates.hold(connection, way.key, for_s=max(0.0, until - self._clock()))
                way.hold_told = until

    async def _vote(self, connection: Connection) -> None:
        now = self._clock()
        votes = [
            Vote(
                provider=way.key.provider,
                sender=way.key.sender,
                open_s=max(0.0, way.breaker.open_until - now),
                opened_s=max(0.0, now - way.breaker.turned_at),
                why="calls fail",
            )
            for way in self._gate.ways
            if way.breaker.open_until is not None
        ]
        if votes or self._voted:
            await gates.put_votes(connection, self._relay, votes)
        self._voted = bool(votes)

    async def _learn(self, connection: Connection) -> None:
        held = await gates.shared(connection, self._relay)
        # Afterwards: a provider's wish may end later by a round trip, and never earlier.
        now = self._clock()
        for way in self._gate.ways:
            seen = held.get(way.key)
            if seen is None:
                # Somebody emptied the table: the rows are made again by the next round.
                self._known_at = float("-inf")
                continue
            if seen.closed_since and way.breaker.is_open:
                _log.info("sender %s of %s is back", way.label, way.key.provider)
                way.breaker.close(now)
            if way.shared_open and not seen.is_open and not way.breaker.is_open:
                # It was open for all: come back a little at a time, like who opened it.
                way.breaker.close(now)
            way.shared_open = seen.is_open
            if now + seen.held_s > way.held_until:
                way.held_until = way.hold_told = now + seen.held_s
            way.on_hold_until = now + seen.on_hold_s if seen.on_hold_s else 0.0

    async def _probe(self, connection: Connection, way: Way) -> None:
        now = self._clock()
        until = way.breaker.open_until
        if until is None or until > now or max(way.probe_until, way.probing_until) > now:
            return
        if await gates.lease_probe(connection, self._relay, way.key, for_s=PROBE_S):
            way.probe_until = now + PROBE_WITHIN_S

    async def _lease(self, connection: Connection, way: Way) -> None:
        if way.rate is None:
            return
        wanted, way.wanted = way.wanted, {}
        if self._clock() - way.leased_at > _TOKENS_GOOD_S:
            way.tokens = {}
        for share in Share:
            # About a second's worth at most, and no more than is asked for.
            most = max(1, int(way.rate)) - way.tokens.get(share, 0)
            left = min(wanted.get(share, 0), most)
            for bucket in usable_by(share):
                if left <= 0:
                    break
                part = self._shares.of(bucket) * way.rate
                got = await gates.lease_tokens(
                    connection,
                    way.key,
                    share=bucket,
                    want=left,
                    rate=part,
                    burst=max(1.0, part * BURST_S),
                )
                left -= got
                if got:
                    way.tokens = {**way.tokens, share: way.tokens.get(share, 0) + got}
                    way.leased_at = self._clock()
            self._short |= left > 0

    def _show(self, way: Way) -> None:
        labels = (way.key.provider, way.label)
        is_open = way.breaker.is_open or way.shared_open
        self._metrics.breaker_open.labels(*labels).set(is_open)
        self._metrics.provider_held.labels(*labels).set(self._gate.is_on_hold(way))
        headroom = self._gate.headroom(way)
        if headroom is not None:
            self._metrics.headroom.labels(*labels).set(headroom)
