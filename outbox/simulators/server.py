"""One loopback port that speaks for all providers, with faults and a ledger beside them."""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import uvicorn

from outbox.simulators import http
from outbox.simulators.callbacks import Callbacks
from outbox.simulators.faults import Fault, Faults
from outbox.simulators.fcm import Fcm
from outbox.simulators.http import Reply, Request, json_reply
from outbox.simulators.ledger import Entry, Ledger
from outbox.simulators.twilio import AUTH_TOKEN, Twilio


def _line(entry: Entry) -> bytes:
    value = asdict(entry)
    del value["sender"], value["callback"]
    value["accepted_at"] = datetime.fromtimestamp(entry.accepted_at, tz=UTC)
    return msgspec.json.encode(value) + b"\n"


class Simulator:
    """The ASGI application."""

    def __init__(  # noqa: PLR0913 - the settings of a simulation
        self,
        *,
        ledger: Ledger,
        callbacks: Callbacks,
        faults: Faults,
        app: str | None = None,
        sent_after_s: float = 0.05,
        final_after_s: float = 0.15,
    ) -> None:
        """``app``: where inbound traffic and acknowledgements go."""
        self._ledger = ledger
        self._callbacks = callbacks
        self._faults = faults
        self._twilio = Twilio(
            ledger=ledger,
            callbacks=callbacks,
            faults=faults,
            sent_after_s=sent_after_s,
            final_after_s=final_after_s,
        )
        self._fcm = Fcm(
            ledger=ledger,
            callbacks=callbacks,
            faults=faults,
            app=app,
            acknowledge_after_s=final_after_s,
        )

    async def __call__(self, scope: http.Scope, receive: http.Receive, send: http.Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = await http.read(scope, receive)
        reply = await self._route(request)
        await http.answer(reply, request, send)

    async def _route(self, request: Request) -> Reply:
        path = request.path
        if path.startswith("/2010-04-01/"):
            await self._delay("twilio")
            return await self._twilio.handle(request)
        if path.endswith("/messages:send"):
            await self._delay("fcm")
            return await self._fcm.send(request)
        if path == "/token":
            return self._fcm.token(request)
        if path == "/_sim/operator":
            return await self._page(request)
        if path == "/_sim/faults":
            return self._fault(request)
        if path == "/_sim/ledger":
            return self._lines(request)
        if path == "/_sim/health":
            return json_reply(
                200,
                {
                    "ok": True,
                    "callbacks_delivered": self._callbacks.delivered,
                    "callbacks_given_up": self._callbacks.given_up,
                },
            )
        return json_reply(404, {"error": f"nothing is simulated at {path}"})

    async def _page(self, request: Request) -> Reply:
        """The operator's pager: repetitions under one Idempotency-Key are one page."""
        key = request.headers.get(b"idempotency-key", b"").decode() or uuid.uuid4().hex
        if self._ledger.find(key) is None:
            page = msgspec.json.decode(request.body)
            summary = str(page.get("summary", "")) if isinstance(page, dict) else ""
            await self._ledger.append(
                Entry("operator", key, "operator", "", summary, key, "", time.time(), answered=True),
            )
        return json_reply(200, {"ok": True})

    async def _delay(self, provider: str) -> None:
        fault = self._faults.current(provider)
        if fault is not None and fault.latency_ms:
            await asyncio.sleep(fault.latency_ms / 1000)

    def _fault(self, request: Request) -> Reply:
        if request.method == "DELETE":
            self._faults.clear()
            return json_reply(200, {"cleared": True})
        if request.method == "GET":
            return json_reply(
                200,
                {name: self._faults.current(name) for name in ("twilio", "fcm")},
            )
        try:
            fault = msgspec.json.decode(request.body, type=Fault)
        except msgspec.DecodeError as error:
            return json_reply(400, {"error": str(error)})
        self._faults.set(fault)
        return json_reply(200, fault)

    def _lines(self, request: Request) -> Reply:
        query = request.query
        try:
            since = datetime.fromisoformat(query["since"]).timestamp() if "since" in query else None
        except ValueError:
            return json_reply(400, {"error": "since: a time like 2026-11-24T08:00:00Z"})
        entries: Iterator[Entry] = self._ledger.entries(
            provider=query.get("provider"),
            to=query.get("to"),
            since=since,
        )
        return Reply(200, b"".join(map(_line, entries)), "application/x-ndjson")


async def serve(  # noqa: PLR0913 - the settings of a simulation
    *,
    host: str,
    port: int,
    ledger: Path,
    callback: str | None = None,
    seed: int | None = None,
    sent_after_s: float = 0.05,
    final_after_s: float = 0.15,
    ready: Callable[[int], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; ``ready`` gets the port that was bound (0 picks one)."""
    kept = Ledger(ledger)
    listening = socket.create_server((host, port), backlog=2048)
    async with Callbacks(AUTH_TOKEN) as callbacks:
        simulator = Simulator(
            ledger=kept,
            callbacks=callbacks,
            faults=Faults(seed),
            app=callback.rstrip("/") if callback else None,
            sent_after_s=sent_after_s,
            final_after_s=final_after_s,
        )
        config = uvicorn.Config(
            simulator,
            http=http.DroppingProtocol,
            loop="uvloop",
            lifespan="off",
            access_log=False,
            log_level="warning",
            timeout_graceful_shutdown=2,
        )
        if ready is not None:
            ready(listening.getsockname()[1])
        await uvicorn.Server(config).serve(sockets=[listening])
    kept.close()
