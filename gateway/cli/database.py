"""The database for a verb: the configured one, or the embedded one, started if need be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import msgspec
import psycopg

from gateway.cli.outcome import Exit, err, fail
from outbox.settings import Settings, SettingsError, load
from outbox.store.connect import Role, conninfo
from outbox.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
from outbox.store.migrate import migrate


def settings_or_exit() -> Settings:
    """The settings, or exit 2 with everything that is wrong."""
    try:
        return load(cwd=Path.cwd())
    except SettingsError as error:
        report(error)


def report(error: SettingsError) -> NoReturn:
    """Say what is wrong with the settings, and exit 2."""
    lines = "\n  ".join(
        f"{problem.name}: got {problem.got}\n    accepted: {problem.accepted}"
        for problem in error.problems
    )
    fail(
        Exit.WRONG_USE,
        f"settings: {len(error.problems)} to mend",
        remedy=f"{lines}\nSet them in the environment or in ./.env, then run this again.",
    )


@contextmanager
def database(settings: Settings, *, migrated: bool = True) -> Iterator[Settings]:
    """Settings whose database_url is there; stops the embedded server if it was started here."""
    if settings.database_url is not None:
        yield settings
        return
    embedded = EmbeddedPostgres(settings.data_dir, say=lambda text: err.print(f"[dim]· {text}[/]"))
    try:
        url, started = embedded.ensure()
    except EmbeddedPostgresError as error:
        fail(Exit.UNREACHABLE, "the embedded Postgres does not start", remedy=str(error))
    try:
        if migrated:
            migrate(url)
        yield msgspec.structs.replace(settings, database_url=url)
    finally:
        if started:
            embedded.stop()


@contextmanager
def connection(settings: Settings, role: Role) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """One short-lived connection under a role; exit 3 when the database cannot be reached."""
    url = settings.require_database()
    try:
        opened = psycopg.connect(conninfo(url, role, application="pruuf cli"), autocommit=True)
    except psycopg.OperationalError as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else "no answer"
        fail(
            Exit.UNREACHABLE,
            "the database cannot be reached — DATABASE_URL",
            remedy=f"{first}\n  Is it running, migrated (pruuf migrate), and the address right?",
        )
    with opened:
        yield opened
