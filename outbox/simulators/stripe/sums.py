"""What was charged and given back, summed from the ledger's lines alone."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

from outbox.simulators.ledger import connect

_SUMS = """
SELECT "to", outcome, json_extract(text, '$.currency'), count(*),
  sum(json_extract(text, '$.amount'))
FROM accepted WHERE provider = 'stripe' AND json_extract(text, '$.amount') IS NOT NULL
  AND (:customer IS NULL OR "to" = :customer)
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
_CHARGES = """
SELECT id, "to", reference, json_extract(text, '$.amount'), json_extract(text, '$.subscription'),
  json_extract(text, '$.from'), json_extract(text, '$.until'), json_extract(text, '$.at')
FROM accepted WHERE provider = 'stripe' AND outcome = 'charge'
  AND (:customer IS NULL OR "to" = :customer) ORDER BY n
"""
_FIELDS = ("id", "customer", "invoice", "amount", "subscription", "from", "until", "at")


async def sums(path: Path, customer: str | None) -> dict[str, Any]:
    """By customer: cents by kind and currency, and each charge with the time that it is for."""
    return await asyncio.to_thread(_read, path, customer)


def _read(path: Path, customer: str | None) -> dict[str, Any]:
    connection = connect(path)
    try:
        return _sums(connection, {"customer": customer})
    finally:
        connection.close()


def _sums(connection: sqlite3.Connection, values: dict[str, Any]) -> dict[str, Any]:
    by_customer: dict[str, Any] = {}
    for owner, what, currency, count, amount in connection.execute(_SUMS, values):
        kept = by_customer.setdefault(owner, {})
        kept.setdefault(what, {})[currency] = {"count": count, "amount": amount}
    charges = [dict(zip(_FIELDS, row, strict=True)) for row in connection.execute(_CHARGES, values)]
    return {"customers": by_customer, "charges": charges}
