"""``pruuf erasures``: who asked to be forgotten, and whether they are."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from gateway.cli.database import connection, database, settings_or_exit
from gateway.cli.outcome import Exit, bad, clean, good, out, print_json
from gateway.cli.search import Json
from outbox.store import erasures as stored
from outbox.store.connect import Role
from outbox.store.erasures import Stands

_WAITS = {
    "transactions": "what began before it may still be stored: about a minute",
    "callbacks": "callbacks of before it are not applied: is a relay alive?",
    "notifications": "something with their name or number is unfinished: pruuf search --recipient",
}


def erasures(
    recipient: Annotated[
        str | None, typer.Argument(metavar="[RECIPIENT_ID]", help="Theirs alone.")
    ] = None,
    as_json: Json = False,  # noqa: FBT002 - a flag
) -> None:
    """Who asked to be forgotten, and is not yet; or how it stands with one of them."""
    with database(settings_or_exit()) as settings, connection(settings, Role.DASHBOARD) as reader:
        found = stored.standing(reader, [] if recipient is None else [recipient])
    if as_json:
        print_json({"items": found})
    else:
        _print(found, recipient)
    if recipient is not None and not found:
        raise typer.Exit(Exit.BAD_NEWS)


def _print(found: list[Stands], recipient: str | None) -> None:
    if not found:
        if recipient is None:
            good("nobody waits to be forgotten")
        else:
            bad(f"nobody asked for {clean(recipient)} to be forgotten")
        return
    left = [each for each in found if each.done_at is None]
    if left:
        waits = "person waits" if len(left) == 1 else "people wait"
        bad(f"{len(left)} {waits} to be forgotten")
    else:
        good("nothing of them is left")
    table = Table("recipient", "asked", "done", "rows", "waits for", box=None)
    for each in found:
        done = "–" if each.done_at is None else f"{each.done_at.astimezone():%Y-%m-%d %H:%M:%S}"
        waits_for = _WAITS.get(each.waits_for or "", "–" if each.done_at else "a relay")
        table.add_row(
            clean(each.recipient),
            f"{each.asked_at.astimezone():%Y-%m-%d %H:%M:%S}",
            done,
            f"{each.emptied:,}",
            waits_for,
        )
    out.print(table)
