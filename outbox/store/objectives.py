"""Reads what was counted, by window, and how things stand: all that the evaluator asks for."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg
from msgspec import Struct

from observability.judging import Windows
from observability.slos import Definitions
from outbox.domain.acknowledging import Acknowledgement
from outbox.store import acknowledgements, pulse


class Seen(Struct, frozen=True, kw_only=True):
    """One look."""

    counted: Mapping[str, Windows]
    until: Mapping[str, datetime]
    """Minutes before are counted; an objective that nobody ever counted is missing."""
    readings: tuple[pulse.Reading, ...]
    acknowledged: tuple[Acknowledgement, ...] = ()
    """Of what may fire, what somebody knows of already."""


def look(
    connection: psycopg.Connection[Any],
    definitions: Definitions,
    *,
    before: Mapping[str, datetime] | None = None,
) -> Seen:
    """Read everything that `observability.judging.judge` judges; ``before``: see `counts_query`."""
    begun = time.monotonic()
    statement, values = pulse.query()
    rows = connection.execute(statement, values).fetchall()
    took_s = time.monotonic() - begun
    # Not of what is counted for the pages alone.
    heads = connection.execute(
        "SELECT slo, until FROM rollup_head WHERE shard = 0 AND slo = ANY(%s)",
        (list(definitions.slo),),
    ).fetchall()
    return Seen(
        counted=counted(connection, definitions, before=before),
        until=dict(heads),
        readings=(
            *(pulse.Reading(*row) for row in rows),
            pulse.Reading("database_s", "", took_s),
        ),
        acknowledged=tuple(acknowledgements.in_force(connection)),
    )


def counted(
    connection: psycopg.Connection[Any],
    definitions: Definitions,
    *,
    before: Mapping[str, datetime] | None = None,
) -> Mapping[str, Windows]:
    """Outcomes by objective and window, each window ending with the newest counted minute."""
    query, values = counts_query(definitions, before=before)
    return windows_of(connection.execute(query, values).fetchall(), definitions)


def _windows(definitions: Definitions) -> list[int]:
    others = {
        slo.any_bad_within_s for slo in definitions.slo.values() if slo.any_bad_within_s is not None
    }
    return sorted({*definitions.windows_s, definitions.window_s, *others})


def counts_query(
    definitions: Definitions, *, before: Mapping[str, datetime] | None = None
) -> tuple[bytes, Sequence[object]]:
    """The statement that adds up, and its values, for whatever kind of connection.

    ``before``: how far each objective was counted when the window began in which a single bad one
    tells. That window then begins there at the latest: what is counted at last, after a time in
    which nobody did, is old, and news.
    """
    windows = _windows(definitions)
    sums = ", ".join(
        f"coalesce(sum(m.n) FILTER (WHERE m.minute >= h.until - interval '{window} seconds'"
        f" OR (b.within_s = {window} AND m.minute >= b.until)), 0)::bigint"
        for window in windows
    )
    query = (
        f"SELECT m.slo, m.outcome, {sums}"  # noqa: S608 - our own words and numbers
        " FROM rollup_minute m JOIN rollup_head h ON h.shard = 0 AND h.slo = m.slo"
        " LEFT JOIN unnest(%s::text[], %s::bigint[], %s::timestamptz[]) b(slo, within_s, until)"
        " ON b.slo = m.slo"
        " WHERE m.shard = 0 AND m.minute < h.until AND m.slo = ANY(%s)"
        f" AND m.minute >= now() - interval '{definitions.window_s + 86_400} seconds'"
        f" AND m.minute >= h.until - interval '{definitions.window_s} seconds'"
        " GROUP BY m.slo, m.outcome"
    )
    known = before or {}
    within_s = [definitions.slo[slo].any_bad_within_s for slo in known]
    return query.encode(), (list(known), within_s, list(known.values()), list(definitions.slo))


def windows_of(
    rows: Iterable[Sequence[Any]], definitions: Definitions
) -> Mapping[str, Mapping[int, Mapping[str, int]]]:
    """What came of that statement."""
    windows = _windows(definitions)
    found: defaultdict[str, dict[int, dict[str, int]]] = defaultdict(
        lambda: {window: {} for window in windows}
    )
    for slo, outcome, *numbers in rows:
        for window, number in zip(windows, numbers, strict=True):
            if number:
                found[slo][window][outcome] = number
    return found
