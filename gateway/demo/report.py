"""What became of a run: counted from the database, judged against what must have become of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import psycopg
from msgspec import Struct
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.demo.stack import Addresses
from gateway.demo.story import Expected, Happening, Person
from outbox import wording
from outbox.domain import plans

_SHOWN = 10

_KINDS = """
SELECT n.kind, count(*),
       count(*) FILTER (WHERE n.channel = 'sms'), count(*) FILTER (WHERE n.channel = 'push'),
       count(*) FILTER (WHERE n.state IN ('undeliverable', 'expired', 'suppressed')),
       count(*) FILTER (WHERE n.final_at IS NULL),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY first.ms),
       percentile_cont(0.95) WITHIN GROUP (ORDER BY first.ms)
FROM notification n JOIN event e ON e.shard = n.shard AND e.id = n.event
LEFT JOIN LATERAL (SELECT greatest(0, extract(epoch FROM min(a.at) - n.created_at) * 1000) AS ms
                   FROM attempt a WHERE a.shard = n.shard AND a.notification = n.id) first ON true
WHERE e.source = %(source)s GROUP BY n.kind
ORDER BY array_position(ARRAY['checkin.confirmed', 'checkin.missed', 'member.invited'], n.kind)
         NULLS LAST
"""

# Why the text did not do: the carrier's word, the refusal of the call, or neither.
_WHY = """
SELECT r.code, c.code, count(*)
FROM notification n JOIN event e ON e.shard = n.shard AND e.id = n.event
LEFT JOIN LATERAL (SELECT code FROM receipt r
                   WHERE r.shard = n.shard AND r.notification = n.id AND r.rank = 8
                   ORDER BY at LIMIT 1) r ON true
LEFT JOIN LATERAL (SELECT code FROM attempt a
                   WHERE a.shard = n.shard AND a.notification = n.id AND a.step = 0
                   AND a.result NOT IN ('accepted', 'warning')
                   ORDER BY fence DESC LIMIT 1) c ON true
