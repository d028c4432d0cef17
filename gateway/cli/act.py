"""``pruuf cancel`` and ``pruuf redrive``: what people do by hand to what is sent, or was heard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import msgspec
import typer

from gateway.cli import act_callbacks
from gateway.cli.acting import (
    Acted,
    DryRun,
    Plan,
    Reason,
    Yes,
    ask,
    go,
    identity_of,
    reason_of,
)
from gateway.cli.database import answered, database, reader, settings_or_exit
from gateway.cli.outcome import Exit, bad, clean, err, fail, good, out, print_json
from gateway.cli.progress import Progress
from gateway.cli.search import Json, Kind, Since, about, moment, standing, state_of
from gateway.cli.signals import Stopped, run
from outbox.domain.decide import WITHDRAWN
from outbox.settings import Settings
from outbox.store import actions, listing
from outbox.store.actions import Result
from outbox.store.reading import run as read
from outbox.store.reads import notification
from outbox.store.views import Filter, Summary

_REDRIVABLE = ("parked", "undeliverable", "expired", "suppressed")
_SHOWN = 20
_PAGE = 500

Callbacks = Annotated[
    bool, typer.Option("--callbacks", help="All callbacks that could not be applied.")
]

_WORDS = {
    Result.CANCELLED: "withdrawn; nothing of it was, or ever will be, sent",
    Result.REDRIVEN: "back at work, from its first step",
    Result.ALREADY_FINAL: "at its end, and left as it is",
}
_IN_FLIGHT = {
    "cancel": "called already; no further call is started",
    "redrive": "at work already",
}


def cancel(
    identity: Annotated[str, typer.Argument(metavar="ID", help="Of a notification.")],
    reason: Reason = None,
    dry_run: DryRun = False,  # noqa: FBT002 - a flag
    yes: Yes = False,  # noqa: FBT002 - a flag
    as_json: Json = False,  # noqa: FBT002 - a flag
) -> None:
    """Withdraw a notification. One that had a call already gets no further one."""
    plan = Plan(
        what="cancel",
        act=actions.cancel,
        reason=reason_of(reason, dry_run=dry_run),
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
    )
    wanted = identity_of(identity)
    with database(settings_or_exit()) as settings, answered():
        _one(settings, plan, wanted)


def redrive(
    identity: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Of a notification, or of a callback.")
    ] = None,
    reason: Reason = None,
    callbacks: Callbacks = False,  # noqa: FBT002 - a flag
    state: Annotated[
        str | None, typer.Option(metavar="STATE", help=f"All of them: {', '.join(_REDRIVABLE)}.")
    ] = None,
    kind: Kind = None,
    since: Since = None,
    dry_run: DryRun = False,  # noqa: FBT002 - a flag
    yes: Yes = False,  # noqa: FBT002 - a flag
    as_json: Json = False,  # noqa: FBT002 - a flag
) -> None:
    """Put notifications that are parked, or reached nobody, back to work from their first step.

    What somebody withdrew comes back by its id alone. A callback that could not be applied, as
    pruuf callbacks shows them, is applied once more.
    """
    plan = Plan(
        what="redrive",
        act=actions.redrive,
        reason=reason_of(reason, dry_run=dry_run),
        dry_run=dry_run,
        yes=yes,
        as_json=as_json,
    )
    chosen = [identity is not None, state is not None, callbacks]
    narrowed = (kind and state is None) or (since and identity is not None)
    if sum(chosen) != 1 or narrowed:
        fail(
            Exit.WRONG_USE,
            "either one notification or all of a state — ID, --state — or all callbacks —"
            " --callbacks",
            remedy="pruuf redrive ID, or: pruuf redrive --state parked [--kind K] [--since T],"
            "\nor: pruuf redrive --callbacks [--since T]",
        )
    wanted = None if identity is None else identity_of(identity)
    oldest = moment(since)
    every = Filter(state=state_of(state, _REDRIVABLE), kind=kind, since=oldest, limit=_PAGE)
    with database(settings_or_exit()) as settings, answered():
        if callbacks:
            act_callbacks.redrive_all(settings, plan, since=oldest)
        elif wanted is None:
            _many(settings, plan, every)
        elif not act_callbacks.redrive_one(settings, plan, wanted):
            _one(settings, plan, wanted)


def _one(settings: Settings, plan: Plan, wanted: UUID) -> None:
    with reader(settings) as connection:
        found = read(connection, notification(wanted))
    would = [] if found is None else run(go(settings, plan, [wanted], rehearsed=True))
    if found is None or not would:
        fail(
            Exit.BAD_NEWS,
            f"there is no notification {wanted}",
            remedy="pruuf search shows what there is, pruuf callbacks what could not be applied;"
            " an event is not one of its notifications.",
        )
    if not plan.as_json:
        out.print(f" {clean(about(found))} → {clean(found.recipient)}, {clean(standing(found))}")
    done = would
    if not plan.dry_run:
        if would[0].result != Result.ALREADY_FINAL:
            ask(plan, f"{plan.what} it: {_words(plan, would[0])}")
        done = run(go(settings, plan, [wanted]))
    left = done[0].result == Result.ALREADY_FINAL
    if plan.as_json:
        print_json({**msgspec.structs.asdict(done[0]), "dry_run": plan.dry_run})
    else:
        tell = bad if left else good
        tell(f"{'would be ' if plan.dry_run and not left else ''}{_words(plan, done[0])}")
    if left:
        raise typer.Exit(Exit.BAD_NEWS)


def _words(plan: Plan, acted: Acted) -> str:
    return _WORDS.get(Result(acted.result)) or _IN_FLIGHT[plan.what]


def _many(settings: Settings, plan: Plan, every: Filter) -> None:
    # What somebody withdrew comes back by its own id alone.
    found = [each for each in _found(settings, every) if each.reason != WITHDRAWN]
    would = run(go(settings, plan, [each.id for each in found], rehearsed=True))
    if not plan.as_json:
        _list(found, would)
    done = would
    if found and not plan.dry_run:
        ask(plan, f"{plan.what} {len(found):,} notifications")
        done = []
        try:
            with Progress(plan.what, total=len(found)) as progress:
                run(go(settings, plan, [e.id for e in found], done=done, progress=progress))
        except Stopped as stopped:
            err.print(f"stopped after {len(done):,} of {len(found):,}; the others are as they were")
            raise typer.Exit(stopped.exit_code) from None
    results = Counter(each.result for each in done)
    if plan.as_json:
        print_json({"dry_run": plan.dry_run, "results": results, "items": done})
    elif not found:
        good("nothing fits, nothing is to be done")
    else:
        for result, number in sorted(results.items()):
            told = bad if result == Result.ALREADY_FINAL else good
            told(f"{number:,} {'would be ' if plan.dry_run else ''}{result.replace('_', ' ')}")
    if results[Result.ALREADY_FINAL]:
        raise typer.Exit(Exit.BAD_NEWS)


def _found(settings: Settings, every: Filter) -> list[Summary]:
    found: list[Summary] = []
    with reader(settings) as connection:
        before = None
        while True:
            wanted = msgspec.structs.replace(every, before=before)
            page = read(connection, listing.notifications(wanted))
            found += page.items
            before = page.next
            if before is None:
                return found


def _list(found: Sequence[Summary], would: Sequence[Acted]) -> None:
    changes = {each.id for each in would if each.result == Result.REDRIVEN}
    groups = Counter((each.kind, each.reason or "") for each in found if each.id in changes)
    for (kind, why), number in groups.most_common():
        out.print(f" {number:>6,}  {clean(kind)}  {clean(why)}")
    for each in [each for each in found if each.id in changes][:_SHOWN]:
        out.print(f"   {each.id}  {clean(about(each))} → {clean(each.recipient)}")
    if len(changes) > _SHOWN:
        out.print(f"   and {len(changes) - _SHOWN:,} more")
