"""``pruuf key``: API keys. The secret is printed once, alone, and kept as a hash only."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.table import Table
from sqlalchemy.engine import Engine

from gateway.cli.database import database, settings_or_exit
from gateway.cli.outcome import Exit, err, fail, out
from outbox.settings import Settings
from outbox.store import keys
from outbox.store.connect import owner_engine
from outbox.store.keys import Scope

app = typer.Typer(help="API keys: create, list, revoke.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="For programs.")]


def _engine(settings: Settings) -> Engine:
    # Keys are made by who owns the database; no process role may.
    return owner_engine(settings.require_database())


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who will use it.")],
    scope: Annotated[list[Scope], typer.Option("--scope", help="May be given several times.")],
    as_json: Json = False,  # noqa: FBT002 - a flag
) -> None:
    """Make a key; its secret is printed once, alone, on stdout."""
    with database(settings_or_exit()) as settings, _engine(settings).begin() as connection:
        created = keys.create(connection, name=name, scopes=scope)
    if as_json:
        out.print_json(msgspec.json.encode(created).decode())
    else:
        err.print(f"key {created.id} for {name}: {', '.join(created.scopes)}")
        typer.echo(created.secret)


@app.command("list")
def list_keys(as_json: Json = False) -> None:  # noqa: FBT002 - a flag
    """All keys, revoked ones too."""
    with database(settings_or_exit()) as settings, _engine(settings).connect() as connection:
        found = keys.every_key(connection)
    if as_json:
        out.print_json(msgspec.json.encode(found).decode())
        return
    if not found:
        out.print("No keys yet. Make one: pruuf key create NAME --scope events")
        return
    table = Table("id", "name", "scopes", "made", "last used", "revoked", box=None)
    for key in found:
        moments = (key.created_at, key.last_used_at, key.revoked_at)
        shown = [f"{moment:%Y-%m-%d %H:%M}" if moment else "–" for moment in moments]
        table.add_row(key.id, key.name, " ".join(key.scopes), *shown)
    out.print(table)


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Revoke a key; it stops working within seconds."""
    with database(settings_or_exit()) as settings, _engine(settings).begin() as connection:
        revoked = keys.revoke(connection, key_id)
    if not revoked:
        fail(Exit.BAD_NEWS, f"no key {key_id} that could be revoked", remedy="See: pruuf key list")
    out.print(f"revoked {key_id}")
