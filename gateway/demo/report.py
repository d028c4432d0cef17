"""What became of a run: counted from the database, judged against what must have become of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import psycopg
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from gateway.demo.stack import Addresses
from gateway.demo.story import Expected, Happening

_NAMES = {
    "checkin.confirmed": "check-in confirmed",
    "checkin.missed": "missed check-in",
    "member.invited": "invite",
    "operator.page": "operator page",
}

_KINDS = """
SELECT n.kind, count(*), count(*) FILTER (WHERE n.channel = 'sms'), count(*) FILTER (WHERE n.channel = 'push'),
       count(*) FILTER (WHERE n.state <> 'delivered'),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY first.ms), percentile_cont(0.95) WITHIN GROUP (ORDER BY first.ms)
FROM notification n JOIN event e ON e.shard = n.shard AND e.id = n.event
LEFT JOIN LATERAL (SELECT greatest(0, extract(epoch FROM min(a.at) - n.created_at) * 1000) AS ms
                   FROM attempt a WHERE a.shard = n.shard AND a.notification = n.id) first ON true
WHERE e.source = %(source)s GROUP BY n.kind
ORDER BY array_position(ARRAY['checkin.confirmed', 'checkin.missed', 'member.invited'], n.kind) NULLS LAST
"""

_WHY = """
SELECT CASE WHEN r.code IS NOT NULL THEN 'undelivered (' || r.code || ')' ELSE 'no receipt in time' END, count(*)
FROM notification n JOIN event e ON e.shard = n.shard AND e.id = n.event
LEFT JOIN LATERAL (SELECT code FROM receipt r WHERE r.shard = n.shard AND r.notification = n.id AND r.rank = 8
                   ORDER BY at LIMIT 1) r ON true
WHERE e.source = %(source)s AND n.channel = 'push' GROUP BY 1 ORDER BY 2 DESC
"""

_EACH = """
SELECT n.recipient, n.kind, n.state, n.channel, n.reason
FROM notification n JOIN event e ON e.shard = n.shard AND e.id = n.event WHERE e.source = %(source)s
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
            first_try_p50_ms=None if row[5] is None else float(str(row[5])),
            first_try_p95_ms=None if row[6] is None else float(str(row[6])),
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
        fell_back={str(row[0]): int(str(row[1])) for row in database.execute(_WHY, values)},
        not_reached=[
            f"{row[0]}: {row[4]}" for row in became.values() if row[2] in {"undeliverable", "expired"}
        ],
        operator_told=pages,
        surprises=surprises,
        addresses=addresses,
    )


def _surprises(
    happenings: Sequence[Happening],
    became: Mapping[str, tuple[object, ...]],
    texted: set[str],
) -> list[str]:
    found = []
    for happening in happenings:
        row = became.get(happening.contact)
        got = None if row is None else Expected(str(row[2]), None if row[3] is None else str(row[3]))
        if got != happening.expected:
            found.append(f"{happening.contact}: expected {happening.expected}, got {got}")
        elif happening.expected.state == "delivered":
            # The provider's own ledger is the judge, not our database.
            contacts = happening.event["data"].get("contacts") or [happening.event["data"]["invitee"]]
            if contacts[0]["phone"] not in texted:
                found.append(f"{happening.contact}: Twilio's ledger has nothing for this number")
    return found


def show(result: Result, console: Console) -> None:
    """The table at the end."""
    title = (
        f"[bold]A day at Pruuf[/] — {result.events:,} events, {result.notifications:,} notifications, "
        f"{result.lost} lost"
    )
    console.print(f"\n {title}   [dim]{result.seconds:.1f} s[/]")
    table = Table(box=None, pad_edge=True, header_style="dim")
    table.add_column("kind")
    for name in ("sent", "by SMS", "by push", "not reached", "first try p50", "p95"):
        table.add_column(name, justify="right")
    for kind in result.kinds:
        pushes = "–" if kind.kind in {"member.invited", "operator.page"} else f"{kind.by_push:,}"
        texts = "–" if kind.kind == "operator.page" else f"{kind.by_sms:,}"
        table.add_row(
            _NAMES.get(kind.kind, kind.kind),
            f"{kind.sent:,}",
            texts,
            pushes,
            f"{kind.not_reached:,}",
            _ms(kind.first_try_p50_ms),
            _ms(kind.first_try_p95_ms),
        )
    console.print(table)
    fell_back = ", ".join(f"{count} {why}" for why, count in result.fell_back.items())
    console.print(f" Fell back to push: {fell_back or 'nobody'}")
    for who in result.not_reached:
        console.print(f" Not reached: {who} → operator told", markup=False)
    for surprise in result.surprises[:10]:
        console.print(f" [bold red]✗[/] not as it must be: {surprise}")
    verdict = "[green]✓[/] all as it must be" if result.ok else "[bold red]✗[/] not all as it must be"
    console.print(f" {verdict}; the operator was told {result.operator_told}×")
    at = result.addresses
    console.print(
        f" Dashboard {at.dashboard}   API {at.gateway}/schema   Metrics {at.gateway}/metrics\n",
        markup=False,
    )


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f} ms"
