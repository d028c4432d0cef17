"""``pruuf migrate``: brings schema and roles up."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.database import answered, database, settings_or_exit
from gateway.cli.outcome import good, print_json
from outbox.store.migrate import migrate as run_migrations


def migrate(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,  # noqa: FBT002
) -> None:
    """Bring schema and roles up; safe to run from many machines at once."""
    with database(settings_or_exit(), migrated=False) as settings, answered():
        revision = run_migrations(settings.require_database())
    if as_json:
        print_json({"revision": revision})
    else:
        good(f"the schema is at revision {revision}, with its roles and partitions")
