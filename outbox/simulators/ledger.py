"""The durable ledger: what the simulated providers accepted, independent of the gateway.

A row is committed before its answer is given, and survives a kill of this process.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS ledger (
  n INTEGER PRIMARY KEY, provider TEXT NOT NULL, id TEXT NOT NULL, "to" TEXT NOT NULL,
  sender TEXT NOT NULL, text TEXT NOT NULL, reference TEXT NOT NULL, callback TEXT NOT NULL,
  accepted_at REAL NOT NULL, answered INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS ledger_to ON ledger ("to");
CREATE UNIQUE INDEX IF NOT EXISTS ledger_id ON ledger (id);
"""
_INSERT = """
INSERT INTO ledger (provider, id, "to", sender, text, reference, callback, accepted_at, answered)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_COLUMNS = 'provider, id, "to", sender, text, reference, callback, accepted_at, answered'


@dataclass(frozen=True)
class Entry:
    """One accepted request."""

    provider: str
    id: str
    to: str
    sender: str
    text: str
    reference: str
    callback: str
    """Where its receipts go; empty when nowhere."""
    accepted_at: float
    """Unix seconds."""
    answered: bool
    """False when the answer was withheld on purpose."""


def _entry(row: tuple[object, ...]) -> Entry:
    fields: list[Any] = [*row[:-1], bool(row[-1])]
    return Entry(*fields)


class Ledger:
    """SQLite in a thread of its own; entries that come together share one commit."""

    def __init__(self, path: Path) -> None:
        """Open or make the file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._queue: queue.SimpleQueue[tuple[Entry, asyncio.Future[None]] | None]
        self._queue = queue.SimpleQueue()
        self._reader = self._open()
        self._reader.executescript(_SCHEMA)
        self._thread = threading.Thread(target=self._write, name="ledger", daemon=True)
        self._thread.start()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        # Survives the death of the process, which is what it is there to judge.
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA busy_timeout=5000")
        return connection

    def close(self) -> None:
        """Write what waits, then close."""
        self._queue.put(None)
        self._thread.join()
        self._reader.close()

    async def append(self, entry: Entry) -> None:
        """Return when the entry is committed."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put((entry, future))
        await future

    def _write(self) -> None:
        connection = self._open()
        while (first := self._queue.get()) is not None:
            batch = [first]
            while not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    self._queue.put(None)
                    break
                batch.append(following)
            connection.execute("BEGIN")
            connection.executemany(_INSERT, [_row(entry) for entry, _ in batch])
            connection.execute("COMMIT")
            loop = batch[0][1].get_loop()
            loop.call_soon_threadsafe(_resolve, [future for _, future in batch])
        connection.close()

    def entries(
        self,
        *,
        provider: str | None = None,
        to: str | None = None,
        since: float | None = None,
    ) -> Iterator[Entry]:
        """Entries in the order of acceptance."""
        wheres, values = ["1 = 1"], []
        for column, value in (("provider =", provider), ('"to" =', to), ("accepted_at >=", since)):
            if value is not None:
                wheres.append(f"{column} ?")
                values.append(value)
        query = f"SELECT {_COLUMNS} FROM ledger WHERE {' AND '.join(wheres)} ORDER BY n"  # noqa: S608 - fixed names
        for row in self._reader.cursor().execute(query, values):
            yield _entry(row)

    def find(self, provider_id: str) -> Entry | None:
        """One entry by the provider's id."""
        query = f"SELECT {_COLUMNS} FROM ledger WHERE id = ?"  # noqa: S608 - fixed names
        row = self._reader.execute(query, (provider_id,)).fetchone()
        return None if row is None else _entry(row)


def _row(entry: Entry) -> tuple[object, ...]:
    return (
        entry.provider,
        entry.id,
        entry.to,
        entry.sender,
        entry.text,
        entry.reference,
        entry.callback,
        entry.accepted_at,
        int(entry.answered),
    )


def _resolve(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
