"""Callbacks as the providers make them: signed, late, repeated, and tried again when refused."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import timedelta
from typing import Self
from urllib.parse import parse_qsl, urlencode

import msgspec
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError

_AT_ONCE = 64
_OK = range(200, 300)
_MAX_TRIES = 6
_BETWEEN_S = 0.5


def signature(url: str, fields: Mapping[str, str], auth_token: str) -> str:
    """X-Twilio-Signature: HMAC-SHA1 over the address and the sorted fields, base64."""
    text = url + "".join(f"{name}{fields[name]}" for name in sorted(fields))
    return base64.b64encode(hmac.digest(auth_token.encode(), text.encode(), hashlib.sha1)).decode()


class Callbacks:
    """Posts callbacks in the background; counts what was delivered and what was given up."""

    def __init__(self, auth_token: str) -> None:
        """``auth_token`` signs Twilio's callbacks."""
        self._auth_token = auth_token
        self._client: Client = (
            ClientBuilder()
            .timeout(timedelta(seconds=15))
            .connect_timeout(timedelta(seconds=5))
            .no_proxy()
            .build()
        )
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self.delivered = 0
        self.given_up = 0

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Forget what has not gone out."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.close()

    def twilio(self, url: str, fields: Mapping[str, str], *, after_s: float) -> None:
        """Post a status callback later; the address's fragment may ask for more tries."""
        target, _, fragment = url.partition("#")
        wish = dict(parse_qsl(fragment)).get("rc", "1")
        tries = min(_MAX_TRIES, 1 + (int(wish) if wish.isdigit() else 1))
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Twilio-Signature": signature(target, fields, self._auth_token),
            "User-Agent": "TwilioProxy/1.1",
        }
        self._later(target, urlencode(fields).encode(), headers, after_s, tries)

    def app(self, url: str, receipt_token: str, *, after_s: float) -> None:
        """The phone's own acknowledgement of a push."""
        body = msgspec.json.encode({"receipt_token": receipt_token, "event": "received"})
        self._later(url, body, {"Content-Type": "application/json"}, after_s, 3)

    def _later(
        self,
        url: str,
        body: bytes,
        headers: dict[str, str],
        after_s: float,
        tries: int,
    ) -> None:
        task = asyncio.create_task(self._deliver(url, body, headers, after_s, tries))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(
        self,
        url: str,
        body: bytes,
        headers: dict[str, str],
        after_s: float,
        tries: int,
    ) -> None:
        await asyncio.sleep(after_s)
        for number in range(tries):
            if number:
                await asyncio.sleep(_BETWEEN_S * 2**number)
            async with self._slots:
                if await self._post(url, body, headers):
                    self.delivered += 1
                    return
        self.given_up += 1

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> bool:
        try:
            response = await self._client.post(url).headers(headers).body_bytes(body).build().send()
        except PyreqwestError:
            return False
        return response.status in _OK
