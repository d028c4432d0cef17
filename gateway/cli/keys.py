"""``pruuf key``: API keys. The secret is printed once, alone, and kept as a hash only."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from gateway.cli import spans
from gateway.cli.database import database, owner, settings_or_exit
from gateway.cli.outcome import Exit, clean, err, fail, out, print_json
from outbox import wording
from outbox.store import keys
from outbox.store.keys import Scope

app = typer.Typer(help="API keys: create, list, revoke.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="For programs.")]
_LONGEST_NAME = 100
_LONGEST_S = 10 * 365 * 86_400


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who will use it.")],
    scope: Annotated[list[Scope], typer.Option("--scope", help="May be given several times.")],
    lasts: Annotated[
        str | None,
        typer.Option("--for", metavar="SPAN", help="Refused after it, such as 90d; else never."),
    ] = None,
    as_json: Json = False,  # noqa: FBT002 - a flag
) -> None:
    """Make a key; its secret is printed once, alone, on stdout."""
    if not name.strip() or len(name) > _LONGEST_NAME or name != clean(name):
        accepted = f"1 to {_LONGEST_NAME} printable characters that tell who uses it."
        fail(Exit.WRONG_USE, "this name cannot be a key's — NAME", remedy=accepted)
    lasts_s = None if lasts is None else spans.seconds(lasts, least=60, most=_LONGEST_S)
    with database(settings_or_exit()) as settings, owner(settings) as connection:
        created = keys.create(connection, name=name, scopes=scope, lasts_s=lasts_s)
    if as_json:
        print_json(created)
    else:
        ends = "" if lasts_s is None else f", for {wording.span(lasts_s)}"
        err.print(f"key {created.id} for {name} may: {', '.join(created.scopes)}{ends}")
        typer.echo(created.secret)


@app.command("list")
def list_keys(as_json: Json = False) -> None:  # noqa: FBT002 - a flag
    """All keys, revoked ones too."""
    with database(settings_or_exit()) as settings, owner(settings) as connection:
        found = keys.every_key(connection)
    if as_json:
        print_json(found)
        return
    if not found:
        out.print("No keys yet. Make one: pruuf key create NAME --scope events")
        return
    table = Table("id", "name", "scopes", "made", "last used", "ends", "revoked", box=None)
    for key in found:
        moments = (key.created_at, key.last_used_at, key.expires_at, key.revoked_at)
        shown = [f"{at.astimezone():%Y-%m-%d %H:%M}" if at else "–" for at in moments]
        table.add_row(key.id, clean(key.name), " ".join(key.scopes), *shown)
    out.print(table)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As pruuf key list shows it.")],
) -> None:
    """Revoke a key; it stops working within seconds."""
    with database(settings_or_exit()) as settings, owner(settings) as connection:
        revoked = keys.revoke(connection, key_id)
    if not revoked:
        fail(Exit.BAD_NEWS, f"there is no key {key_id}", remedy="See: pruuf key list")
    out.print(f"revoked {key_id}")
