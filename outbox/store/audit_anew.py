"""Which rows were rightly stored anew since their roots were made, and what rows are called.

A leaf names its row by a hash where the row's own name is too long for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from outbox.domain.facts import AT_STRIPE, ID_BYTES, TABLES, Difference, Fact, fact_of, row_of
from outbox.domain.ids import shard_of_id
from outbox.store.connect import Connection
from outbox.store.sql import rows

_MINUTE = timedelta(minutes=1)
# A notification may end anew, if a late receipt says that it arrived, or a person redrove it.
_ENDED_ANEW = (
    "SELECT r.id, r.minute FROM json_to_recordset(%(rows)s::json)"
    " AS r (id uuid, minute timestamptz)"
    " JOIN notification n ON n.shard = %(shard)s AND n.id = r.id"
    " WHERE (n.final_at IS NULL OR n.final_at >= r.minute + interval '1 minute')"
    " AND (EXISTS (SELECT FROM action a WHERE a.shard = %(shard)s AND a.notification = r.id"
    " AND a.result = 'redriven' AND a.at >= r.minute)"
    " OR EXISTS (SELECT FROM receipt c WHERE c.shard = %(shard)s AND c.notification = r.id"
    " AND c.rank >= 9 AND c.stored_at >= r.minute))"
)
_CHANGED_ANEW = (
    "SELECT r.hash, r.minute FROM json_to_recordset(%(rows)s::json)"
    " AS r (hash text, minute timestamptz)"
    " JOIN suppression s ON s.shard = %(shard)s AND s.phone_hash = decode(r.hash, 'hex')"
    " AND s.changed_at >= r.minute + interval '1 minute'"
)
# A key that is not kept for ever is dropped when its time is over: the event that it named says
# whether it was such a one.
_OVER = (
    "SELECT r.id, r.minute FROM json_to_recordset(%(rows)s::json)"
    " AS r (shard smallint, id uuid, minute timestamptz)"
    " JOIN event e ON e.shard = r.shard AND e.id = r.id"
    " WHERE e.accepted_at < now() - interval '30 days' AND e.accepted_at >= r.minute"
    " AND e.accepted_at < r.minute + interval '1 minute'"
    " AND e.type <> 'checkin.missed' AND e.type NOT LIKE 'billing.%%'"
)
# Of a billing fact a leaf has the hash of its words: of what is there, or was posted to us.
_BILLING = (
    "SELECT substring(sha256(convert_to(words, 'UTF8')) FOR 16), words FROM ("
    " SELECT source || ' ' || source_id AS words FROM billing_event WHERE shard = %(shard)s"
    " UNION SELECT 'stripe ' || said FROM inbox WHERE provider = 'stripe'"
    " UNION SELECT 'backend ' || id FROM event WHERE shard = %(shard)s) w"
)
_SPOKEN_OF = (
    "SELECT DISTINCT md5(w.name), w.name FROM billing_event b,"
    " unnest(ARRAY[b.account, b.object]) w(name)"
    " WHERE b.shard = %(shard)s AND md5(w.name) = ANY(%(hashes)s)"
)
_RECIPIENTS = (
    "SELECT substring(sha256(convert_to(id, 'UTF8')) FOR 16), id, updated_at FROM recipient"
    " WHERE shard = %s"
)

Gone = Sequence[tuple[datetime, bytes]]
"""Minutes, and leaves of theirs without a row."""
Apart = Sequence[tuple[datetime, Difference]]


async def explained(
    connection: Connection, shard: int, apart: Apart
) -> tuple[set[tuple[datetime, bytes]], dict[bytes, str]]:
    """Leaves without a row that have their reason; and names of rows, by leaf."""
    fine: set[tuple[datetime, bytes]] = set()
    names: dict[bytes, str] = {}
    for fact, explain in (
        (Fact.OUTCOME, _ended_anew),
        (Fact.KEY, _over),
        (Fact.SUPPRESSION, _changed_anew),
        (Fact.RECIPIENT, _stored_anew),
    ):
        gone = [(m, d.name) for m, d in apart if fact_of(d.name) is fact]
        if gone:
            fine |= await explain(connection, shard, gone, names)
    at_stripe = [(m, d.name) for m, d in apart if fact_of(d.name) in AT_STRIPE]
    fine |= await _told_anew(connection, shard, at_stripe, names)
    if any(fact_of(each.name) is Fact.BILLING for _, each in apart):
        cursor = await connection.execute(_BILLING, {"shard": shard}, binary=True)
        told = {bytes(key): words for key, words in await cursor.fetchall()}
        names |= {d.name: told[key] for _, d in apart if (key := d.name[1 : 1 + ID_BYTES]) in told}
    return fine, names


async def _ended_anew(
    connection: Connection, shard: int, gone: Gone, _: dict[bytes, str]
) -> set[tuple[datetime, bytes]]:
    named = {(m, UUID(bytes=name[1 : 1 + ID_BYTES])): name for m, name in gone}
    values = [{"id": identity, "minute": minute} for minute, identity in named]
    cursor = await connection.execute(_ENDED_ANEW, {"shard": shard, "rows": rows(values)})
    return {
        (minute.astimezone(UTC), named[minute.astimezone(UTC), identity])
        for identity, minute in await cursor.fetchall()
    }


async def _over(
    connection: Connection, _: int, gone: Gone, __: dict[bytes, str]
) -> set[tuple[datetime, bytes]]:
    """A key lies in the shard of its words, and its event in that of its id."""
    named = {(m, UUID(bytes=name[1 : 1 + ID_BYTES])): name for m, name in gone}
    values = [
        {"shard": shard_of_id(identity), "id": identity, "minute": minute}
        for minute, identity in named
    ]
    cursor = await connection.execute(_OVER, {"rows": rows(values)})
    return {
        (minute.astimezone(UTC), named[minute.astimezone(UTC), identity])
        for identity, minute in await cursor.fetchall()
    }


async def _changed_anew(
    connection: Connection, shard: int, gone: Gone, _: dict[bytes, str]
) -> set[tuple[datetime, bytes]]:
    named = {(m, row_of(name)): name for m, name in gone}
    values = [{"hash": hashed, "minute": minute} for minute, hashed in named]
    cursor = await connection.execute(_CHANGED_ANEW, {"shard": shard, "rows": rows(values)})
    return {
        (minute.astimezone(UTC), named[minute.astimezone(UTC), hashed])
        for hashed, minute in await cursor.fetchall()
    }


async def _stored_anew(
    connection: Connection, shard: int, gone: Gone, names: dict[bytes, str]
) -> set[tuple[datetime, bytes]]:
    """A recipient who is gone was erased; one who is there says since when."""
    cursor = await connection.execute(_RECIPIENTS, (shard,), binary=True)
    known = {bytes(key): (name, at) for key, name, at in await cursor.fetchall()}
    fine = set()
    for minute, leaf in gone:
        there = known.get(leaf[1 : 1 + ID_BYTES])
        if there is not None:
            names[leaf] = there[0]
        if there is None or there[1] >= minute + _MINUTE:
            fine.add((minute, leaf))
    return fine


async def _told_anew(
    connection: Connection, shard: int, apart: Gone, names: dict[bytes, str]
) -> set[tuple[datetime, bytes]]:
    """Of what Stripe has, a row that is there says when it changed last."""
    fine = set()
    for fact in sorted(AT_STRIPE):
        mine = [(m, name) for m, name in apart if fact_of(name) is fact]
        if not mine:
            continue
        hashes = sorted({name[1 : 1 + ID_BYTES].hex() for _, name in mine})
        cursor = await connection.execute(
            f"SELECT md5(id), id, changed_at FROM {TABLES[fact]}"  # noqa: S608 - our own words
            " WHERE shard = %s AND md5(id) = ANY(%s)",
            (shard, hashes),
        )
        known = {hashed: (name, at) for hashed, name, at in await cursor.fetchall()}
        if len(known) < len(hashes):
            names |= await _once_named(connection, shard, mine)
        for minute, leaf in mine:
            there = known.get(leaf[1 : 1 + ID_BYTES].hex())
            if there is not None:
                names[leaf] = there[0]
                if there[1] >= minute + _MINUTE:
                    fine.add((minute, leaf))
    return fine


async def _once_named(connection: Connection, shard: int, gone: Gone) -> dict[bytes, str]:
    """What rows that are not there were called, by the facts that speak of them."""
    hashes = [name[1 : 1 + ID_BYTES].hex() for _, name in gone]
    cursor = await connection.execute(_SPOKEN_OF, {"shard": shard, "hashes": hashes})
    told: dict[str, str] = dict(await cursor.fetchall())
    named = ((leaf, told.get(leaf[1 : 1 + ID_BYTES].hex())) for _, leaf in gone)
    return {leaf: name for leaf, name in named if name is not None}
