"""``/_sim``: faults, texts of people, the ledger's lines, topics, statistics, health, a pager."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from datetime import datetime

import msgspec

from outbox.simulators import faults as faulty
from outbox.simulators.asgi import Reply, Request, json_reply
from outbox.simulators.callbacks import Callbacks
from outbox.simulators.credentials import Credentials
from outbox.simulators.faults import PROVIDERS, Faults
from outbox.simulators.fcm_topics import Topics
from outbox.simulators.inbound import InboundTexts
from outbox.simulators.ledger import Entry, Ledger
from outbox.simulators.ledger_reads import Filter, LedgerReads

_FILTERS = ("provider", "to", "since")
_EXAMPLE = {
    "provider": "twilio, fcm or null for all",
    "rate": "0 to 1, share of the calls",
    "latency_ms": "0 to 600000",
    "status": "400 to 599, or null",
    "retry_after": "seconds, or null",
    "outcome": "of texts, such as undelivered_30007, or null",
    "sender": "whose texts have this outcome; null: all",
    "drop": "true: accept, then close without an answer",
    "callbacks": {"lose": "0 to 1", "duplicate": "0 to 1", "delay_ms": "from 0", "shuffle": "bool"},
    "lists": {"lag_ms": "0 to 600000", "fail": "0 to 1"},
    "for_s": "seconds, or null until it is cleared",
}


class Control:
    """What is no provider's API."""

    def __init__(  # noqa: PLR0913 - the parts of a simulation
        self,
        *,
        ledger: Ledger,
        reads: LedgerReads,
        callbacks: Callbacks,
        faults: Faults,
        topics: Topics,
        credentials: Credentials,
        texts: InboundTexts,
    ) -> None:
        """All of them are shared with the providers."""
        self._topics = topics
        self._credentials = credentials
        self._texts = texts
        self._ledger = ledger
        self._reads = reads
        self._callbacks = callbacks
        self._faults = faults
        self._paged: set[str] = set()
        self.refused: Counter[tuple[str, str]] = Counter()
        """Calls that were refused since the start, by provider and error code."""

    async def handle(self, request: Request) -> Reply:
        """Answer a request below ``/_sim/``."""
        if request.path == "/_sim/faults":
            return self._fault(request)
        if request.path == "/_sim/credentials":
            return self._credentials.handle(request)
        if request.path == "/_sim/operator" and request.method == "POST":
            return await self._page(request)
        if request.path == "/_sim/inbound" and request.method == "POST":
            return await self._texts.handle(request)
        if request.method == "GET":
            return await self._shown(request)
        return _nothing(request)

    async def _shown(self, request: Request) -> Reply:
        if request.path == "/_sim/ledger":
            return self._lines(request)
        if request.path == "/_sim/topics":
            return json_reply(200, self._topics.members())
        if request.path == "/_sim/stats":
            return await self._stats()
        if request.path == "/_sim/health":
            return json_reply(200, {"ok": True, "callbacks": self._callback_counts()})
        return _nothing(request)

    def _fault(self, request: Request) -> Reply:
        if request.method == "POST":
            try:
                fault = faulty.decode(request.body)
            except ValueError as error:
                return json_reply(400, {"error": str(error), "accepted": _EXAMPLE})
            self._faults.put(fault)
            return json_reply(200, fault)
        if request.method == "DELETE":
            self._faults.clear()
        elif request.method != "GET":
            return json_reply(405, {"error": "GET, POST or DELETE"})
        return json_reply(200, {name: self._faults.current(name) for name in PROVIDERS})

    def _lines(self, request: Request) -> Reply:
        query = request.query()
        unknown = sorted(query.keys() - set(_FILTERS))
        if unknown:
            return json_reply(400, {"error": f"no filter {unknown[0]}", "accepted": _FILTERS})
        since = None
        if query.get("since"):
            try:
                # A plus sign that was not escaped arrives as a space.
                at = datetime.fromisoformat(query["since"].replace(" ", "+"))
            except ValueError:
                at = None
            if at is None or at.tzinfo is None:
                return json_reply(400, {"error": "since: a time like 2026-11-24T08:00:00Z"})
            since = at.timestamp()
        to = query.get("to") or None
        if to is not None and to.startswith(" "):
            to = "+" + to[1:]
        wanted = Filter(provider=query.get("provider") or None, to=to, since=since)
        return Reply(200, content_type=b"application/x-ndjson", chunks=self._reads.lines(wanted))

    async def _stats(self) -> Reply:
        refused: dict[str, dict[str, int]] = {}
        for (provider, code), count in sorted(self.refused.items()):
            refused.setdefault(provider, {})[code] = count
        return json_reply(
            200,
            {
                "accepted": await self._reads.counts(),
                "refused": refused,
                "callbacks": self._callback_counts(),
            },
        )

    def _callback_counts(self) -> dict[str, int]:
        return {
            "delivered": self._callbacks.delivered,
            "given_up": self._callbacks.given_up,
            "waiting": self._callbacks.waiting,
        }

    async def _page(self, request: Request) -> Reply:
        """The operator's pager: repetitions under one Idempotency-Key are one page."""
        key = request.header(b"idempotency-key").decode("latin-1") or uuid.uuid4().hex
        try:
            page = msgspec.json.decode(request.body)
        except msgspec.DecodeError:
            return json_reply(400, {"error": "a page is JSON"})
        if key in self._paged or self._reads.find("operator", key) is not None:
            return json_reply(200, {"ok": True})
        # Before it is stored: a repetition may come while that takes place.
        self._paged.add(key)
        summary = page.get("summary", "") if isinstance(page, dict) else ""
        entry = Entry(
            provider="operator",
            id=key,
            to="operator",
            text=str(summary),
            reference=key,
            outcome="paged",
            accepted_at=time.time(),
        )
        await self._ledger.append(entry)
        reply = json_reply(200, {"ok": True})
        reply.accepted = key
        return reply


def _nothing(request: Request) -> Reply:
    return json_reply(404, {"error": f"there is no {request.method} {request.path}"})
