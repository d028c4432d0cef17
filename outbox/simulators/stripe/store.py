"""What the simulated Stripe knows: objects as the API shows them, kept in the ledger's file.

All that one request changed is committed together, before it is answered.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from outbox.simulators.ledger import Ledger, connect

Object = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS stripe (
  n INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, value BLOB NOT NULL)
"""
# By number alone: a unique index over random ids would cost more than all the rest.
_PUT = """
INSERT INTO stripe (n, kind, id, value) VALUES {rows}
ON CONFLICT (n) DO UPDATE SET value = excluded.value
"""
_DROP = "DELETE FROM stripe WHERE n IN (SELECT value FROM json_each(?))"

_PARENTS = {
    "subscription": ("customer",),
    "invoice": ("customer",),
    "invoiceitem": ("customer",),
    "payment_method": ("customer",),
    "invoice_payment": ("invoice",),
    "payment_intent": ("customer",),
    "setup_intent": ("customer",),
    "charge": ("customer", "payment_intent"),
    "refund": ("charge", "payment_intent"),
    "dispute": ("charge",),
    "credit_note": ("invoice", "customer"),
    "customer_balance_transaction": ("customer",),
}
"""Fields by which objects of a kind are looked up."""

_chance = random.Random(os.urandom(16))  # noqa: S311 - nobody guesses ids here
_encode = msgspec.json.Encoder().encode


def new_id(prefix: str) -> str:
    """An id such as Stripe gives."""
    return f"{prefix}_{_chance.getrandbits(96):024x}"


class Store:
    """Objects by kind and id, in the order of their creation."""

    def __init__(self, ledger: Ledger, *, types: Mapping[str, Any]) -> None:
        """Read what is there; ``types`` of kinds that are not plain JSON."""
        ledger.define(_SCHEMA)
        self._ledger = ledger
        self.path = ledger.path
        self._kinds: dict[str, dict[str, Any]] = {}
        self._children: dict[tuple[str, str], dict[str, None]] = {}
        self._parents: dict[str, tuple[str | None, ...]] = {}
        self._changed: dict[tuple[str, str], Any] = {}
        self._dropped: list[int] = []
        self._numbers: dict[tuple[str, str], int] = {}
        self._last = 0
        self.more: list[tuple[str, object]] = []
        """Rows of other tables that are committed together with the objects."""
        connection = connect(ledger.path)
        rows = connection.execute("SELECT n, kind, id, value FROM stripe ORDER BY n").fetchall()
        connection.close()
        for n, kind, name, value in rows:
            self._numbers[kind, name] = self._last = n
            self._kinds.setdefault(kind, {})[name] = msgspec.json.decode(
                value, type=types.get(kind, Any)
            )
            self._index(kind, name, self._kinds[kind][name])

    def all(self, kind: str) -> dict[str, Any]:
        """Every object of a kind, the oldest first."""
        return self._kinds.setdefault(kind, {})

    def get(self, kind: str, name: str) -> Any:  # noqa: ANN401 - JSON
        """One object, or null."""
        return self.all(kind).get(name)

    def of(self, kind: str, parent: str) -> Iterator[Any]:
        """The objects of a kind that belong to another one, the newest first."""
        found = self.all(kind)
        return (found[name] for name in reversed(self._children.get((kind, parent), {})))

    def put(self, kind: str, name: str, value: Any) -> None:  # noqa: ANN401 - JSON
        """Keep a new object, or one that has changed."""
        self.all(kind)[name] = value
        self._changed[kind, name] = value
        if (kind, name) not in self._numbers:
            self._last += 1
            self._numbers[kind, name] = self._last
        self._index(kind, name, value)

    def drop(self, kind: str, names: Iterable[str]) -> None:
        """Forget objects."""
        for name in names:
            self.all(kind).pop(name, None)
            self._changed.pop((kind, name), None)
            number = self._numbers.pop((kind, name), None)
            if number is not None:
                self._dropped.append(number)
            for parent in self._parents.pop(name, ()):
                self._children.get((kind, parent or ""), {}).pop(name, None)

    async def commit(self) -> None:
        """Return when all changes so far are in the file."""
        self.soon()
        await self._ledger.committed()

    def soon(self) -> None:
        """Commit all changes so far, waited for by nobody."""
        for number in self._dropped:
            self._ledger.put(_DROP, number)
        for (kind, name), value in self._changed.items():
            row = (self._numbers[kind, name], kind, name, _encode(value))
            self._ledger.put_values(_PUT, row)
        for statement, other in self.more:
            self._ledger.put(statement, other)
        self._dropped, self._changed, self.more = [], {}, []

    def _index(self, kind: str, name: str, value: Any) -> None:  # noqa: ANN401 - JSON
        fields = _PARENTS.get(kind)
        if fields is None:
            return
        parents = tuple(value[field] for field in fields)
        before = self._parents.get(name, ())
        if parents == before:
            return
        for parent in before:
            if parent is not None:
                self._children[kind, parent].pop(name, None)
        for parent in parents:
            if parent is not None:
                self._children.setdefault((kind, parent), {})[name] = None
        self._parents[name] = parents
