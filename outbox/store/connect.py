"""Connections to Postgres: which role a process assumes, and which time-outs guard it.

None of our processes waits for a database for ever: one that falls silent is hung up on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from contextlib import suppress
from enum import StrEnum
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

Row = tuple[Any, ...]
Connection = psycopg.AsyncConnection[Row]

TRANSACTION_TIMEOUT_S = 15
"""Longest transaction of any process; the low-water marks and the audit build on it."""


SILENCE_S = TRANSACTION_TIMEOUT_S + 5
"""How long an answer may take. The server ends what takes longer than a transaction may, so that
one which has said nothing by then cannot be heard, or waits for its standby."""

ANSWER_S = 5.0
"""How long a question may take that costs the server nothing."""

UNABLE = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    # A transaction that took too long, a standby, and what the server finds broken in itself.
    psycopg.InternalError,
)
"""Faults of the connection, the server or the moment, not of what was asked: it may work later."""

_log = logging.getLogger(__name__)

Found = TypeVar("Found")


class Role(StrEnum):
    """Database role of a process; made by the migration, with the least rights it needs."""

    GATEWAY = "pruuf_gateway"
    RELAY = "pruuf_relay"
    DASHBOARD = "pruuf_dashboard"
    AUDITOR = "pruuf_auditor"
    """Reads the ledger; writes only what the audit proves with."""


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
        # A lost primary that comes back takes writes too, which nobody confirms: who met it and
        # hung up shall not meet it for ever.
        "load_balance_hosts": "random",
        "application_name": application,
    }
    if role is Role.DASHBOARD:
        defaults["target_session_attrs"] = "any"
        options.append("-c default_transaction_read_only=on")
    merged = {**defaults, **given, "options": " ".join(options).strip()}
    return make_conninfo("", **{key: str(value) for key, value in merged.items()})


class ImpatientConnection(psycopg.AsyncConnection[Row]):
    """A connection that is cut when the server says nothing for `SILENCE_S`.

    TCP alone does not notice a server that is frozen, or something between us and it that takes
    everything and passes on nothing.
    """

    silence_s: float | None = None
    """Borne instead of `SILENCE_S`."""

    async def wait(self, gen: PQGen[Found], *arguments: Any, **options: Any) -> Found:  # noqa: ANN401
        """Wait for the server, as all statements do; `OperationalError` when it was cut."""
        silence_s = SILENCE_S if self.silence_s is None else min(self.silence_s, SILENCE_S)
        timer = asyncio.get_running_loop().call_later(silence_s, self._cut)
        try:
            return await super().wait(gen, *arguments, **options)
        finally:
            timer.cancel()

    def _cut(self) -> None:
        _log.warning("the database said nothing for too long: hanging up")
        # Shut, not closed: whoever waits on it wakes and finds the end of the connection.
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)


async def check(connection: Connection) -> None:
    """Find out whether the server is still there; raises one of `UNABLE` where it is not."""
    if isinstance(connection, ImpatientConnection):
        connection.silence_s = ANSWER_S
    await connection.execute("SELECT 1")
    if isinstance(connection, ImpatientConnection):
        connection.silence_s = None


async def connect(database_url: str, role: Role, *, application: str) -> Connection:
    """Open one autocommit connection; transactions are explicit everywhere."""
    return await ImpatientConnection.connect(
        conninfo(database_url, role, application=application),
        autocommit=True,
    )


def owner_engine(database_url: str) -> Engine:
    """A synchronous engine under the login's own rights: for migrations and keys."""

    def open_connection() -> psycopg.Connection[Row]:
        # conninfo, not a URL: it may name several hosts, which SQLAlchemy would not pass on.
        return psycopg.connect(conninfo(database_url, None, application="pruuf owner"))

    return create_engine("postgresql+psycopg://", creator=open_connection, poolclass=NullPool)
