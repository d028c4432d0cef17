"""Brings schema and roles up; safe to run from many machines at once.

One session-level advisory lock serialises everybody; who comes second finds nothing to do.
"""

from __future__ import annotations

from importlib import resources

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from outbox.store.connect import owner_engine

_LOCK = 7_738_200
_ROLES = ("pruuf_gateway", "pruuf_relay", "pruuf_dashboard")
_AHEAD_DAYS = 14


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
                # Another database of the same cluster may create them at the same moment.
                f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN; "
                "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
            ),
        )
        member = connection.scalar(
            text("SELECT pg_has_role(current_user, CAST(:role AS name), 'SET')"),
            {"role": role},
        )
        if not member:
            connection.execute(text(f"GRANT {role} TO CURRENT_USER"))


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
            command.upgrade(config, "head")
            connection.execute(text("SELECT pruuf_make_partitions(:n)"), {"n": _AHEAD_DAYS})
            connection.commit()
            return current_revision(connection) or ""
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
            connection.commit()
            engine.dispose()
