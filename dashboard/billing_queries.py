"""The read-only SQL of *Billing*: accounts, money at risk, findings, webhooks; no sealed column."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, text

from outbox.domain.billing_entitlement import Paying, entitlement
from outbox.domain.billing_facts import Known, Role, Wish
from outbox.domain.billing_status import Status
from outbox.store.reads import SKEW, id_at

DAY = timedelta(days=1)
_SHOWN = 20

# Accounts that are alike have the same entitlement: counted here, judged by the one function.
_ALIKE = text("""
WITH one AS (
  SELECT DISTINCT ON (shard, account)
         shard, account, id, status, cancel_at_period_end AS ends, period_start,
         coalesce(period_end > now(), false) AS open,
         coalesce(end_reason = 'payment_failed', false) AS unpaid
  FROM subscription
  ORDER BY shard, account, status IN ('canceled', 'incomplete_expired'), created_at DESC, id DESC),
failing AS (
  SELECT shard, account, subscription, min(coalesce(failed_at, finalized_at)) AS since
  FROM invoice WHERE status IN ('open', 'uncollectible') AND attempts > 0 GROUP BY 1, 2, 3)
SELECT a.role, a.member_at IS NOT NULL AS was_member, a.wish, o.status, o.ends, o.open, o.unpaid,
       CASE WHEN a.opened_at IS NULL THEN 'no'
            WHEN a.opened_at > now() - interval '30 days' THEN 'lately'
            ELSE 'long_ago' END AS opened,
       CASE WHEN coalesce(f.since, o.period_start) IS NULL THEN 'no'
            WHEN coalesce(f.since, o.period_start) > now() - interval '14 days' THEN 'lately'
            ELSE 'long_ago' END AS failing,
       CAST(count(*) AS integer) AS number
FROM account a
LEFT JOIN one o ON o.shard = a.shard AND o.account = a.id
LEFT JOIN failing f ON f.shard = o.shard AND f.account = o.account AND f.subscription = o.id
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
""")

_TRIALS = text("""
SELECT s.account, s.trial_end, s.cancel_at_period_end AS ends,
       a.default_method IS NOT NULL OR s.default_method IS NOT NULL AS card,
       CAST(count(*) OVER () AS integer) AS number
FROM subscription s JOIN account a ON a.shard = s.shard AND a.id = s.account
WHERE s.status = 'trialing' AND s.trial_end BETWEEN now() AND now() + interval '7 days'
ORDER BY s.trial_end, s.account LIMIT :shown
""")

_RISK = text("""
SELECT CAST((SELECT coalesce(sum(remaining), 0) FROM invoice
             WHERE status IN ('open', 'uncollectible') AND attempts > 0) AS bigint) AS unpaid,
       CAST((SELECT coalesce(sum(amount), 0) FROM reversal
             WHERE kind = 'dispute' AND status IN ('needs_response', 'under_review',
               'warning_needs_response', 'warning_under_review')) AS bigint) AS disputed
""")

_FINDINGS = text("""
SELECT source, cause, object, account, amount, detail, found_at,
       CAST(count(*) OVER (PARTITION BY source) AS integer) AS number
FROM billing_finding ORDER BY found_at DESC, cause, object LIMIT :shown
""")
_WATCH = text("SELECT source, looked_at, looked_at_rows FROM billing_watch")

_WAITING = text("""
SELECT CAST(count(*) AS integer) AS number, min(received_at) AS oldest
FROM inbox WHERE provider = 'stripe' AND done_at IS NULL
""")
_LAG = text("""
SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (
         ORDER BY CAST(extract(epoch FROM done_at - received_at) AS float8)) AS waits,
       CAST(count(*) FILTER (WHERE note LIKE 'cannot be %') AS integer) AS failed
