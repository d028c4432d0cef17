"""The simulators as a server of their own: in a thread, or in a process that can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import httpx
import msgspec

from outbox.simulators.credentials import AUTH_TOKEN
from outbox.simulators.server import serve
from outbox.simulators.twilio_messages import ACCOUNT_SID, SENDERS
from tests.contract.loopback import Loopback, Request

_Loop = asyncio.AbstractEventLoop
_Task = asyncio.Task[None]

WITHIN_S = 30.0
"""Longer than anything here takes on a busy machine."""
MESSAGES = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages"
AUTH = (ACCOUNT_SID, AUTH_TOKEN)
FROM = SENDERS[0]


class _Thread:
    """The simulators in a thread."""

    def __init__(self, ledger: Path, options: dict[str, Any]) -> None:
        self._wanted = {"ledger": ledger, "sent_after_s": 0.0, "final_after_s": 0.01, **options}
        self._started: queue.SimpleQueue[tuple[_Loop, _Task, int]] = queue.SimpleQueue()
        self._failed: list[BaseException] = []
        self._running = threading.Thread(target=self._run)

    def start(self) -> str:
        self._running.start()
        self._loop, self._task, port = self._started.get(timeout=WITHIN_S)
        return f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._running.join(timeout=WITHIN_S)
        assert not self._failed
        assert not self._running.is_alive()

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            try:
                asyncio.run(self._serve())
            except Exception as error:  # noqa: BLE001 - told to the test
                self._failed.append(error)

    async def _serve(self) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def ready(port: int) -> None:
            self._started.put((loop, task, port))

        await serve(host="127.0.0.1", port=0, ready=ready, **self._wanted)


@contextmanager
def for_many(ledger: Path, **options: object) -> Iterator[str]:
    """Serve for several tests, outside of their loops; gives the base address."""
    thread = _Thread(ledger, options)
    url = thread.start()
    try:
        yield url
    finally:
        thread.stop()


@asynccontextmanager
async def in_a_thread(ledger: Path, **options: object) -> AsyncIterator[str]:
    """Serve until the block ends; gives the base address."""
    thread = _Thread(ledger, options)
    url = await asyncio.to_thread(thread.start)
    try:
        yield url
    finally:
        # Not in this thread: those whom it calls back may live here.
        await asyncio.to_thread(thread.stop)


@asynccontextmanager
async def simulators(folder: Path, **options: object) -> AsyncIterator[Simulated]:
    """Serve in a thread, with a client for it."""
    async with in_a_thread(folder / "ledger.sqlite", **options) as url, client(url) as http:
        yield Simulated(http)


def client(url: str) -> httpx.AsyncClient:
    """A client that waits for long."""
    return httpx.AsyncClient(base_url=url, timeout=WITHIN_S, trust_env=False)


class Simulated:
    """What a test asks of simulators."""

    def __init__(self, http: httpx.AsyncClient, *, shared: bool = False) -> None:
        """``shared``: with tests before; their lines of the ledger are not shown."""
        self.http = http
        self._since = {"since": datetime.now(UTC).isoformat()} if shared else {}
        self.url = str(http.base_url).rstrip("/")

    async def text(self, to: str = "", **more: str) -> httpx.Response:
        """Create a message at Twilio."""
        form = {"To": to, "From": FROM, "Body": "a text", **more}
        return await self.http.post(f"{MESSAGES}.json", data=form, auth=AUTH)

    async def messages(self, **query: str) -> httpx.Response:
        """Twilio's list."""
        return await self.http.get(f"{MESSAGES}.json", params=query, auth=AUTH)

    async def message(self, sid: str) -> httpx.Response:
        """One message of Twilio."""
        return await self.http.get(f"{MESSAGES}/{sid}.json", auth=AUTH)

    async def fault(self, **fault: object) -> None:
        """Put a fault in force."""
        (await self.http.post("/_sim/faults", json=fault)).raise_for_status()

    async def ledger(self, **filters: str) -> list[dict[str, Any]]:
        """The ledger's lines."""
        asked = {**self._since, **filters}
        answer = (await self.http.get("/_sim/ledger", params=asked)).raise_for_status()
        assert answer.headers["content-type"] == "application/x-ndjson"
        return [msgspec.json.decode(line) for line in answer.content.splitlines()]


async def received(server: Loopback, count: int) -> list[Request]:
    """What a loopback server was sent, as soon as that is so much."""
    async with asyncio.timeout(WITHIN_S):
        while len(server.requests) < count:
            server.arrived.clear()
            await server.arrived.wait()
    return server.requests


class InAProcess:
    """``python -m outbox.simulators`` with a ledger of its own; may be killed and started anew."""

    def __init__(self, ledger: Path, *options: str) -> None:
        self._command = [sys.executable, "-m", "outbox.simulators", "--ledger", str(ledger)]
        self._options = options
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.end(signal.SIGKILL)

    def start(self) -> str:
        """Start; gives the base address as soon as it answers."""
        self.process = subprocess.Popen(
            [*self._command, "--port", "0", *self._options],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self, number: int) -> int:
        """Send it a signal, and wait for its end."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(timeout=WITHIN_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return code
