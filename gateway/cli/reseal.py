"""``pruuf reseal``: what older keys sealed goes under the newest, so that they can be taken out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import psycopg
import typer
from msgspec import Struct
from rich.table import Table

from gateway.cli.acting import DryRun
from gateway.cli.database import answered, database, settings_or_exit
from gateway.cli.outcome import Exit, bad, good, out, print_json, say
from gateway.cli.progress import Progress
from gateway.cli.search import Json
from outbox.sealing import Sealer
from outbox.settings import Settings
from outbox.store import resealing
from outbox.store.resealing import FIELDS, Field, Row

_PASSES = 5
_BETWEEN_S = 2.0
"""What others held is let go by then."""
_SHOWN = 20
_OLDER = (
    "the older keys can go from PRUUF_KEYS two weeks after the newest was put first"
    " (receipts of what was sent before are signed with them)"
)


class Resealed(Struct, frozen=True, kw_only=True):
    """One column of one table."""

    table: str
    field: str
    resealed: int
    left: int
    """Still under an older key."""
    unreadable: list[str]
    """Rows that no key of PRUUF_KEYS opens, the first of them."""


def reseal(
    dry_run: DryRun = False,  # noqa: FBT002 - a flag
    as_json: Json = False,  # noqa: FBT002 - a flag
) -> None:
    """Seal anew, under the first of PRUUF_KEYS, what older keys sealed.

    Safe beside everything else, to be interrupted, and to run again. Exit 0: the older keys are
    needed no longer.
    """
    with database(settings_or_exit()) as settings, answered():
        fields = _done(settings, dry_run=dry_run)
    if as_json:
        print_json({"dry_run": dry_run, "keys": len(settings.keys), "fields": fields})
    else:
        _print(fields, keys=len(settings.keys), dry_run=dry_run)
    left = any(each.left for each in fields)
    raise typer.Exit(Exit.BAD_NEWS if left else Exit.FINE)


def _done(settings: Settings, *, dry_run: bool) -> list[Resealed]:
    sealer = Sealer(settings.keys, settings.lookup_keys)
    resealed: Counter[Field] = Counter()
    unreadable: dict[Field, dict[str, None]] = {field: {} for field in FIELDS}
    with resealing.connect(settings.require_database()) as connection:
        left = {field: resealing.count(connection, sealer, field) for field in FIELDS}
        for number in range(0 if dry_run else _PASSES):
            unopened = sum(map(len, unreadable.values()))
            if sum(left.values()) <= unopened:
                break
            if number:
                say(f"{sum(left.values()) - unopened} values were in use or came meanwhile: again")
                time.sleep(_BETWEEN_S)
            for step in _pass(connection, sealer, total=sum(left.values())):
                resealed[step.field] += step.resealed
                unreadable[step.field].update(dict.fromkeys(step.unreadable))
            left = {field: resealing.count(connection, sealer, field) for field in FIELDS}
    return [
        Resealed(
            table=field.table,
            field=field.name,
            resealed=resealed[field],
            left=left[field],
            unreadable=list(unreadable[field])[:_SHOWN],
        )
        for field in FIELDS
    ]


def _pass(
    connection: psycopg.Connection[Row], sealer: Sealer, *, total: int
) -> Iterator[resealing.Step]:
    with Progress("sealing anew", total=total) as progress:
        began = time.monotonic()
        for step in resealing.reseal(connection, sealer):
            yield step
            progress.advance(step.resealed + len(step.unreadable))
            if step.resealed:
                # As long as the work took: what is delivered meanwhile keeps its share.
                time.sleep(time.monotonic() - began)
            began = time.monotonic()


def _print(fields: list[Resealed], *, keys: int, dry_run: bool) -> None:
    left, fresh = sum(each.left for each in fields), sum(each.resealed for each in fields)
    lost = [f"{each.table} {row}" for each in fields for row in each.unreadable]
    if lost:
        bad(f"no key of PRUUF_KEYS opens {', '.join(lost[:_SHOWN])}: put the one back that does")
    elif left and dry_run:
        bad(f"{left:,} values are under an older key; pruuf reseal seals them anew")
    elif left:
        bad(f"{left:,} values are under an older key; is a process running that seals with it?")
    else:
        done = f"{fresh:,} values sealed anew; " if fresh else ""
        older = _OLDER if keys > 1 else "there is no other"
        good(f"{done}everything is under the newest key: {older}")
    table = Table("what", "under an older key", "sealed anew", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for each in fields:
        table.add_row(f"{each.table}.{each.field}", f"{each.left:,}", f"{each.resealed:,}")
    out.print(table)
