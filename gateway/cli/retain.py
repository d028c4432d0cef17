"""``pruuf retain``: drops what has become old, as relays do by themselves, or says what would."""

from __future__ import annotations

from datetime import datetime

import typer
from msgspec import Struct
from rich.table import Table

from gateway.cli.acting import DryRun
from gateway.cli.database import answered, database, settings_or_exit
from gateway.cli.outcome import Exit, good, out, print_json
from gateway.cli.search import Json
from gateway.cli.signals import run
from outbox.domain.policy import Keep
from outbox.store import audit, retention
from outbox.store.connect import Connection, Role, connect
from outbox.store.retention import Dropped
from outbox.store.retention_kinds import KINDS

_COUNTED = 1_000_000
"""More rows than this are not counted one by one."""
_WORDS = {
    "texts": "texts of notifications",
    "late_texts": "… that ended late",
    "events": "bodies of events",
    "callbacks": "applied callbacks",
    "keys": "idempotency keys",
    "revocations": "texts from people",
    "figures": "minutes of figures",
}


class Kept(Struct, frozen=True, kw_only=True):
    """One kind of data."""

    what: str
    days: int
    """So long it is kept once it is finished."""
    until: datetime | None
    """What is older is gone; null: nothing was looked at yet."""
    dropped_ever: int
    rows: int
    """That went now, or would."""


def retain(
    dry_run: DryRun = False,  # noqa: FBT002 - a flag
    as_json: Json = False,  # noqa: FBT002 - a flag
) -> None:
    """Drop texts, names and numbers that are older than the policy keeps them.

    What is unfinished or parked stays, and so does the ledger.
    """
    with database(settings_or_exit()) as settings, answered():
        keep, url = settings.policy.keep, settings.require_database()
        kinds = run(_counted(url, keep) if dry_run else _dropped(url, keep))
    if as_json:
        print_json({"dry_run": dry_run, "kinds": kinds})
    else:
        _print(kinds, dry_run=dry_run)
    raise typer.Exit(Exit.FINE)


async def _counted(url: str, keep: Keep) -> list[Kept]:
    async with audit.auditor(url) as connection:
        rows = [await retention.would_drop(connection, kind, keep, most=_COUNTED) for kind in KINDS]
        return await _told(connection, keep, rows)


async def _dropped(url: str, keep: Keep) -> list[Kept]:
    rows = []
    async with await connect(url, Role.RELAY, application="pruuf retain") as connection:
        for kind in KINDS:
            gone, before = 0, Dropped(more=True)
            while before.more:
                before = await retention.drop(connection, kind, keep, step=before.step)
                gone += before.rows
            rows.append(gone)
        return await _told(connection, keep, rows)


async def _told(connection: Connection, keep: Keep, rows: list[int]) -> list[Kept]:
    stood = await retention.standing(connection)
    return [
        Kept(
            what=kind.what,
            days=kind.days(keep),
            until=stood[kind.what].until,
            dropped_ever=stood[kind.what].dropped,
            rows=number,
        )
        for kind, number in zip(KINDS, rows, strict=True)
    ]


def _print(kinds: list[Kept], *, dry_run: bool) -> None:
    number = sum(each.rows for each in kinds)
    most = "at least " if any(each.rows >= _COUNTED for each in kinds) else ""
    if not number:
        good("nothing is old enough to go")
    else:
        what = "row would lose" if number == 1 else "rows would lose"
        gone = "row lost" if number == 1 else "rows lost"
        good(f"{most}{number:,} {what if dry_run else gone} what is kept no longer")
    table = Table("what", "kept for", "gone up to", "would go" if dry_run else "gone", box=None)
    table.columns[3].justify = "right"
    for each in kinds:
        until = "–" if each.until is None else f"{each.until.astimezone():%Y-%m-%d %H:%M}"
        table.add_row(_WORDS[each.what], f"{each.days} days", until, f"{each.rows:,}")
    out.print(table)
