"""One reading for all readers of a page, and the ways in which the database may be away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy import exc as sqlalchemy_errors

from outbox.store.connect import Role, conninfo

_log = logging.getLogger("pruuf.dashboard")

_STATEMENT_MS = 8_000
"""No figure is worth more of the database's time than this."""
_FAILURE_KEPT_S = 2.0
"""So that ten readers of a database that is away do not wait for one time-out each in turn."""
_MOST = 200
"""Readings that are kept; filters make many."""

Found = TypeVar("Found")


class AwayError(Exception):
    """The database gave no answer; the text is safe to show."""


@cache
def engine(database_url: str) -> Engine:
    """Connections of the dashboard's role; each transaction sees one moment."""
    given = conninfo_to_dict(
        conninfo(database_url, Role.DASHBOARD, application="pruuf-dashboard"),
    )
    bounded = f"{given.pop('options', '')} -c statement_timeout={_STATEMENT_MS}"
    target = make_conninfo("", **{k: str(v) for k, v in given.items()}, options=bounded)
    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(target),
        isolation_level="REPEATABLE READ",
        pool_size=2,
        max_overflow=2,
        pool_timeout=5,
        # After the database was away its old connections are found dead here, not by a reader.
        pool_pre_ping=True,
    )


@contextmanager
def reader(database_url: str) -> Iterator[Connection]:
    """A transaction of the dashboard's role; whatever keeps it from reading is an `AwayError`."""
    try:
        with engine(database_url).connect() as connection:
            yield connection
    except sqlalchemy_errors.TimeoutError as error:
        msg = "The database is too slow: every connection of this page is still waiting for it."
        raise AwayError(msg) from error
    except sqlalchemy_errors.DBAPIError as error:
        raise _away(error, error.orig) from error
    except psycopg.Error as error:
        raise _away(error, error) from error


def _away(error: Exception, cause: BaseException | None) -> Exception:
    """What a person reads; a fault of ours stays what it is."""
    if isinstance(cause, errors.QueryCanceled | errors.TransactionTimeout):
        return AwayError("The database took too long to answer. Choose a shorter window.")
    if isinstance(cause, errors.UndefinedTable | errors.UndefinedColumn | errors.UndefinedFunction):
        return AwayError(
            "The database has another schema than this page expects. Run: pruuf migrate"
        )
    if isinstance(cause, psycopg.OperationalError):
        _log.warning("the database cannot be read: %s", type(cause).__name__)
        return AwayError("The database cannot be reached (DATABASE_URL).")
    return error


def below(connection: Connection) -> psycopg.Connection[Any]:
    """The psycopg connection below, with its open transaction."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        msg = f"a psycopg connection is needed, not {type(driver).__name__}"
        raise TypeError(msg)
    return driver


class Readings:
    """What was read lately, by what was asked; safe for threads."""

    def __init__(self, database_url: str) -> None:
        """Nothing is read before it is asked for."""
        self._url = database_url
        self._lock = threading.Lock()
        self._asking: dict[Hashable, threading.Lock] = {}
        self._kept: dict[Hashable, tuple[float, Any]] = {}
        self._failed: tuple[float, AwayError] | None = None

    def read(
        self, what: Hashable, ask: Callable[[Connection], Found], *, keep_s: float = 0.0
    ) -> Found:
        """The answer to a question, at most ``keep_s`` old; raises `AwayError`.

        One reader asks the database, others with the same question wait for its answer.
        """
        with self._lock:
            if len(self._kept) > _MOST:
                self._kept.clear()
                self._asking.clear()
            asking = self._asking.setdefault(what, threading.Lock())
        with asking:
            kept = self._kept.get(what)
            if kept is not None and time.monotonic() - kept[0] < keep_s:
                answer: Found = kept[1]
                return answer
            failed = self._failed
            if failed is not None and time.monotonic() - failed[0] < _FAILURE_KEPT_S:
                raise failed[1]
            try:
                with reader(self._url) as connection:
                    answer = ask(connection)
            except AwayError as error:
                self._failed = (time.monotonic(), error)
                raise
            self._failed = None
            self._kept[what] = (time.monotonic(), answer)
            return answer


@cache
def of(database_url: str) -> Readings:
    """The readings of one database, shared by all readers of this process."""
    return Readings(database_url)
