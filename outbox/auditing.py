"""A whole audit: each shard in one snapshot of its own, then what joins them; one report."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, date, datetime

from msgspec import Struct

from outbox.domain.audit import Figures, Found, Offender, gathered, offender
from outbox.domain.facts import Head, Seals
from outbox.domain.ids import SHARDS
from outbox.sealing import Sealer
from outbox.settings import Settings
from outbox.store import audit, audit_check, audit_roots, audit_sealed
from outbox.store.audit import NOTHING, Scope
from outbox.store.connect import Connection
from outbox.store.reads import SKEW, id_at

Counted = Counter[tuple[str, date, str]]
"""Notifications by kind, day and what became of them; ``accepted`` is known by itself."""


class Report(Struct, frozen=True, kw_only=True):
    """What an audit showed."""

    figures: list[Figures]
    found: list[Found]
    until: datetime | None
    """What was stored before is proven by roots; null: nothing is."""
    took_s: float

    @property
    def ok(self) -> bool:
        """Whether nothing is lost, and every rule holds."""
        return not self.found

    def total(self, name: str) -> int:
        """Of all kinds and days: ``accepted``, ``final``, ``pending``, ``parked``."""
        return sum(getattr(each, name) for each in self.figures)


class Audit(Struct, frozen=True, kw_only=True):
    """What is to be audited."""

    since: datetime | None = None
    """From the beginning of this day on, in UTC; null: everything."""
    most: int = 20
    """Offenders to be named for each cause."""
    shards: Sequence[int] = range(SHARDS)

    def scope(self) -> Scope:
        """As the store wants it."""
        if self.since is None:
            return Scope(low=NOTHING, most=self.most)
        day = self.since.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return Scope(low=id_at(day, slack=SKEW), since=day, most=self.most)

    async def run(self, settings: Settings, *, advance: Callable[[int], None]) -> Report:
        """Carry it out; ``advance`` is told of each shard that is done."""
        began, scope = time.perf_counter(), self.scope()
        sealer, seals = Sealer(settings.keys, settings.lookup_keys), Seals(settings.lookup_keys)
        url = settings.require_database()
        counted: Counted = Counter()
        async with audit.auditor(url) as connection, audit.auditor(url) as other:
            async with audit.snapshot(connection):
                heads = await audit_roots.heads(connection)
            found = self._wrong_heads(seals, heads, await audit_roots.beyond(connection))
            for shard in self.shards:
                # The database is busy with one half while this process is with the other.
                seen, opened = await asyncio.gather(
                    self._ruled(connection, shard, scope, counted),
                    self._opened(other, sealer, shard, scope),
                )
                found += [*seen, *opened]
                advance(1)
            found += await self._proven((connection, other), seals, heads, scope)
            async with audit.snapshot(connection):
                found += await audit.across(connection, scope)
        figures = figures_of(counted, since=scope.since)
        found += unbalanced(figures)
        return Report(
            figures=figures,
            found=gathered(found, most=self.most),
            until=min((head.until for head in heads if head.until), default=None),
            took_s=time.perf_counter() - began,
        )

    def _wrong_heads(
        self, seals: Seals, heads: Sequence[Head], beyond: Collection[int]
    ) -> list[Found]:
        """Shards whose roots do not end where their head says."""
        sound = {head.shard for head in heads if seals.is_ours(head)} - set(beyond)
        wrong = [offender("head_wrong", f"{shard}") for shard in self.shards if shard not in sound]
        return audit_check.counted(wrong, most=self.most)

    @staticmethod
    async def _ruled(
        connection: Connection, shard: int, scope: Scope, counted: Counted
    ) -> list[Found]:
        """The rules of one shard, in one snapshot; its figures are added to ``counted``."""
        async with audit.snapshot(connection):
            seen = await audit.lives(connection, [shard], scope)
            counted.update(seen.classes)
            head = await audit_roots.head(connection, shard)
            counted.update(await audit.accepted(connection, shard, head))
            return [
                *seen.found,
                *await audit.beside(connection, shard, scope),
                *await audit.around(connection, [shard], most=scope.most),
            ]

    async def _opened(
        self, connection: Connection, sealer: Sealer, shard: int, scope: Scope
    ) -> list[Found]:
        """What is sealed in one shard, in one snapshot."""
        async with audit.snapshot(connection):
            unfit = [
                each async for each in audit_sealed.unfit(connection, sealer, shard, scope.low)
            ]
        return audit_check.counted(unfit, most=self.most)

    async def _proven(
        self,
        connections: Sequence[Connection],
        seals: Seals,
        heads: Sequence[Head],
        scope: Scope,
    ) -> list[Found]:
        """Roots against rows: the database hashes one span while this process hashes another."""
        known = [head for head in heads if head.shard in self.shards and seals.is_ours(head)]
        until = max((head.until for head in known if head.until), default=None)
        spans = iter(await audit_check.spans(connections[0], until, scope.since))
        found: list[Offender] = []

        async def compare(connection: Connection) -> None:
            for span in spans:
                async with audit.snapshot(connection):
                    found.extend(await audit_check.check(connection, seals, known, span))

        async with asyncio.TaskGroup() as group:
            for each in connections:
                group.create_task(compare(each))
        return audit_check.counted(found, most=self.most)


def figures_of(counted: Counted, *, since: datetime | None = None) -> list[Figures]:
    """By day and kind, from this day on."""
    first = None if since is None else since.date()
    keys = sorted({(day, kind) for kind, day, _ in counted if first is None or day >= first})
    return [
        Figures(
            kind=kind,
            day=day,
            **{
                each: counted[kind, day, each]
                for each in ("accepted", "final", "pending", "parked")
            },
        )
        for day, kind in keys
    ]


def unbalanced(figures: list[Figures]) -> list[Found]:
    """Kinds and days of which something is lost, or came from nowhere."""
    names = [offender("count_wrong", f"{f.day} {f.kind}") for f in figures if not f.balanced]
    return [Found("count_wrong", len(names), tuple(names))] if names else []
