"""Connections to Postgres: which role a process assumes, and which time-outs guard it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

Row = tuple[Any, ...]
Connection = psycopg.AsyncConnection[Row]

TRANSACTION_TIMEOUT_S = 15
"""Longest transaction of any process; the low-water marks and the audit build on it."""


class Role(StrEnum):
    """Database role of a process; made by the migration, with the least rights it needs."""

    GATEWAY = "pruuf_gateway"
    RELAY = "pruuf_relay"
    DASHBOARD = "pruuf_dashboard"


def conninfo(database_url: str, role: Role | None, *, application: str) -> str:
    """Connection string of a process: role, time-outs and TCP liveness added to the URL."""
    given = conninfo_to_dict(database_url)
    options = [
        str(given.get("options") or ""),
        "-c TimeZone=UTC",
        f"-c idle_in_transaction_session_timeout={TRANSACTION_TIMEOUT_S * 1000}",
        f"-c transaction_timeout={TRANSACTION_TIMEOUT_S * 1000}",
    ]
    if role is not None:
        options.append(f"-c role={role}")
    defaults: dict[str, object] = {
        "connect_timeout": 5,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        # A half-open connection (power cut, pulled cable) is given up after this.
        "tcp_user_timeout": 10_000,
        # With several hosts: the primary, also after a standby was promoted.
        "target_session_attrs": "read-write",
        "application_name": application,
    }
    if role is Role.DASHBOARD:
        defaults["target_session_attrs"] = "any"
        options.append("-c default_transaction_read_only=on")
    merged = {**defaults, **given, "options": " ".join(options).strip()}
    return make_conninfo("", **{key: str(value) for key, value in merged.items()})


async def connect(database_url: str, role: Role, *, application: str) -> Connection:
    """Open one autocommit connection; transactions are explicit everywhere."""
    return await psycopg.AsyncConnection.connect(
        conninfo(database_url, role, application=application),
        autocommit=True,
    )


def owner_engine(database_url: str) -> Engine:
    """A synchronous engine under the login's own rights: for migrations and keys."""

    def open_connection() -> psycopg.Connection[Row]:
        # conninfo, not a URL: it may name several hosts, which SQLAlchemy would not pass on.
        return psycopg.connect(conninfo(database_url, None, application="pruuf owner"))

    return create_engine("postgresql+psycopg://", creator=open_connection, poolclass=NullPool)
