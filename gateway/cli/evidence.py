"""``pruuf evidence``: what a provider's support asks for, without a word about a person."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from gateway.cli.database import database, reader, settings_or_exit
from gateway.cli.outcome import Exit, clean, err, fail, out, print_json
from gateway.cli.search import Json, moment
from outbox import wording
from outbox.store.evidence import Evidence, Item, Sought, evidence
from outbox.store.reading import run

_PROVIDERS = ("twilio", "fcm", "stripe")
_MOST = 5_000


def collect(
    provider: Annotated[str, typer.Argument(metavar="PROVIDER", help=", ".join(_PROVIDERS))],
    since: Annotated[
        str, typer.Option(metavar="T", help="2026-01-31T09:00:00Z, or so long ago: 30m, 2h, 3d.")
    ] = "1h",
    until: Annotated[str | None, typer.Option(metavar="T", help="By default: now.")] = None,
    code: Annotated[
        str | None, typer.Option(help="Only what got this code, at once or later.")
    ] = None,
    every: Annotated[bool, typer.Option("--every", help="What went well, too.")] = False,  # noqa: FBT002
    limit: Annotated[int, typer.Option(min=1, max=_MOST)] = 200,
    as_json: Json = False,  # noqa: FBT002 - a flag
) -> None:
    """The failed calls of a time, for the provider's support: its ids, its answers, times in UTC.

    Nothing of it names a person: no number, no name, no text. Our reference finds the call again.
    """
    if provider not in _PROVIDERS:
        accepted = f"accepted: {', '.join(_PROVIDERS)}"
        fail(Exit.WRONG_USE, f"{provider} is no provider of ours", remedy=accepted)
    begin, end = moment(since), moment(until) or datetime.now(UTC)
    sought = Sought(
        provider=provider,
        since=begin or end,
        until=end,
        code=code,
        every=every,
        limit=limit,
    )
    if sought.since >= sought.until:
        fail(Exit.WRONG_USE, "that time ends before it begins — --since, --until")
    with database(settings_or_exit()) as settings, reader(settings) as connection:
        found = run(connection, evidence(sought))
    if as_json:
        print_json(found)
    else:
        _print(found, every=every or code is not None)


def _print(found: Evidence, *, every: bool) -> None:
    named = wording.provider(found.provider)
    what = "that fit" if every else "with a bad end"
    more = "more than " if found.more else ""
    out.print(
        f"{named}, {_utc(found.since)} to {_utc(found.until)} UTC:"
        f" {found.calls:,} calls, {more}{len(found.items):,} {what}"
    )
    if not found.items:
        return
    out.print(_causes(found))
    table = Table("at, UTC", f"id at {named}", "answer", "after", "said later", box=None)
    for item in found.items:
        table.add_row(
            f"{item.at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3],
            clean(item.provider_id or "none: it gave none"),
            clean(_answer(item)),
            f"{item.latency_ms:,} ms",
            clean(_heard(item)),
        )
    out.print(table)
    if found.more:
        err.print(f"There are more than {len(found.items):,}: --limit, or a shorter time.")
    err.print("Our references, which find a call again, are in --json.")


def _causes(found: Evidence) -> Table:
    causes = Counter(_cause(item) for item in found.items)
    table = Table("calls", "code", "which means", "first, UTC", "last, UTC", box=None)
    table.columns[0].justify = "right"
    for cause, number in causes.most_common():
        times = [item.at for item in found.items if _cause(item) == cause]
        words = "" if cause is None else wording.code_words(found.provider, cause)
        table.add_row(
            f"{number:,}", clean(cause or "–"), clean(words), _utc(min(times)), _utc(max(times))
        )
    return table


def _cause(item: Item) -> str | None:
    """The last code that was told of a call."""
    return next((each.code for each in reversed(item.heard) if each.code), item.code)


def _answer(item: Item) -> str:
    words = item.result.replace("_", " ")
    return words if item.code is None else f"{words}, {item.code}"


def _heard(item: Item) -> str:
    return "; ".join(
        each.status if each.code is None else f"{each.status}, {each.code}" for each in item.heard
    )


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
