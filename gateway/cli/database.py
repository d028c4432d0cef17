"""The database for a verb: the configured one, or the embedded one, started if need be.

Whatever keeps a verb from its answer is said in words, with the setting's name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import msgspec
import psycopg
import sqlalchemy
from psycopg import errors
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from gateway.cli.outcome import Exit, fail, say
from gateway.cli.signals import undisturbed
from outbox.setting_values import Problem, Reader, read_dotenv
from outbox.settings import Settings, SettingsError, default_data_dir, load
from outbox.store.connect import Role, conninfo, owner_engine
from outbox.store.embedded import EmbeddedPostgres, EmbeddedPostgresError

_NO_SCHEMA = (
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.UndefinedFunction,
    errors.UndefinedObject,
)
_NO_ROLE = re.compile('role "pruuf_[a-z]+" does not exist')
_SAID_LINES = 4


def settings_or_exit(*needs: Callable[[Settings], object]) -> Settings:
    """The settings, with what the verb ``needs``, or exit 2 with everything that is wrong."""
    try:
        settings = load(cwd=Path.cwd())
    except SettingsError as error:
        report(error)
    problems = []
    for need in needs:
        try:
            need(settings)
        except SettingsError as error:
            problems += error.problems
    if problems:
        report(SettingsError(problems))
    return settings


def report(error: SettingsError) -> NoReturn:
    """Say what is wrong with the settings, all of it at once, and exit 2."""
    lines = []
    for problem in error.problems:
        lines += [found(problem), f"    accepted: {problem.accepted}"]
    lines.append("Set them in the environment or in ./.env (.env.example has them all).")
    count = len(error.problems)
    what = "1 setting is" if count == 1 else f"{count} settings are"
    fail(Exit.WRONG_USE, f"{what} missing or wrong", remedy="\n".join(lines))


def found(problem: Problem) -> str:
    """``PRUUF_PORT is 'x' (.env line 3)``."""
    return f"{problem.name} is {'not set' if problem.got == 'nothing' else problem.got}"


def data_dir() -> Path:
    """The data folder, whatever the other settings are; exit 2 when it cannot be one."""
    cwd = Path.cwd()
    try:
        given = Reader(os.environ, read_dotenv(cwd / ".env")).text("PRUUF_DATA_DIR")
    except SettingsError as error:
        report(error)
    folder = default_data_dir(cwd) if given is None else cwd / Path(given).expanduser()
    if folder.exists() and not folder.is_dir():
        fail(Exit.WRONG_USE, f"{folder} is no folder — PRUUF_DATA_DIR")
    return folder


@contextmanager
def database(settings: Settings, *, migrated: bool = True) -> Iterator[Settings]:
    """Settings whose database_url is there; an embedded server started here is stopped again."""
    if settings.database_url is not None:
        yield settings
        return
    with embedded(settings.data_dir) as url:
        if migrated:
            from outbox.store.migrate import migrate  # noqa: PLC0415 - it loads Alembic

            with answered():
                migrate(url)
        yield msgspec.structs.replace(settings, database_url=url)


@contextmanager
def embedded(folder: Path, *, alone: bool = False) -> Iterator[str]:
    """The address of the embedded Postgres of a data folder, while it is used here.

    ``alone``: a server that runs already was left behind by somebody who was killed.
    """
    used: EmbeddedPostgres | None = None
    try:
        with undisturbed():
            server = EmbeddedPostgres(folder, say=say)
            if alone:
                server.stop()
            url, _ = server.ensure()
            used = server
        yield url
    except EmbeddedPostgresError as error:
        remedy = "\n".join(part for part in (error.said, error.remedy) if part)
        fail(Exit.UNREACHABLE, f"the embedded Postgres: {error.what}", remedy=remedy)
    finally:
        if used is not None:
            with undisturbed():
                used.leave()


@contextmanager
def owner(settings: Settings) -> Iterator[sqlalchemy.Connection]:
    """A transaction under the login's own rights; no process role may make keys."""
    with answered(), owner_engine(settings.require_database()).begin() as connection:
        yield connection


@contextmanager
def reader(settings: Settings, role: Role = Role.DASHBOARD) -> Iterator[sqlalchemy.Connection]:
    """One moment of the database; the dashboard's role reads no sealed column and no hash."""
    target = conninfo(settings.require_database(), role, application="pruuf cli")
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(target),
        poolclass=NullPool,
        isolation_level="REPEATABLE READ",
    )
    with answered(), engine.connect() as connection:
        yield connection


@contextmanager
def connection(settings: Settings, role: Role) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """One short-lived plain connection under a role."""
    target = conninfo(settings.require_database(), role, application="pruuf cli")
    with answered(), psycopg.connect(target, autocommit=True) as opened:
        yield opened


@contextmanager
def answered() -> Iterator[None]:
    """Exit 3 with what to do when the database does not answer what is asked in here."""
    try:
        yield
    except (psycopg.Error, DBAPIError) as error:
        what, remedy = trouble(error)
        fail(Exit.UNREACHABLE, f"{what} — DATABASE_URL", remedy=remedy)


def trouble(error: psycopg.Error | DBAPIError) -> tuple[str, str]:
    """What is wrong with the database, and what to do; an error of ours is raised again."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    said = "\n".join(line.strip() for line in str(cause).strip().splitlines()[:_SAID_LINES])
    if isinstance(cause, _NO_SCHEMA) or _NO_ROLE.search(said):
        return "the database has no schema of ours, or another version's", "Run: pruuf migrate"
    if '"transaction_timeout"' in said:
        return "the database is older than Postgres 17", "Use Postgres 17 or newer."
    if isinstance(cause, errors.InsufficientPrivilege) or "permission denied" in said:
        remedy = f"{said}\nUse the login that owns the database."
        return "the database's login may not do this", remedy
    if isinstance(cause, psycopg.OperationalError):
        remedy = f"{said or 'no answer'}\nIs it running, and is the address right?"
        return "the database cannot be reached", remedy
    raise error
