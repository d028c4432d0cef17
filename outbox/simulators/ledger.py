"""The durable ledger: what the simulated providers accepted, independent of the gateway.

An entry is committed before its request is answered, and survives a kill of this process (not a
power cut: nothing is flushed to the disk itself).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import msgspec

_SCHEMA = """
CREATE TABLE IF NOT EXISTS accepted (
  n INTEGER PRIMARY KEY,
  provider TEXT NOT NULL, id TEXT NOT NULL, "to" TEXT NOT NULL, text TEXT NOT NULL,
  reference TEXT NOT NULL, outcome TEXT NOT NULL, accepted_at REAL NOT NULL,
  sender TEXT NOT NULL, service TEXT NOT NULL, callback TEXT NOT NULL,
  due_at REAL, sent_at REAL, timeline TEXT NOT NULL,
  answered INTEGER NOT NULL DEFAULT 0, canceled_at REAL);
CREATE UNIQUE INDEX IF NOT EXISTS accepted_id ON accepted (id);
CREATE INDEX IF NOT EXISTS accepted_to ON accepted ("to");
"""

COLUMNS = (
    'provider, id, "to", text, reference, outcome, accepted_at, sender, service, callback,'
    " due_at, sent_at, timeline"
)
"""In the order of `Entry`."""

# One statement for a whole batch: a row at a time, each step would wait for the interpreter's
# lock behind the event loop.
INSERT = (
    f"INSERT INTO accepted ({COLUMNS}) SELECT "  # noqa: S608 - fixed names
    + ", ".join(f"json_extract(value, '$[{n}]')" for n in range(13))
    + " FROM json_each(?)"
)
_ANSWERED = "UPDATE accepted SET answered = 1 WHERE id IN (SELECT value FROM json_each(?))"
_CANCEL = """
UPDATE accepted SET canceled_at = json_extract(value, '$[1]')
FROM json_each(?) WHERE accepted.id = json_extract(value, '$[0]')
"""

_AT_ONCE = 500
"""Rows of `Ledger.put_values` in one statement."""

_encode = msgspec.json.Encoder().encode


class Entry(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """One accepted request."""

    provider: str
    id: str
    """The provider's name for it."""
    to: str
    """Number, or the token, installation id or topic of a push."""
    text: str
    reference: str
    """The sender's own name for it; empty when it gave none."""
    outcome: str
    """Name of the magic outcome."""
    accepted_at: float
    """Unix seconds, like all times here."""
    sender: str = ""
    service: str = ""
    """Twilio's Messaging Service; empty when a sender was named."""
    callback: str = ""
    """Where its receipts go; empty when nowhere."""
    due_at: float | None = None
    """When a scheduled message goes out; null: at once."""
    sent_at: float | None = None
    """When it leaves; null when it never does."""
    timeline: tuple[tuple[float, str, int | None], ...] = ()
    """What becomes of it: time, status, error code. Fixed at acceptance, so that its state is a
    matter of the clock alone and the same after a restart."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit."""
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA busy_timeout = 10000")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")
    return connection


class Ledger:
    """SQLite in a thread of its own; what comes while one commit runs shares the next one."""

    def __init__(self, path: Path) -> None:
        """Open or make the file; raises `OSError` or `sqlite3.Error` when that cannot be."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._connection = connect(path)
        self._connection.executescript(_SCHEMA)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._reset()
        self._commit: asyncio.Task[None] | None = None

    def _reset(self) -> None:
        self._rows: dict[str, list[bytes]] = {}
        self._values: dict[str, list[tuple[object, ...]]] = {}
        self._waiting: list[asyncio.Future[None]] = []

    def define(self, schema: str) -> None:
        """Make another table beside the entries, before anything is served."""
        self._connection.execute(schema)

    async def append(self, entry: Entry) -> None:
        """Return when the entry is committed; raises `sqlite3.Error` when it is not."""
        self.put(INSERT, entry)
        await self.committed()

    async def cancel(self, message: str, at: float) -> None:
        """Return when the cancellation of an entry is committed."""
        self.put(_CANCEL, (message, at))
        await self.committed()

    def answered(self, message: str) -> None:
        """The answer about an entry went out: committed soon, waited for by nobody."""
        self.put(_ANSWERED, message)

    def put(self, statement: str, row: object) -> None:
        """Commit a row soon, by a statement that takes a JSON array of all rows of the batch.

        Rows of one statement keep their order, rows of different statements need not.
        """
        self._rows.setdefault(statement, []).append(_encode(row))
        self._wake()

    def put_values(self, statement: str, row: tuple[object, ...]) -> None:
        """Commit a large row soon, before those of `put`; ``{rows}`` is where the values go."""
        self._values.setdefault(statement, []).append(row)
        self._wake()

    async def close(self) -> None:
        """Commit what waits, then close."""
        while self._commit is not None:
            await asyncio.wait((self._commit,))
        self._thread.shutdown()
        self._connection.close()

    async def committed(self) -> None:
        """Return when what was put is committed; raises `sqlite3.Error` when it is not."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._wake()
        await future

    def _wake(self) -> None:
        if self._commit is None:
            self._commit = asyncio.create_task(self._commit_all())

    async def _commit_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._rows or self._values or self._waiting:
            batch, waiting = self._batch(), self._waiting
            self._reset()
            error = None
            try:
                await loop.run_in_executor(self._thread, self._write, batch)
            except sqlite3.Error as failed:
                error = failed
            for future in waiting:
                if future.done():
                    continue
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)
        self._commit = None

    def _batch(self) -> list[tuple[str, Sequence[object]]]:
        batch: list[tuple[str, Sequence[object]]] = []
        for statement, rows in self._values.items():
            for start in range(0, len(rows), _AT_ONCE):
                some = rows[start : start + _AT_ONCE]
                places = f"({','.join('?' * len(some[0]))})"
                sql = statement.replace("{rows}", ",".join([places] * len(some)))
                batch.append((sql, tuple(chain.from_iterable(some))))
        for statement, encoded in self._rows.items():
            batch.append((statement, (f"[{b','.join(encoded).decode()}]",)))
        return batch

    def _write(self, batch: Iterable[tuple[str, Sequence[object]]]) -> None:
        # One transaction: what one request changed is there as a whole, or not at all.
        self._connection.execute("BEGIN")
        try:
            for sql, values in batch:
                self._connection.execute(sql, values)
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            self._connection.execute("ROLLBACK")
            raise
