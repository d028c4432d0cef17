"""What the ledger holds, read beside the writing: single entries, lists, lines, counts."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from outbox.simulators.ledger import COLUMNS, Entry, connect

_LINES_AT_ONCE = 2000

# SQLite makes the lines, a whole block in one step: Python would be busy with each for long.
_LINES = """
SELECT max(n), group_concat(line, '') FROM (SELECT n, json_object(
  'provider', provider, 'id', id, 'to', "to", 'text', text, 'reference', reference,
  'accepted_at', strftime('%Y-%m-%dT%H:%M:%fZ', accepted_at, 'unixepoch'),
  'answered', json(CASE answered WHEN 1 THEN 'true' ELSE 'false' END)) || char(10) AS line
  FROM accepted WHERE n > :after AND n <= :until AND {conditions} ORDER BY n LIMIT :limit)
"""
_ENTRIES = f"SELECT {COLUMNS}, canceled_at FROM accepted WHERE "  # noqa: S608 - fixed names
_COUNTS = """
SELECT provider, outcome, count(*), sum(answered) FROM accepted GROUP BY provider, outcome
ORDER BY provider, outcome
"""

# Only what is asked for enters a statement: SQLite cannot use an index through "or is null".
_CONDITIONS = {
    "provider": "provider = :provider",
    "to": '"to" = :to',
    "since": "accepted_at >= :since",
    "sender": "sender = :sender",
    "accepted_to": "accepted_at <= :accepted_to",
    "before": "n < (SELECT n FROM accepted WHERE id = :before)",
    "sent_from": "sent_at >= :sent_from AND sent_at <= :now AND canceled_at IS NULL",
    "sent_to": "sent_at <= :sent_to AND sent_at <= :now AND canceled_at IS NULL",
}


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines of the ledger; null: all."""

    provider: str | None = None
    to: str | None = None
    since: float | None = None
    """Unix seconds, inclusive."""


class MessageFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages of Twilio, newest first; null: all."""

    now: float
    limit: int
    provider: str = "twilio"
    to: str | None = None
    sender: str | None = None
    sent_from: float | None = None
    """Unix seconds, inclusive; messages that have not left have no such time."""
    sent_to: float | None = None
    accepted_to: float | None = None
    """Unix seconds, inclusive."""
    before: str | None = None
    """Only those older than the message of this id."""


class Found(msgspec.Struct, frozen=True):
    """An entry, and when it was cancelled."""

    entry: Entry
    canceled_at: float | None


def _conditions(wanted: Mapping[str, object]) -> str:
    asked = (text for name, text in _CONDITIONS.items() if wanted.get(name) is not None)
    return " AND ".join(asked) or "1"


def _found(row: tuple[Any, ...]) -> Found:
    fields = [*row[:-2], msgspec.json.decode(row[-2])]
    return Found(msgspec.convert(fields, Entry), row[-1])


class LedgerReads:
    """Reads the ledger's file through connections of its own, so that no commit waits for it."""

    def __init__(self, path: Path) -> None:
        """``path`` was made by `Ledger`."""
        self._path = path
        self._near = connect(path)

    def close(self) -> None:
        """Close."""
        self._near.close()

    def find(self, provider: str, name: str) -> Found | None:
        """One entry by the provider's name for it."""
        query = f"{_ENTRIES} id = ? AND provider = ?"
        row = self._near.execute(query, (name, provider)).fetchone()
        return None if row is None else _found(row)

    def messages(self, wanted: MessageFilter) -> list[Found]:
        """Messages of Twilio, newest first."""
        values = msgspec.structs.asdict(wanted)
        query = f"{_ENTRIES} {_conditions(values)} ORDER BY n DESC LIMIT :limit"
        return [_found(row) for row in self._near.execute(query, values).fetchall()]

    async def lines(self, wanted: Filter) -> AsyncIterator[bytes]:
        """NDJSON in blocks, in the order of acceptance, of what there is at this moment."""
        values = {**msgspec.structs.asdict(wanted), "after": 0, "limit": _LINES_AT_ONCE}
        query = _LINES.format(conditions=_conditions(values))
        (values["until"],) = self._near.execute("SELECT max(n) FROM accepted").fetchone()
        connection = await asyncio.to_thread(connect, self._path)
        try:
            while True:
                last, lines = await asyncio.to_thread(_one, connection, query, values)
                if last is None:
                    return
                yield lines.encode()
                values["after"] = last
        finally:
            connection.close()

    async def counts(self) -> dict[str, dict[str, dict[str, int]]]:
        """Accepted and answered requests, by provider and outcome."""
        counted: dict[str, dict[str, dict[str, int]]] = {}
        rows = await asyncio.to_thread(_counts, self._path)
        for provider, outcome, accepted, answered in rows:
            counted.setdefault(provider, {})[outcome] = {"accepted": accepted, "answered": answered}
        return counted


def _one(connection: sqlite3.Connection, query: str, values: dict[str, Any]) -> Any:  # noqa: ANN401
    return connection.execute(query, values).fetchone()


def _counts(path: Path) -> list[tuple[str, str, int, int]]:
    connection = connect(path)
    try:
        return connection.execute(_COUNTS).fetchall()
    finally:
        connection.close()
