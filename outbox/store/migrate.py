"""Brings schema and roles up; safe to run from many machines at once.

One session-level advisory lock serialises everybody; who comes second finds nothing to do.
"""

from __future__ import annotations

from importlib import resources

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import DeadlockDetected
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from outbox.store.connect import owner_engine

_LOCK = 7_738_200
_ROLES = ("pruuf_gateway", "pruuf_relay", "pruuf_dashboard", "pruuf_auditor")
_AHEAD_DAYS = 14
_TRIES = 10


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(resources.files(__package__) / "migrations"))
    return config


def newest_revision() -> str:
    """The revision that this version of the code expects."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def current_revision(connection: Connection) -> str | None:
    """The revision that a database has; null when it has none of our tables."""
    return MigrationContext.configure(connection).get_current_revision()


def _make_roles(connection: Connection) -> None:
    """Create the process roles, which are the cluster's, and let this login assume them."""
    for role in _ROLES:
        connection.execute(
            text(
                # Another database of the same cluster may create them at the same moment; a login
                # that may create none does with those that somebody made for it.
                f"DO $$ BEGIN IF to_regrole('{role}') IS NULL THEN CREATE ROLE {role} NOLOGIN; "
                "END IF; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
            ),
        )
        member = connection.scalar(
            text("SELECT pg_has_role(current_user, CAST(:role AS name), 'SET')"),
            {"role": role},
        )
        if not member:
            connection.execute(text(f"GRANT {role} TO CURRENT_USER"))


def _upgrade(connection: Connection, config: Config) -> None:
    """Run what is missing; again after a deadlock, for all of it is one transaction.

    Processes of the release before go on working, and lock the same tables in an order of theirs.
    """
    for left in reversed(range(_TRIES)):
        try:
            command.upgrade(config, "head")
        except (DeadlockDetected, OperationalError) as error:
            deadlock = isinstance(getattr(error, "orig", error), DeadlockDetected)
            if not deadlock or not left:
                raise
            connection.rollback()
        else:
            return


def migrate(database_url: str) -> str:
    """Migrate to the newest revision, make partitions, and return the revision."""
    engine = owner_engine(database_url)
    with engine.connect() as connection:
        # A migration may wait for another machine's, and may take its time.
        connection.execute(text("SET transaction_timeout = 0"))
        connection.execute(text("SET idle_in_transaction_session_timeout = 0"))
        connection.commit()
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
        try:
            _make_roles(connection)
            connection.commit()
            config = _config()
            config.attributes["connection"] = connection
            _upgrade(connection, config)
            connection.execute(text("SELECT pruuf_make_partitions(:n)"), {"n": _AHEAD_DAYS})
            connection.commit()
            return current_revision(connection) or ""
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
            connection.commit()
            engine.dispose()