WHERE e.source = %(source)s AND n.channel = 'push' GROUP BY 1, 2
ORDER BY r.code NULLS LAST, c.code NULLS LAST
"""

_TRIED = """
SELECT DISTINCT ON (n.id, a.channel) n.recipient, n.state, a.channel, a.code
FROM notification n JOIN event e ON e.shard = n.shard AND e.id = n.event
LEFT JOIN attempt a ON a.shard = n.shard AND a.notification = n.id
WHERE e.source = %(source)s AND n.state IN ('undeliverable', 'expired', 'suppressed')
ORDER BY n.id, a.channel DESC, a.fence DESC
"""

_EACH = """
SELECT n.recipient, n.kind, n.state, n.channel, n.reason
FROM notification n JOIN event e ON e.shard = n.shard AND e.id = n.event
WHERE e.source = %(source)s
"""

_OPEN = """
SELECT count(*) FROM due d JOIN notification n ON n.shard = d.shard AND n.id = d.notification
JOIN event e ON e.shard = n.shard AND e.id = n.event WHERE e.source = %(source)s
"""


class Kind(Struct, frozen=True, kw_only=True):
    """One line of the table."""

    kind: str
    sent: int
    by_sms: int
    by_push: int
    not_reached: int
    open: int
    """Without an end after the time that a run has."""
    first_try_p50_ms: float | None
    first_try_p95_ms: float | None


class Result(Struct, kw_only=True):
    """The outcome of a run."""

    ok: bool
    seconds: float
    events: int
    notifications: int
    lost: int
    kinds: list[Kind]
    fell_back: dict[str, int]
    not_reached: list[str]
    operator_told: int
    surprises: list[str]
    """Each notification that did not become what it must; empty when all is well."""
    addresses: Addresses


Database = psycopg.Connection[tuple[object, ...]]


def still_open(database: Database, source: str) -> int:
    """Notifications of a run that are not final yet."""
    row = database.execute(_OPEN, {"source": source}).fetchone()
    return int(str(row[0])) if row else 0


def collect(  # noqa: PLR0913 - everything that a run is judged by
    database: Database,
    *,
    source: str,
    happenings: Sequence[Happening],
    people: Sequence[Person],
    ledger: bytes,
    seconds: float,
    addresses: Addresses,
) -> Result:
    """Count and judge a run."""
    values = {"source": source}
    kinds = [
        Kind(
            kind=str(row[0]),
            sent=int(str(row[1])),
            by_sms=int(str(row[2])),
            by_push=int(str(row[3])),
            not_reached=int(str(row[4])),
            open=int(str(row[5])),
            first_try_p50_ms=None if row[6] is None else float(str(row[6])),
            first_try_p95_ms=None if row[7] is None else float(str(row[7])),
        )
        for row in database.execute(_KINDS, values)
    ]
    became = {str(row[0]): row for row in database.execute(_EACH, values)}
    entries = [msgspec.json.decode(line) for line in ledger.splitlines()]
    texted = {entry["to"] for entry in entries if entry["provider"] == "twilio"}
    pages = sum(1 for entry in entries if entry["provider"] == "operator")
    surprises = _surprises(happenings, became, texted)
    lost = sum(1 for happening in happenings if happening.contact not in became)
    return Result(
        ok=not surprises and not lost and pages >= 1,
        seconds=seconds,
        events=len(happenings),
        notifications=sum(kind.sent for kind in kinds),
        lost=lost,
        kinds=kinds,
        fell_back=_fell_back(database, values),
        not_reached=_not_reached(database, values, {each.id: each.name for each in people}),
        operator_told=pages,
        surprises=surprises,
        addresses=addresses,
    )


def _fell_back(database: Database, values: dict[str, str]) -> dict[str, int]:
    within = plans.defaults()["checkin.missed"].steps[0].receipt_within_s
    found: dict[str, int] = {}
    for heard, called, number in database.execute(_WHY, values):
        if heard is not None:
            why = f"undelivered ({heard})"
        elif called is not None:
            why = f"refused ({called})"
        else:
            why = f"no receipt within {within} s"
        found[why] = int(str(number))
    return found


def _not_reached(
    database: Database,
    values: dict[str, str],
    names: Mapping[str, str],
) -> list[str]:
    """``Hana (c_17) has no working number and no device → undeliverable``."""
    lacks: dict[str, list[str]] = {}
    states: dict[str, str] = {}
    for recipient, state, channel, code in database.execute(_TRIED, values):
        who = f"{names.get(str(recipient), 'somebody')} ({recipient})"
        states[who] = str(state)
        words = f"no answer by {wording.channel(str(channel))}"
        if channel == "sms":
            words = "no working number"
        elif code == "no_device":
            words = "no device"
        lacks.setdefault(who, []).append(words)
    return [f"{who} has {' and '.join(what)} → {states[who]}" for who, what in lacks.items()]


def _surprises(
    happenings: Sequence[Happening],
    became: Mapping[str, tuple[object, ...]],
    texted: set[str],
) -> list[str]:
    found = []
    for happening in happenings:
        row = became.get(happening.contact)
        got = (
            None if row is None else Expected(str(row[2]), None if row[3] is None else str(row[3]))
        )
        if got != happening.expected:
            found.append(f"{happening.contact} is {got or 'gone'}, not {happening.expected}")
        elif happening.expected.state == "delivered":
            # The provider's own ledger is the judge, not our database.
            contacts = happening.event["data"].get("contacts") or [
                happening.event["data"]["invitee"]
            ]
            if contacts[0]["phone"] not in texted:
                found.append(f"{happening.contact}: Twilio's ledger has nothing for this number")
    return found


def show(result: Result, console: Console, *, logs: Path) -> None:
    """The table at the end; ``logs`` is where to look when it is not as it must be."""
    table = Table(box=None, pad_edge=True, header_style="dim")
    table.add_column("kind")
    for name in ("sent", "by SMS", "by push", "not reached", "first try p50", "p95"):
        table.add_column(name, justify="right")
    for kind in result.kinds:
        page = kind.kind == "operator.page"
        pushes = "–" if page or kind.kind == "member.invited" else f"{kind.by_push:,}"
        table.add_row(
            wording.kind(kind.kind).lower(),
            f"{kind.sent:,}",
            "–" if page else f"{kind.by_sms:,}",
            pushes,
            f"{kind.not_reached:,}",
            _ms(kind.first_try_p50_ms),
            _ms(kind.first_try_p95_ms),
        )
    title = (
        f" A day at Pruuf — {result.events:,} events, "
        f"{result.notifications:,} notifications, {result.lost} lost"
    )
    took = f"{result.seconds:.1f} s"
    gap = console.measure(table).maximum - cell_len(title) - len(took) - 1
    console.print()
    console.print(Text.assemble((title, "bold"), " " * max(3, gap), (took, "dim")))
    console.print(table)
    fell_back = ", ".join(f"{count} {why}" for why, count in result.fell_back.items())
    console.print(f" Fell back to push: {fell_back or 'nobody'}")
    told = "operator told" if result.operator_told else "the operator was NOT told"
    for who in result.not_reached:
        console.print(f" Not reached: {who}, {told}")
    for surprise in result.surprises[:_SHOWN]:
        console.print(Text.assemble((" ✗", "bold red"), f" not as it must be: {surprise}"))
    if result.ok:
        console.print(Text.assemble((" ✓", "green"), " each became what it must become"))
    else:
        left = sum(kind.open for kind in result.kinds)
        unfinished = f"; {left:,} have no end yet" if left else ""
        verdict = f" not all became what it must become{unfinished}. The logs: {logs}"
        console.print(Text.assemble((" ✗", "bold red"), verdict))
    at = result.addresses
    console.print(f" Dashboard  {at.dashboard}")
    console.print(f" API        {at.gateway}/schema")
    console.print(f" Metrics    {at.gateway}/metrics\n")


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f} ms"
