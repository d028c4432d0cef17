"""Callbacks as the providers make them: signed, late, tried again when refused.

They live in memory: what had not gone out when the process ended is lost, as in a real outage.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode

import msgspec
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import ConnectError, ConnectTimeoutError, PyreqwestError
from pyreqwest.http import Url

_AT_ONCE = 64
_CONNECT_S = 5.0
_TOTAL_S = 15.0
_LEAST_S = 0.1
_MAX_RETRIES = 5
_APP_RETRIES = 3
_FIRST_WAIT_S = 0.25
_OK = range(200, 300)
_POLICIES = frozenset({"ct", "rt", "4xx", "5xx"})
_FORM = "application/x-www-form-urlencoded"


def signature(url: str, fields: Mapping[str, str], auth_token: str) -> str:
    """X-Twilio-Signature: HMAC-SHA1 over the address and the sorted fields, base64."""
    text = url + "".join(f"{name}{fields[name]}" for name in sorted(fields))
    return base64.b64encode(hmac.digest(auth_token.encode(), text.encode(), hashlib.sha1)).decode()


def can_be_called(url: str) -> bool:
    """Whether an address is one that callbacks can go to."""
    try:
        parsed = Url(url)
    except ValueError:
        return False
    return parsed.scheme in {"http", "https"} and bool(parsed.host_str)


@dataclass(slots=True)
class Callback:
    """One request to make, with its tries."""

    url: str
    body: bytes
    headers: dict[str, str]
    retries: int
    retried: frozenset[str]
    """What is tried again: ``ct`` (no connection), ``rt`` (no answer), ``4xx``, ``5xx``."""
    total_s: float
    """For all tries together."""
    message: str
    """Whose callback it is, for withdrawing; empty when it stays in any case."""
    tries: int = 0
    until: float = 0.0
    done: asyncio.Event | None = None
    """Set when it was delivered, given up or withdrawn; null when nobody waits for that."""
    told: Callable[[bool], None] | None = None
    """Called at the same moments, with whether it was delivered."""

    def end(self, *, delivered: bool) -> None:
        """Tell who waits."""
        if self.done is not None:
            self.done.set()
        if self.told is not None:
            self.told(delivered)


def twilio(url: str, fields: Mapping[str, str], auth_token: str, *, message: str) -> Callback:
    """A status callback; the address's fragment may ask for other tries, and is not sent."""
    target, _, fragment = url.partition("#")
    wishes = dict(parse_qsl(fragment))
    retries, total_ms = wishes.get("rc", ""), wishes.get("tt", "")
    policies = frozenset(wishes.get("rp", "ct").split(","))
    return Callback(
        url=target,
        body=urlencode(fields).encode(),
        headers={
            "Content-Type": _FORM,
            "X-Twilio-Signature": signature(target, fields, auth_token),
        },
        retries=min(int(retries), _MAX_RETRIES) if retries.isdigit() else 1,
        retried=_POLICIES if "all" in policies else policies & _POLICIES,
        total_s=min(int(total_ms) / 1000, _TOTAL_S) if total_ms.isdigit() else _TOTAL_S,
        message=message,
    )


def app(base_url: str, receipt_token: str, event: str) -> Callback:
    """What an app says of a push by itself; a phone tries more than once."""
    return Callback(
        url=f"{base_url}/v1/receipts/push",
        body=msgspec.json.encode({"receipt_token": receipt_token, "event": event}),
        headers={"Content-Type": "application/json"},
        retries=_APP_RETRIES,
        retried=frozenset({"ct", "rt", "5xx"}),
        total_s=_TOTAL_S,
        message="",
    )


class Callbacks:
    """Makes callbacks in the background, a bounded number at once."""

    def __init__(self) -> None:
        """Needs a running loop."""
        self._loop = asyncio.get_running_loop()
        self._client: Client = (
            ClientBuilder()
            .connect_timeout(timedelta(seconds=_CONNECT_S))
            .timeout(timedelta(seconds=_TOTAL_S))
            .user_agent("TwilioProxy/1.1")
            .follow_redirects(enable=False)
            .no_proxy()
            .build()
        )
        self._ready: deque[Callback] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._withdrawn: set[str] = set()
        self._later = 0
        self.delivered = 0
        self.given_up = 0

    @property
    def waiting(self) -> int:
        """Those whose moment has not come, and those under way."""
        return self._later + len(self._ready) + len(self._running)

    def make(self, callback: Callback, *, after_s: float) -> None:
        """Make it after a while."""
        self._later += 1
        self._loop.call_later(after_s, self._due, callback)

    def withdraw(self, message: str) -> None:
        """Make no more callbacks of a message."""
        self._withdrawn.add(message)

    async def close(self, *, within_s: float) -> None:
        """Make what is due and soon due; forget the rest."""
        until = self._loop.time() + within_s
        while self.waiting and self._loop.time() < until:  # noqa: ASYNC110 - timers tell nobody
            await asyncio.sleep(0.02)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._client.close()

    def _due(self, callback: Callback) -> None:
        self._later -= 1
        self._ready.append(callback)
        if len(self._running) < _AT_ONCE:
            task = self._loop.create_task(self._work())
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _work(self) -> None:
        while self._ready:
            callback = self._ready.popleft()
            if callback.message in self._withdrawn:
                callback.end(delivered=False)
                continue
            await self._try(callback)

    async def _try(self, callback: Callback) -> None:
        now = self._loop.time()
        if not callback.tries:
            callback.until = now + callback.total_s
        callback.tries += 1
        fault = await self._post(callback, callback.until - now)
        if fault is None:
            self.delivered += 1
            callback.end(delivered=True)
            return
        wait = _FIRST_WAIT_S * 2.0 ** (callback.tries - 1)
        in_time = self._loop.time() + wait < callback.until
        if fault in callback.retried and callback.tries <= callback.retries and in_time:
            self.make(callback, after_s=wait)
        else:
            self.given_up += 1
            callback.end(delivered=False)

    async def _post(self, callback: Callback, within_s: float) -> str | None:
        request = (
            self._client.post(callback.url)
            .headers(callback.headers)
            .body_bytes(callback.body)
            .timeout(timedelta(seconds=max(within_s, _LEAST_S)))
        )
        try:
            response = await request.build().send()
        except (ConnectError, ConnectTimeoutError):
            return "ct"
        except PyreqwestError:
            return "rt"
        return None if response.status in _OK else f"{response.status // 100}xx"
