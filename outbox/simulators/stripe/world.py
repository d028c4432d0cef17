"""What every part of the simulated Stripe works with: objects, time, events, the ledger's lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from outbox.simulators.faults import Faults
from outbox.simulators.ledger import INSERT, Entry
from outbox.simulators.stripe.clocks import Clock, Clocks
from outbox.simulators.stripe.errors import missing
from outbox.simulators.stripe.events import Event, Events
from outbox.simulators.stripe.forms import Params
from outbox.simulators.stripe.store import Object, Store, new_id
from outbox.simulators.stripe.webhooks import Webhooks

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.decode

SETTINGS = {"dunning_end": "cancel", "retry_days": [1, 2, 4, 6, 8, 10, 12, 14]}
"""What the dashboard would set: days after the first failed try, and what comes after the last."""


@dataclass(slots=True)
class Call:
    """One call of the API."""

    params: Params
    ids: tuple[str, ...]
    """The parts of its path that are not fixed."""
    path: str

    @property
    def id(self) -> str:
        """The object it is about."""
        return self.ids[0]


@dataclass(slots=True)
class Page:
    """One page of a list, with the name of its place."""

    rows: list[Object]
    has_more: bool
    url: str
    search: bool = False
    next_page: str | None = None


Handler = Callable[["World", Call], "Object | Page"]
Routes = Mapping[tuple[str, str], Handler]


@dataclass(slots=True)
class World:
    """All that there is, and the request that is answered at the moment."""

    store: Store
    clocks: Clocks
    events: Events
    webhooks: Webhooks
    faults: Faults
    cause: tuple[str | None, str | None] = (None, None)
    """Id and idempotency key of the request; nulls while time does something by itself."""
    advancing: list[str] = field(default_factory=list)
    """Test clocks whose advance was asked for and has not begun."""
    settings: dict[str, Any] = field(default_factory=lambda: dict(SETTINGS))

    def need(self, kind: str, name: str, *, param: str = "id") -> Any:  # noqa: ANN401 - JSON
        """An object that must be there; within a parameter its absence is a 400."""
        found = self.store.get(kind, name)
        if found is None:
            what = kind.rpartition(".")[2].replace("payment_method", "PaymentMethod")
            raise missing(what, name, param=param, status=404 if param == "id" else 400)
        return found

    def customer(self, name: str, *, param: str = "customer") -> Object:
        """A customer that was not deleted."""
        found: Object = self.need("customer", name, param=param)
        if found.get("deleted"):
            raise missing("customer", name, param=param, status=404 if param == "id" else 400)
        return found

    def clock(self, value: Object) -> Clock:
        """The clock that an object lives by."""
        if "test_clock" in value:
            return self.clocks.of(value["test_clock"])
        owner = value.get("customer")
        if owner is None:
            return self.clocks.account
        return self.clocks.of(self.store.all("customer")[owner].get("test_clock"))

    def now(self, value: Object) -> int:
        """The present of an object."""
        return self.clock(value).now()

    def keep(self, value: Object) -> None:
        """Keep a new object, or one that has changed."""
        self.store.put(value["object"], value["id"], value)

    def emit(self, kind: str, value: Object, before: Object | None = None) -> Event:
        """Make an event with a snapshot of an object."""
        return self.events.make(
            kind,
            value,
            created=self.now(value),
            at=self.clocks.account.now(),
            before=before,
            cause=self.cause,
        )

    @contextmanager
    def changing(self, kind: str, value: Object) -> Iterator[None]:
        """Keep an object after the block, with an event of what was different before."""
        old = _decode(_encode(value))
        yield
        before = difference(old, value)
        if before:
            self.keep(value)
            self.emit(kind, value, before)

    def facts(self, name: str) -> dict[str, Any]:
        """What is known of an object and not shown; kept by `know`."""
        found: dict[str, Any] = self.store.get("facts", name) or {}
        return found

    def know(self, name: str, **facts: object) -> None:
        """Remember something of an object that is not shown."""
        self.store.put("facts", name, {**self.facts(name), **facts})

    def record(self, name: str, *, to: str, reference: str, text: Mapping[str, object]) -> None:
        """A line of the ledger."""
        entry = Entry(
            provider="stripe",
            id=name,
            to=to,
            text=_encode(text).decode(),
            reference=reference,
            outcome=str(text["what"]),
            accepted_at=time.time(),
        )
        self.store.more.append((INSERT, entry))

    def new(self, kind: str, prefix: str, at: int, fields: Mapping[str, Any]) -> Object:
        """A new object, not kept yet."""
        return {
            "id": new_id(prefix),
            "object": kind,
            "created": at,
            "livemode": False,
            **fields,
        }


def difference(old: Object, new: Object) -> Object:
    """The old values of what is different now; lists whole, objects by their fields."""
    before: Object = {}
    for name in old.keys() | new.keys():
        was, value = old.get(name), new.get(name)
        if was == value:
            continue
        if isinstance(was, dict) and isinstance(value, dict) and was.get("object") != "list":
            before[name] = difference(was, value)
        else:
            before[name] = was
    return before