FROM inbox WHERE id >= :low AND provider = 'stripe' AND done_at IS NOT NULL
""")
_TYPES = text("""
SELECT type, result, CAST(count(*) AS integer) AS number, max(stored_at) AS newest
FROM billing_event WHERE source = 'stripe' AND stored_at >= :since
GROUP BY 1, 2 ORDER BY result NOT IN ('unknown', 'asked'), 3 DESC, 1 LIMIT :shown
""")


class Found(Struct, frozen=True, kw_only=True):
    """A finding as it is shown."""

    source: str
    cause: str
    object: str
    account: str | None
    amount: int
    detail: str
    found_at: datetime


class Trial(Struct, frozen=True, kw_only=True):
    """A trial that ends soon."""

    account: str
    trial_end: datetime
    ends: bool
    card: bool


class Taken(Struct, frozen=True, kw_only=True):
    """Webhooks of one type that were applied."""

    type: str
    result: str
    number: int
    newest: datetime


class Billing(Struct, frozen=True, kw_only=True):
    """Everything that the page shows, of one moment."""

    at: datetime
    entitled: dict[str, int]
    trials: list[Trial]
    trials_ending: int
    unpaid: int
    """Cents."""
    disputed: int
    found: list[Found]
    numbers: dict[str, int]
    """Findings by source."""
    looked: dict[str, tuple[datetime, int]]
    """By source: when somebody looked last, and at how much."""
    waiting: int
    oldest: datetime | None
    lag_p50_s: float | None
    lag_p99_s: float | None
    failed: int
    types: list[Taken]


def read(connection: Connection) -> Billing:
    """Read it all; the connection's transaction should be repeatable read."""
    at: datetime = connection.execute(text("SELECT now()")).scalar_one()
    shown = {"shown": _SHOWN}
    trials = connection.execute(_TRIALS, shown).all()
    risk = connection.execute(_RISK).one()
    found = connection.execute(_FINDINGS, shown).all()
    waiting = connection.execute(_WAITING).one()
    lag = connection.execute(_LAG, {"low": id_at(at - DAY, slack=SKEW)}).one()
    waits = lag.waits or (None, None)
    entitled: Counter[str] = Counter()
    for row in connection.execute(_ALIKE):
        entitled[_entitled(row, at)] += row.number
    return Billing(
        at=at,
        entitled=dict(entitled),
        trials=[
            Trial(account=row.account, trial_end=row.trial_end, ends=row.ends, card=row.card)
            for row in trials
        ],
        trials_ending=trials[0].number if trials else 0,
        unpaid=risk.unpaid,
        disputed=risk.disputed,
        found=[
            Found(**{name: getattr(row, name) for name in Found.__struct_fields__}) for row in found
        ],
        numbers={row.source: row.number for row in found},
        looked={
            row.source: (row.looked_at, row.looked_at_rows) for row in connection.execute(_WATCH)
        },
        waiting=waiting.number,
        oldest=waiting.oldest,
        lag_p50_s=waits[0],
        lag_p99_s=waits[1],
        failed=lag.failed,
        types=[
            Taken(type=row.type, result=row.result, number=row.number, newest=row.newest)
            for row in connection.execute(_TYPES, {"since": at - DAY, **shown})
        ],
    )


_AGO = {"lately": timedelta(minutes=1), "long_ago": timedelta(days=365)}


def _entitled(row: Any, now: datetime) -> str:  # noqa: ANN401 - rows have the columns of their statement
    known = Known(
        role=None if row.role is None else Role(row.role),
        opened_at=None if row.opened == "no" else now - _AGO[row.opened],
        member_at=now if row.was_member else None,
        wish=Wish(row.wish),
    )
    if row.status is None:
        return str(entitlement(known, None, now).entitlement)
    counts = row.status in {"past_due", "unpaid"} or row.unpaid
    failing = now - _AGO[row.failing] if counts and row.failing != "no" else None
    paying = Paying(
        status=Status(row.status),
        period_end=now + DAY if row.open else now - DAY,
        ends=row.ends,
        failing_since=failing,
        ended_unpaid=row.unpaid,
    )
    return str(entitlement(known, paying, now).entitlement)
