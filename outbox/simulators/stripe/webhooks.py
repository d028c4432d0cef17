"""Webhooks: signed, tried again for three days by the account's clock, late or lost by a fault."""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import hmac
import time
from collections import Counter
from collections.abc import Sequence
from itertools import count

from outbox.simulators.callbacks import Callback, Callbacks
from outbox.simulators.faults import Faults
from outbox.simulators.stripe.clocks import Clock
from outbox.simulators.stripe.events import Event, Events
from outbox.simulators.stripe.store import Store

PATH = "/webhooks/stripe"
SECRETS = ("whsec_simulated5b1f0c3e9d7a4862",)

_HOUR = 3600
BACKOFF_S = (300, 1800, 2 * _HOUR, 5 * _HOUR, 10 * _HOUR, *(12 * _HOUR,) * 4)
"""Waits between the tries; the last one ends within three days."""

_ANSWER_WITHIN_S = 15.0
_META = "meta"
_AGENT = "Stripe/1.0 (+https://stripe.com/docs/webhooks)"


def signature(body: bytes, secrets: Sequence[str], at: int) -> str:
    """``Stripe-Signature``: one v1 for each secret that is valid."""
    signed = b"%d.%b" % (at, body)
    values = (hmac.digest(secret.encode(), signed, hashlib.sha256).hex() for secret in secrets)
    return ",".join((f"t={at}", *(f"v1={value}" for value in values)))


class Webhooks:
    """One endpoint; what it has not taken is tried again."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        callbacks: Callbacks,
        faults: Faults,
        app: str | None,
    ) -> None:
        """``app``: base address of the endpoint; null: there is none."""
        self._store = store
        self._clock = clock
        self._callbacks = callbacks
        self._faults = faults
        self._url = app + PATH if app else None
        kept = store.get(_META, "webhooks") or {}
        self.secrets: tuple[str, ...] = tuple(kept.get("secrets", SECRETS))
        self.types: tuple[str, ...] | None = kept.get("types")
        """What the endpoint wants; null: everything."""
        self.wall: bool = kept.get("wall", False)
        """Sign with this machine's time, whatever the account's clock says."""
        self._heap: list[tuple[int, int, Event, bool]] = []
        self._order = count()
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._timer: asyncio.TimerHandle | None = None
        self.events: Events
        self.counted: Counter[str] = Counter()
        """What became of new events since the start of this process."""

    def resume(self, events: Events) -> None:
        """Go on where an earlier process stopped."""
        self.events = events
        for event in events:
            if event.next_at is not None:
                self._push(event.next_at, event)

    def keep(self) -> None:
        """The settings have changed."""
        kept = {"secrets": self.secrets, "types": self.types, "wall": self.wall}
        self._store.put(_META, "webhooks", kept)

    def made(self, event: Event) -> None:
        """Deliver a new event, as faults permit."""
        if self._url is None or not (self.types is None or event.type in self.types):
            return
        event.pending = 1
        copies = self._faults.webhook_delays()
        self.counted["events"] += 1
        self.counted["lost"] += not copies
        self.counted["twice"] += len(copies) > 1
        self.counted["late"] += any(copy >= 1 for copy in copies)
        for late in copies[1:]:
            self._push(event.at + int(late), event, copy=True)
        if copies:
            event.next_at = event.at + int(copies[0])
            self._push(event.next_at, event)

    def again(self, event: Event) -> None:
        """Deliver an event once more, as the dashboard's button does."""
        if self._url is not None:
            event.pending, event.next_at = 1, self._clock.now()
            self._push(event.next_at, event)

    def pump(self) -> None:
        """Start what is due; come back when the next one is."""
        now = self._clock.now()
        while self._heap and self._heap[0][0] <= now:
            due, _, event, copy = heapq.heappop(self._heap)
            if copy or event.next_at == due:
                self._send(event, due, copy=copy)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap and self._clock.frozen is None:
            wait = max(self._heap[0][0] - time.time() - self._clock.offset, 0.05)
            self._timer = asyncio.get_running_loop().call_later(wait, self.pump)

    def next_at(self) -> int | None:
        """When something is to be sent; null: never."""
        return self._heap[0][0] if self._heap else None

    async def settled(self) -> None:
        """Return when nothing is under way and nothing is due."""
        while True:
            self.pump()
            if not self._under_way:
                return
            await self._idle.wait()

    def close(self) -> None:
        """Start nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _push(self, at: int, event: Event, *, copy: bool = False) -> None:
        heapq.heappush(self._heap, (at, next(self._order), event, copy))

    def _send(self, event: Event, due: int, *, copy: bool) -> None:
        if self._url is None:
            return
        body = event.body()
        at = int(time.time()) if self.wall else self._clock.now()

        def told(delivered: bool) -> None:  # noqa: FBT001 - told by the callbacks
            self._under_way -= 1
            self.counted["taken"] += delivered
            if not self._under_way:
                self._idle.set()
            if not copy:
                self._ended(event, due, delivered=delivered)

        callback = Callback(
            url=self._url,
            body=body,
            headers={
                "Content-Type": "application/json; charset=utf-8",
                "Stripe-Signature": signature(body, self.secrets, at),
                "User-Agent": _AGENT,
            },
            retries=0,
            retried=frozenset(),
            total_s=_ANSWER_WITHIN_S,
            message="",
            told=told,
        )
        event.next_at = event.next_at if copy else None
        self.counted["sent"] += 1
        self._under_way += 1
        self._idle.clear()
        self._callbacks.make(callback, after_s=0)

    def _ended(self, event: Event, due: int, *, delivered: bool) -> None:
        event.tries += 1
        if delivered:
            event.pending = 0
        elif event.tries <= len(BACKOFF_S):
            event.next_at = due + BACKOFF_S[event.tries - 1]
            self._push(event.next_at, event)
        if self.events.get(event.id) is event:
            self.events.changed(event)
        self._store.soon()
        self.pump()
