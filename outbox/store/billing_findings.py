"""What is wrong with billing just now, by the rules and by the reconciler; kept until it is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from outbox.domain.billing_rules import MOST_CENTS, Finding, Stored
from outbox.store import rollup
from outbox.store.connect import Connection
from outbox.store.rollup import Counted
from outbox.store.sql import rows, statement

RULES = "rules"
BOOKS = "stripe"

_COLUMNS = ", ".join(Finding.__struct_fields__)


class Looked(Struct, frozen=True, kw_only=True):
    """When somebody looked last."""

    source: str
    looked_at: datetime
    took_s: float
    looked_at_rows: int


async def broken_rules(connection: Connection, *, price: str | None) -> list[Finding]:
    """All that breaks a rule now; ``price``: the only one there may be, null: not known."""
    cursor = await connection.execute(
        statement("billing_rules"), {"most": MOST_CENTS, "price": price}
    )
    return [
        Finding(**dict(zip(Finding.__struct_fields__, row, strict=True)))
        for row in await cursor.fetchall()
    ]


async def replace(
    connection: Connection,
    source: str,
    found: Sequence[Finding],
    *,
    took_s: float,
    looked_at_rows: int,
) -> list[Finding]:
    """Keep what a whole pass found in place of what was before; those that are new."""
    values = rows([msgspec.structs.asdict(each) for each in found])
    async with connection.transaction():
        await connection.execute(
            "DELETE FROM billing_finding f WHERE shard = 0 AND source = %s AND NOT EXISTS ("
            " SELECT FROM json_to_recordset(%s::json) AS r (cause text, object text)"
            " WHERE r.cause = f.cause AND r.object = f.object)",
            (source, values),
        )
        new = await add(connection, source, found)
        await connection.execute(
            "INSERT INTO billing_watch (shard, source, looked_at, took_s, looked_at_rows)"
            " VALUES (0, %s, now(), %s, %s) ON CONFLICT (shard, source) DO UPDATE SET"
            " looked_at = excluded.looked_at, took_s = excluded.took_s,"
            " looked_at_rows = excluded.looked_at_rows",
            (source, took_s, looked_at_rows),
        )
    return new


async def add(connection: Connection, source: str, found: Sequence[Finding]) -> list[Finding]:
    """Keep what was found beside what is known, in one transaction; those that are new.

    A difference between the books is a billing error, once: when it is found for the first time.
    """
    values = rows([msgspec.structs.asdict(each) for each in found])
    async with connection.transaction():
        cursor = await connection.execute(
            f"INSERT INTO billing_finding AS f (shard, source, {_COLUMNS})"  # noqa: S608 - fixed names
            f" SELECT DISTINCT ON (cause, object) 0, %s, {_COLUMNS}"
            " FROM json_to_recordset(%s::json) AS r (cause text, object text, account text,"
            " amount bigint, detail text) ORDER BY cause, object"
            " ON CONFLICT (shard, source, cause, object) DO UPDATE SET account = excluded.account,"
            " amount = excluded.amount, detail = excluded.detail"
            f" RETURNING found_at = now(), {_COLUMNS}",
            (source, values),
        )
        fresh = [
            Finding(**dict(zip(Finding.__struct_fields__, row[1:], strict=True)))
            for row in await cursor.fetchall()
            if row[0]
        ]
        if source == BOOKS:
            await rollup.add(connection, _drift(fresh))
    return fresh


def _drift(new: Sequence[Finding]) -> list[Counted]:
    causes = Counter(each.cause for each in new)
    return [
        Counted(slo="billing", outcome="drift", kind=BOOKS, code=cause, n=number)
        for cause, number in sorted(causes.items())
    ]


async def stored(connection: Connection, *, limit: int = 1000) -> list[Stored]:
    """All findings, oldest first."""
    cursor = await connection.execute(
        f"SELECT source, found_at, {_COLUMNS} FROM billing_finding"  # noqa: S608 - fixed names
        " ORDER BY found_at, cause, object LIMIT %s",
        (limit,),
    )
    return [
        Stored(
            source=row[0],
            found_at=row[1],
            finding=Finding(**dict(zip(Finding.__struct_fields__, row[2:], strict=True))),
        )
        for row in await cursor.fetchall()
    ]


async def counts(connection: Connection) -> dict[tuple[str, str], int]:
    """How many findings there are, by source and cause."""
    cursor = await connection.execute(
        "SELECT source, cause, count(*) FROM billing_finding GROUP BY 1, 2"
    )
    return {(row[0], row[1]): row[2] for row in await cursor.fetchall()}


async def looked(connection: Connection) -> dict[str, Looked]:
    """The newest whole pass of each source."""
    cursor = await connection.execute(
        "SELECT source, looked_at, took_s, looked_at_rows FROM billing_watch WHERE shard = 0"
    )
    return {
        row[0]: Looked(**dict(zip(Looked.__struct_fields__, row, strict=True)))
        for row in await cursor.fetchall()
    }


async def age_s(connection: Connection, source: str) -> float:
    """Seconds since the newest pass; infinite where there was none."""
    cursor = await connection.execute(
        "SELECT extract(epoch FROM now() - looked_at)::float8 FROM billing_watch"
        " WHERE shard = 0 AND source = %s",
        (source,),
    )
    row = await cursor.fetchone()
    return float("inf") if row is None else float(row[0])
