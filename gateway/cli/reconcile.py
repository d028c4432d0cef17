"""``pruuf reconcile``: our truth against the providers', both directions; seen, then repaired."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from msgspec import Struct

from gateway.cli import reconcile_stripe
from gateway.cli.database import answered, database, settings_or_exit
from gateway.cli.outcome import Exit, bad, clean, err, fail, good, out, print_json
from gateway.cli.progress import Progress as Shown
from gateway.cli.search import Json, Since, moment
from gateway.cli.signals import Stopped, run
from outbox import wording
from outbox.domain.reconciling import REPAIRED, STEPS, WORDS, Apart, Book, Difference
from outbox.reconciling import Progress, compare
from outbox.sealing import Sealer
from outbox.settings import Settings
from outbox.store import reconciling
from outbox.store.connect import Role, connect

app = typer.Typer(help="Our truth against the providers': twilio, stripe.", no_args_is_help=True)

_DEFAULT = timedelta(days=1)
_SHOWN = 20

Until = Annotated[
    str | None,
    typer.Option(metavar="T", help="Sent before this; goes on where a run was stopped."),
]
Repair = Annotated[
    bool, typer.Option("--repair", help="Take what Twilio says as receipts; asks first.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


class _Outcome(Struct, frozen=True, kw_only=True):
    """What there is to tell."""

    book: Book
    progress: Progress
    repaired: int | None


@app.callback()
def reconcile() -> None:
    """Our truth against the providers', in both directions."""


@app.command()
def twilio(
    since: Since = None,
    until: Until = None,
    repair: Repair = False,  # noqa: FBT002 - a flag
    yes: Yes = False,  # noqa: FBT002 - a flag
    as_json: Json = False,  # noqa: FBT002 - a flag
) -> None:
    """Compare our attempts with Twilio's list of messages; of one day unless told otherwise."""
    begin = moment(since) or datetime.now(UTC) - _DEFAULT
    settings = settings_or_exit(Settings.require_twilio)
    progress = Progress()
    with database(settings) as opened, answered():
        try:
            with Shown("messages", total=None) as shown:
                book = run(_compare(opened, begin, moment(until), progress, shown))
        except Stopped as stopped:
            _go_on(begin, progress)
            raise typer.Exit(stopped.exit_code) from None
        if not as_json:
            _print(book, progress)
        repaired = _repair(opened, book, yes=yes, quiet=as_json) if repair else None
    if as_json:
        print_json(_shape(_Outcome(book=book, progress=progress, repaired=repaired)))
    left = [e for e in book.found if repaired is None or e.apart not in REPAIRED]
    if left:
        raise typer.Exit(Exit.BAD_NEWS)


@app.command()
def stripe(
    since: Since = None,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be; asks first.")] = False,  # noqa: FBT002 - a flag
    yes: Yes = False,  # noqa: FBT002 - a flag
    as_json: Json = False,  # noqa: FBT002 - a flag
) -> None:
    """Compare every customer and subscription at Stripe with ours, and the rules of billing."""
    reconcile_stripe.stripe(since, repair=repair, yes=yes, as_json=as_json)


async def _compare(
    settings: Settings,
    since: datetime,
    until: datetime | None,
    progress: Progress,
    shown: Shown,
) -> Book:
    from outbox.providers.twilio import LookupFailedError  # noqa: PLC0415 - others need not wait
    from outbox.providers.wiring import texts  # noqa: PLC0415 - as above

    try:
        async with texts(settings) as sms:
            return await compare(
                settings.require_database(),
                sms,
                since=since,
                until=until,
                progress=progress,
                advance=shown.advance,
            )
    except LookupFailedError as error:
        _go_on(since, progress)
        why = wording.with_code("twilio", error.code)
        remedy = "Is it reachable, and are the credentials right? pruuf doctor"
        fail(Exit.UNREACHABLE, f"Twilio cannot be asked: {why}", remedy=remedy)


def _go_on(since: datetime, progress: Progress) -> None:
    """Say how to go on where it stopped."""
    if progress.oldest is not None:
        err.print(
            f"stopped after {progress.messages:,} messages; goes on with:"
            f" pruuf reconcile twilio --since {since:%Y-%m-%dT%H:%M:%SZ}"
            f" --until {progress.oldest:%Y-%m-%dT%H:%M:%SZ}"
        )


def _shape(outcome: _Outcome) -> dict[str, object]:
    book = outcome.book
    of = {each: [d for d in book.found if d.apart is each] for each in Apart}
    return {
        "ok": not book.found,
        "at_twilio": outcome.progress.messages,
        "agreed": book.agreed,
        "others": book.others,
        **{str(each): found for each, found in of.items()},
        "repaired": outcome.repaired,
    }


def _print(book: Book, progress: Progress) -> None:
    figures = f"{progress.messages:,} messages at Twilio, {book.agreed:,} as we have them"
    if book.found:
        bad(f"{len(book.found):,} differ: {figures}")
    else:
        good(f"both sides tell the same: {figures}")
    if book.others:
        out.print(f" {book.others:,} are none of ours: they end in no reference")
    for apart in Apart:
        found = [each for each in book.found if each.apart is apart]
        if found:
            _list(apart, found)


def _list(apart: Apart, found: Sequence[Difference]) -> None:
    out.print(f"\n {len(found):,} {WORDS[apart]}")
    for each in found[:_SHOWN]:
        status = each.status or "–"
        if each.code:
            status = f"{status} ({each.code})"
        out.print(clean(f"   {each.provider_id}  {status}  {each.notification or '–'}"))
    if len(found) > _SHOWN:
        out.print(f"   and {len(found) - _SHOWN:,} more")
    out.print(f"   → {STEPS[apart]}")


def _repair(settings: Settings, book: Book, *, yes: bool, quiet: bool) -> int:
    """Take what Twilio says as receipts, once somebody has seen what that is."""
    found = [each for each in book.found if each.apart in REPAIRED]
    if not found:
        return 0
    if not yes:
        if not sys.stdin.isatty():
            remedy = "See first what differs without --repair, then add --yes."
            fail(Exit.WRONG_USE, "there is nobody to ask — --yes", remedy=remedy)
        if not typer.confirm(f" take {len(found):,} as receipts?", err=True):
            fail(Exit.BAD_NEWS, "nothing was done")
    new = run(_store(settings, found))
    if not quiet:
        known = "" if new == len(found) else f" ({len(found) - new:,} were there already)"
        good(f"{new:,} put into the inbox{known}; a relay applies them")
    return new


async def _store(settings: Settings, found: Sequence[Difference]) -> int:
    sealer = Sealer(settings.keys, settings.lookup_keys)
    url = settings.require_database()
    async with await connect(url, Role.GATEWAY, application="pruuf cli") as connection:
        return await reconciling.repair(connection, sealer, found)
