"""``pruuf audit``: proves that nothing is lost, or names what is; the verdict first."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from msgspec import Struct
from rich.table import Table

from gateway.cli.database import answered, database, settings_or_exit
from gateway.cli.outcome import Exit, bad, clean, good, out, print_json
from gateway.cli.progress import Progress
from gateway.cli.search import Json, Since, moment
from gateway.cli.signals import run
from outbox import wording
from outbox.auditing import Audit, Report
from outbox.domain.audit import CHECKS, Figures, Found
from outbox.domain.ids import SHARDS

_SHOWN = 20
"""Offenders of one cause that a person is shown; a program gets more."""
_LISTED = 100


class Listed(Struct, frozen=True, kw_only=True):
    """An offender, for programs."""

    table: str
    id: str
    why: str
    check: str


def audit(
    since: Since = None,
    as_json: Json = False,  # noqa: FBT002 - a flag
) -> None:
    """Prove that nothing is lost; name what is wrong otherwise. Whole days are looked at."""
    begin = moment(since)
    wanted = Audit(since=begin, most=_LISTED)
    with (
        database(settings_or_exit()) as settings,
        answered(),
        Progress("shards", total=SHARDS) as progress,
    ):
        report = run(wanted.run(settings, advance=progress.advance))
    if as_json:
        print_json(_shape(report))
    else:
        _print(report)
    if not report.ok:
        raise typer.Exit(Exit.BAD_NEWS)


def _shape(report: Report) -> dict[str, object]:
    return {
        "ok": report.ok,
        "accepted": report.total("accepted"),
        "final": report.total("final"),
        "pending": report.total("pending"),
        "parked": report.total("parked"),
        "offenders": [
            Listed(table=each.table, id=each.id, why=each.why, check=each.check)
            for found in report.found
            for each in found.named
        ],
        "offenders_in_all": sum(found.number for found in report.found),
        "kinds": report.figures,
        "until": report.until,
        "took_s": round(report.took_s, 3),
    }


def _print(report: Report) -> None:
    counted = ", ".join(f"{report.total(name):,} {name}" for name in ("final", "pending", "parked"))
    balanced = all(each.balanced for each in report.figures)
    figures = f"{report.total('accepted'):,} accepted {'=' if balanced else '≠'} {counted}"
    if report.ok:
        good(f"nothing is lost: {figures}")
    else:
        number = sum(found.number for found in report.found)
        what = (
            "1 row is not as it should be"
            if number == 1
            else f"{number:,} rows are not as they should be"
        )
        bad(f"{what}: {figures}")
        _causes(report.found)
    _table(report.figures)
    if report.until is None:
        out.print(
            " no root is made yet, so what is missing altogether cannot show: is a relay alive?"
        )
    else:
        out.print(
            f" proven by roots: everything until {report.until.astimezone():%Y-%m-%d %H:%M %Z}"
        )
    out.print(f" looked at everything in {wording.span(report.took_s)}")


def _causes(found: Sequence[Found]) -> None:
    for each in found:
        rule = CHECKS[each.check]
        table = rule.table or ", ".join(sorted({one.table for one in each.named}))
        out.print(f"\n {each.number:,} in {clean(table)}: {rule.why}")
        for one in each.named[:_SHOWN]:
            out.print(
                f"   {clean(one.id)}" if rule.table else f"   {clean(one.table)} {clean(one.id)}"
            )
        if each.number > min(len(each.named), _SHOWN):
            out.print(f"   and {each.number - min(len(each.named), _SHOWN):,} more")
        out.print(f"   → {rule.step}")
    out.print()


def _table(figures: Sequence[Figures]) -> None:
    if not figures:
        return
    table = Table("day", "kind", "accepted", "final", "pending", "parked", "", box=None)
    for column in table.columns[2:6]:
        column.justify = "right"
    for each in figures:
        numbers = (each.accepted, each.final, each.pending, each.parked)
        table.add_row(
            f"{each.day}",
            clean(each.kind),
            *(f"{n:,}" for n in numbers),
            "" if each.balanced else "✗",
        )
    out.print(table)
