"""Outcomes of a window for the pages: what was counted, and what is not counted yet, together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from msgspec import Struct

from outbox.store import rollup
from outbox.store.sql import statement

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
OPEN = "open"
"""Outcome of what is not known yet and has time left: neither good nor bad."""

_NOT_KNOWN = {"unknown", "unsent", "waiting"}
_LONGEST = timedelta(days=1)
"""What is read where it lies, when nobody has counted for longer, is cut to this."""


class Minutes(Struct, frozen=True, kw_only=True):
    """Outcomes of one bar."""

    slo: str
    bucket: datetime
    outcome: str
    kind: str
    code: str
    n: int


def read(
    connection: psycopg.Connection[Any],
    slos: Sequence[str],
    *,
    now: datetime,
    length: timedelta,
    bucket: timedelta,
) -> list[Minutes]:
    """Every outcome of these objectives since the window began, in bars of ``bucket``."""
    # A whole bar, and not a part of a minute: minutes are what was counted.
    since = floor(now - length, bucket)
    heads = dict(
        connection.execute(
            "SELECT slo, until FROM rollup_head WHERE shard = 0 AND slo = ANY(%s)", (list(slos),)
        ).fetchall()
    )
    found: Counter[tuple[str, datetime, str, str, str]] = Counter()
    counted = connection.execute(
        statement("seen_minutes"),
        {"since": since, "slos": list(slos), "bucket": bucket},
    )
    for slo, begin, outcome, kind, code, n in counted:
        found[slo, begin, outcome, kind, code] += n
    for slo in slos:
        begin = max(since, heads.get(slo, since), now - _LONGEST)
        for minute, outcome, kind, code, n in connection.execute(
            *rollup.until_now(slo, begin, now + timedelta(minutes=1))
        ):
            known = outcome
            if outcome in _NOT_KNOWN and minute >= now - timedelta(
                seconds=rollup.waits()[slo] + 60
            ):
                known = OPEN
            found[slo, floor(minute, bucket), known, kind, code] += n
    return [
        Minutes(slo=slo, bucket=begin, outcome=outcome, kind=kind, code=code, n=n)
        for (slo, begin, outcome, kind, code), n in sorted(found.items())
    ]


def clock(connection: psycopg.Connection[Any]) -> datetime:
    """The moment of the transaction, by the database's clock."""
    (moment,) = connection.execute("SELECT now()").fetchone() or (None,)
    if not isinstance(moment, datetime):
        msg = "the database tells no time"
        raise TypeError(msg)
    return moment


def floor(moment: datetime, bucket: timedelta) -> datetime:
    """Beginning of the bar that a moment lies in."""
    return moment - (moment - _EPOCH) % bucket
