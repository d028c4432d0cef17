"""Roots against rows: whatever was added, altered or taken away since shows, and is named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from outbox.domain.audit import Found, Offender, offender
from outbox.domain.facts import (
    AT_STRIPE,
    LEAF_BYTES,
    TABLES,
    Difference,
    Fact,
    Head,
    Root,
    Seals,
    UnknownKeyError,
    differences,
    fact_of,
    row_of,
    split,
    top_of,
)
from outbox.store.audit_anew import explained
from outbox.store.audit_roots import SETTINGS, Packed, read_facts
from outbox.store.connect import Connection

_AT_ONCE = 60_000
"""Facts that are compared at once: what is in memory, and how often the database is asked."""

_COLUMNS = "minute, facts, leaves, root, key_id, link"


class Span(Struct, frozen=True, kw_only=True):
    """Minutes that are looked at together."""

    begin: datetime | None
    """Null: from the beginning."""
    end: datetime


async def spans(
    connection: Connection, until: datetime | None, since: datetime | None
) -> list[Span]:
    """All that has roots, of every shard, from ``since`` on, in pieces that fit into memory."""
    cursor = await connection.execute(
        "SELECT minute, sum(facts) FROM audit_root WHERE minute >= %s GROUP BY 1 ORDER BY 1",
        (since or "-infinity",),
    )
    found: list[Span] = []
    begin, number = since, 0
    for minute, facts in await cursor.fetchall():
        if number and number + facts > _AT_ONCE:
            found.append(Span(begin=begin, end=minute))
            begin, number = minute, 0
        number += facts
    if until is not None and (begin is None or begin < until):
        found.append(Span(begin=begin, end=until))
    return found


async def check(
    connection: Connection, seals: Seals, heads: Sequence[Head], span: Span
) -> list[Offender]:
    """Compare the roots of a span with each other and the rows.

    What has a root is there for good, so one snapshot for all shards is as good as any other.
    """
    await connection.execute(SETTINGS)
    shards = [head.shard for head in heads]
    packed: defaultdict[int, list[Packed]] = defaultdict(list)
    for each in await read_facts(connection, shards, span.begin, span.end):
        packed[each.shard].append(each)
    roots = await _roots(connection, shards, span)
    before = await _links(connection, shards, span)
    found: list[Offender] = []
    for head in heads:
        mine = roots.pop(head.shard, [])
        found += _chain(seals, head, span, mine, before.get(head.shard))
        found += await _rows(connection, seals, head.shard, mine, packed.pop(head.shard, []))
    return found


async def _rows(
    connection: Connection,
    seals: Seals,
    shard: int,
    roots: Sequence[Root],
    packed: Iterable[Packed],
) -> list[Offender]:
    """The rows of a shard that are not as its roots say."""
    present: defaultdict[datetime, list[Packed]] = defaultdict(list)
    for each in packed:
        present[each.minute.astimezone(UTC)].append(each)
    stored = {root.minute: root for root in roots}
    apart: list[tuple[datetime, Difference]] = []
    for minute in sorted(stored.keys() | present.keys()):
        root = stored.get(minute)
        key_id = seals.key_id if root is None else root.key_id
        try:
            now = sorted(
                leaf
                for each in present[minute]
                for leaf in seals.leaves(each.fact, bytes(each.raw), key_id)
            )
        except UnknownKeyError:
            # Said of the root already.
            continue
        if root is None or root.leaves != b"".join(now):
            before = [] if root is None else split(root.leaves)
            apart += [(minute, each) for each in differences(before, now)]
    return await _offenders(connection, shard, apart)


async def _roots(
    connection: Connection, shards: Sequence[int], span: Span
) -> dict[int, list[Root]]:
    cursor = await connection.execute(
        f"SELECT shard, {_COLUMNS} FROM audit_root"  # noqa: S608 - our own words
        " WHERE shard = ANY(%s) AND minute >= %s AND minute < %s ORDER BY shard, minute",
        (list(shards), span.begin or "-infinity", span.end),
        binary=True,
    )
    found: defaultdict[int, list[Root]] = defaultdict(list)
    names = Root.__struct_fields__
    for shard, minute, *rest in await cursor.fetchall():
        values = (minute.astimezone(UTC), *rest)
        found[shard].append(Root(**dict(zip(names, values, strict=True))))
    return found


async def _links(connection: Connection, shards: Sequence[int], span: Span) -> dict[int, bytes]:
    """The links that the first roots of a span follow."""
    cursor = await connection.execute(
        "SELECT s.shard, l.link FROM unnest(%s::smallint[]) s(shard) CROSS JOIN LATERAL ("
        " SELECT link FROM audit_root r WHERE r.shard = s.shard AND r.minute < %s"
        " ORDER BY minute DESC LIMIT 1) l",
        (list(shards), span.begin or "-infinity"),
        binary=True,
    )
    return {shard: bytes(link) for shard, link in await cursor.fetchall()}


def _chain(
    seals: Seals, head: Head, span: Span, roots: Sequence[Root], before: bytes | None
) -> list[Offender]:
    """Each root by itself and by the one before it; the newest by the head."""
    found, link = [], before or b""
    for root in roots:
        name = f"{head.shard} {root.minute:%Y-%m-%dT%H:%MZ}"
        if (top_of(root.leaves), len(root.leaves)) != (root.root, root.facts * LEAF_BYTES):
            found.append(offender("root_altered", name))
        try:
            if not seals.links(head.shard, root, link):
                found.append(offender("root_missing", name))
        except UnknownKeyError:
            found.append(offender("key_unknown", name))
        link = root.link
    if head.until is not None and span.end >= head.until and link != head.link:
        found.append(offender("head_wrong", f"{head.shard}"))
    return found


async def _offenders(
    connection: Connection, shard: int, apart: Sequence[tuple[datetime, Difference]]
) -> list[Offender]:
    """Who is not as it was stored, without what was rightly stored anew later."""
    if not apart:
        return []
    fine, names = await explained(connection, shard, apart)
    found = set()
    for minute, each in apart:
        if each.check == "row_missing" and (minute, each.name) in fine:
            continue
        kind = fact_of(each.name)
        if each.check == "row_added" and kind in AT_STRIPE:
            continue
        table = "audit_root" if kind is None else TABLES[kind]
        name = names.get(each.name) or row_of(each.name)
        # A notification that ended otherwise is there, and is another one than it was.
        other = each.check == "row_missing" and kind is Fact.OUTCOME
        found.add(offender("row_altered" if other else each.check, name, table=table))
    return sorted(found)


def counted(offenders: Iterable[Offender], *, most: int) -> list[Found]:
    """Offenders by check."""
    by_check: defaultdict[str, set[Offender]] = defaultdict(set)
    for each in offenders:
        by_check[each.check].add(each)
    return [Found(check, len(each), tuple(sorted(each)[:most])) for check, each in by_check.items()]
