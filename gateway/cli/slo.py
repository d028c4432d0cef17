"""``pruuf slo``: the objectives, where they stand, and the budget left; the worst first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import typer
from rich.table import Table

from gateway.cli.database import connection, database, settings_or_exit
from gateway.cli.outcome import Exit, bad, clean, good, out, print_json
from gateway.cli.search import Json
from observability import telling
from observability.judging import Judgement, Standing, hidden, judge
from observability.slos import definitions
from outbox import wording
from outbox.store import objectives
from outbox.store.connect import Role
from outbox.store.objectives import Seen


def slo(
    as_json: Json = False,  # noqa: FBT002 - a flag
) -> None:
    """The objectives: where they stand over 30 days, the budget left, and what fires now."""
    defined = definitions()
    with database(settings_or_exit()) as settings, connection(settings, Role.DASHBOARD) as reader:
        seen = objectives.look(reader, defined)
    judgement = judge(
        defined,
        seen.counted,
        ((each.measure, each.label, each.value) for each in seen.readings),
    )
    if as_json:
        print_json(_shape(judgement, seen))
    else:
        _print(judgement, seen)
    missed = [each for each in judgement.standings if not each.met]
    if missed or any(each.severity == "page" for each in judgement.firing):
        raise typer.Exit(Exit.BAD_NEWS)


def _shape(judgement: Judgement, seen: Seen) -> dict[str, object]:
    return {
        "ok": all(each.met for each in judgement.standings) and not judgement.firing,
        "window_days": definitions().window_days,
        "objectives": [
            {
                "objective": each.key,
                "title": each.title,
                "target": each.target,
                "met": each.met,
                "rate": each.rate,
                "raw_rate": each.raw,
                "budget_left": each.budget_left,
                # Without a budget anything bad burns infinitely fast, which JSON cannot say.
                "burn": each.burn if each.burn != float("inf") else None,
                "good": each.good,
                "bad": each.bad,
                "outcomes": each.outcomes,
                "counted_until": seen.until.get(each.key),
                "runbook": f"runbooks/{each.runbook}",
            }
            for each in judgement.standings
        ],
        "firing": judgement.firing,
    }


def _print(judgement: Judgement, seen: Seen) -> None:
    standings = judgement.standings
    missed = [each for each in standings if not each.met]
    if missed:
        names = ", ".join(each.title for each in missed)
        bad(f"{len(missed)} of {len(standings)} objectives missed: {names}")
    elif any(each.rate is not None for each in standings):
        good(f"all {len(standings)} objectives are met")
    else:
        out.print("Nothing has been counted yet: a relay counts each minute a few minutes later.")
    table = Table("30 days", "objective", "target", "budget left", "burning", "", box=None)
    for column in (0, 2, 3, 4):
        table.columns[column].justify = "right"
    for each in standings:
        table.add_row(
            telling.percent(each.rate),
            each.title,
            telling.target(each.target),
            telling.budget(each),
            telling.burning(each.burn),
            _raw(each),
        )
    out.print(table)
    for each in standings:
        if each.bad:
            out.print(f" {each.title}: {telling.bad(each)} → runbooks/{each.runbook}")
    follows = hidden(definitions(), judgement.firing)
    for fired in judgement.firing:
        if fired.key in follows:
            out.print(clean(f"  follows from the others: {fired.headline}. {fired.detail}"))
            continue
        bad(f"{fired.headline}. {fired.detail} ({fired.severity}) → runbooks/{fired.runbook}")
    out.print(f" {_age(seen.until)}")


def _raw(each: Standing) -> str:
    if each.raw is None or each.raw == each.rate:
        return ""
    return f"{telling.percent(each.raw)} with the recipients' faults"


def _age(until: Mapping[str, datetime]) -> str:
    if not until:
        return "no relay has counted anything yet"
    oldest = min(until.values())
    behind = wording.age((datetime.now(UTC) - oldest).total_seconds())
    return f"counted up to {oldest.astimezone():%H:%M}, {behind}"
