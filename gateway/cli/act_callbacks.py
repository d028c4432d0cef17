"""``pruuf redrive`` for callbacks: what could not be applied is put back into the inbox."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from uuid import UUID

import msgspec
import typer
from msgspec.structs import replace

from gateway.cli.acting import Plan, ask, go
from gateway.cli.database import reader
from gateway.cli.outcome import Exit, bad, clean, err, good, out, print_json
from gateway.cli.progress import Progress
from gateway.cli.signals import Stopped, run
from outbox.settings import Settings
from outbox.store import inbox_actions
from outbox.store.actions import Result
from outbox.store.inbox_reads import Failed, Wanted, failures
from outbox.store.reading import run as read

_PAGE = 200
_SHOWN = 20
_INBOX = "inbox"

_WORDS = {
    Result.REDRIVEN: "back in the inbox, to be applied once more",
    Result.IN_FLIGHT: "in the inbox already",
    Result.ALREADY_FINAL: "applied, and left as it is",
}


def _of_callbacks(plan: Plan) -> Plan:
    return replace(plan, act=inbox_actions.redrive, wakes=_INBOX)


def redrive_one(settings: Settings, plan: Plan, wanted: UUID) -> bool:
    """Put one callback back; false where there is no callback of this id."""
    plan = _of_callbacks(plan)
    would = run(go(settings, plan, [wanted], rehearsed=True))
    if not would:
        return False
    done = would
    if not plan.dry_run:
        if would[0].result == Result.REDRIVEN:
            ask(plan, "apply this callback once more")
        done = run(go(settings, plan, [wanted]))
    left = done[0].result == Result.ALREADY_FINAL
    if plan.as_json:
        print_json({**msgspec.structs.asdict(done[0]), "dry_run": plan.dry_run})
    else:
        tell = bad if left else good
        would_be = "would be " if plan.dry_run and done[0].result == Result.REDRIVEN else ""
        tell(f"{would_be}{_WORDS[Result(done[0].result)]}")
    if left:
        raise typer.Exit(Exit.BAD_NEWS)
    return True


def redrive_all(settings: Settings, plan: Plan, *, since: datetime | None) -> None:
    """Put all back that could not be applied and came at or after a time."""
    plan = _of_callbacks(plan)
    found = _found(settings, since)
    if not plan.as_json:
        _list(found)
    ids = [each.id for each in found]
    if plan.dry_run or not found:
        done = run(go(settings, plan, ids, rehearsed=True))
    else:
        ask(plan, f"apply {len(found):,} callbacks once more")
        done = []
        try:
            with Progress(plan.what, total=len(ids)) as progress:
                run(go(settings, plan, ids, done=done, progress=progress))
        except Stopped as stopped:
            err.print(f"stopped after {len(done):,} of {len(ids):,}; the others are as they were")
            raise typer.Exit(stopped.exit_code) from None
    results = Counter(each.result for each in done)
    if plan.as_json:
        print_json({"dry_run": plan.dry_run, "results": results, "items": done})
    elif not found:
        good("nothing fits, nothing is to be done")
    for result, number in sorted(results.items()) if not plan.as_json else ():
        good(f"{number:,} {'would be ' if plan.dry_run else ''}{result.replace('_', ' ')}")


def _found(settings: Settings, since: datetime | None) -> list[Failed]:
    found: list[Failed] = []
    before: UUID | None = None
    with reader(settings) as connection:
        while True:
            wanted = Wanted(since=since, before=before, limit=_PAGE)
            page = read(connection, failures(wanted))
            found += page.items
            before = page.next
            if before is None:
                return found


def _list(found: list[Failed]) -> None:
    groups = Counter((each.provider, each.error) for each in found)
    for (provider, error), number in groups.most_common(_SHOWN):
        out.print(f" {number:>6,}  {clean(provider)}  {clean(error)}")
