"""Events: made with a snapshot of their object, listed for thirty days."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from outbox.simulators.stripe.store import Object, Store, new_id

API_VERSION = "2026-10-28.endive"
"""The version that Stripe's SDK 16.1 pins."""

EVENT = "event"
KEPT_S = 30 * 86_400
_PRUNED_EVERY_S = 3600

_encode = msgspec.json.Encoder().encode


class Event(msgspec.Struct):
    """One event, and how its delivery stands."""

    id: str
    n: int
    """Its place in the order of making."""
    type: str
    created: int
    """By the clock of its object."""
    at: int
    """By the account's clock: retention and deliveries go by that."""
    version: str
    data: msgspec.Raw
    about: str
    """Id of its object."""
    request: str | None = None
    key: str | None = None
    pending: int = 0
    """Endpoints that have not taken it; stays when they never do."""
    tries: int = 0
    next_at: int | None = None
    """When it is tried again; null: never."""
    thin: bool = False

    def body(self) -> bytes:
        """As it is sent and shown."""
        if self.thin:
            return bytes(self.data)
        return _encode(self.shown())

    def shown(self) -> Object:
        """As it is shown."""
        return {
            "id": self.id,
            "object": "event",
            "account": None,
            "api_version": self.version,
            "context": None,
            "created": self.created,
            "data": self.data,
            "livemode": False,
            "pending_webhooks": self.pending,
            "request": {"id": self.request, "idempotency_key": self.key},
            "type": self.type,
        }


class Events:
    """All events, in the order of their making."""

    def __init__(self, store: Store, *, made: Callable[[Event], None]) -> None:
        """``made`` is told of every new one, to deliver it."""
        self._store = store
        self._made = made
        self.version = API_VERSION
        self._by_id: dict[str, Event] = store.all(EVENT)
        self._list = list(self._by_id.values())
        self._n = self._list[-1].n if self._list else 0
        self._prune_at = 0

    def __iter__(self) -> Iterator[Event]:
        """The oldest first."""
        return iter(self._list)

    def get(self, name: str) -> Event | None:
        """One event."""
        return self._by_id.get(name)

    def newest_first(self, *, older_than: int | None, newer_than: int | None) -> Iterator[Event]:
        """Events between two places, both excluded; with ``newer_than`` the nearest to it first."""
        events = self._list
        if newer_than is not None:
            start = bisect_left(events, newer_than + 1, key=lambda event: event.n)
            return (events[place] for place in range(start, len(events)))
        end = len(events)
        if older_than is not None:
            end = bisect_left(events, older_than, key=lambda event: event.n)
        return (events[place] for place in range(end - 1, -1, -1))

    def make(  # noqa: PLR0913 - the fields of an event
        self,
        kind: str,
        value: Object,
        *,
        created: int,
        at: int,
        before: Object | None = None,
        cause: tuple[str | None, str | None] = (None, None),
    ) -> Event:
        """Snapshot an object; ``before`` are its previous attributes."""
        data: dict[str, Any] = {"object": value}
        if before is not None:
            data["previous_attributes"] = before
        event = Event(
            id=new_id("evt"),
            n=self._n + 1,
            type=kind,
            created=created,
            at=at,
            version=self.version,
            data=msgspec.Raw(_encode(data)),
            about=value.get("id", ""),
            request=cause[0],
            key=cause[1],
        )
        self.add(event)
        return event

    def add(self, event: Event) -> None:
        """Keep an event, and have it delivered."""
        self._n = event.n
        self._list.append(event)
        self.changed(event)
        if event.at >= self._prune_at:
            self._prune_at = event.at + _PRUNED_EVERY_S
            self._prune(event.at - KEPT_S)
        self._made(event)

    def next_n(self) -> int:
        """The place of the next one."""
        return self._n + 1

    def changed(self, event: Event) -> None:
        """How its delivery stands has changed."""
        self._store.put(EVENT, event.id, event)

    def _prune(self, before: int) -> None:
        kept = next(n for n, event in enumerate(self._list) if event.at >= before)
        gone, self._list = self._list[:kept], self._list[kept:]
        self._store.drop(EVENT, [event.id for event in gone])
