"""Carries the Twilio SDK's requests over our transport, and keeps what the SDK would drop.

The SDK builds requests and maps errors. Successes are decoded here instead: its parser trusts
every shape, its exceptions have no headers, and it costs more than all the rest of the call.
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Struct
from twilio.http import AsyncHttpClient
from twilio.http.response import Response

from outbox.providers.transport import Answer, Transport

_OK = range(200, 300)
_ERROR = 400


class Message(Struct):
    """What is read of a message."""

    sid: str
    status: str
    error_code: int | str | None = None
    body: str | None = None
    direction: str | None = None
    date_created: str | None = None


class Page(Struct):
    """A page of messages."""

    messages: list[Message]
    next_page_uri: str | None = None


class Account(Struct):
    """What is read of an account."""

    sid: str
    status: str


_Shape = TypeVar("_Shape", Message, Page, Account)


class MalformedAnswerError(Exception):
    """A success that is not in Twilio's shape; says nothing of its content."""


class Exchange:
    """All requests of one adapter call: their common deadline, and the last answer."""

    def __init__(self, within_s: float) -> None:
        """``within_s`` from now, for all of them together."""
        self._until = time.monotonic() + within_s
        self._success: Message | Page | Account | None = None
        self.requests = 0
        self.answer: Answer | None = None

    def success(self, shape: type[_Shape]) -> _Shape:
        """The last answer; raises `MalformedAnswerError` when it was no success of this shape."""
        if not isinstance(self._success, shape):
            raise MalformedAnswerError
        return self._success

    async def send(self, transport: Transport, method: str, url: str, given: Given) -> Response:
        """Send one request; raises `TransportFault`, `MalformedAnswerError`."""
        self._success = None
        self.requests += 1
        left_s = self._until - time.monotonic()
        self.answer = answer = await transport.request(
            method,
            url,
            headers=given.headers,
            body=given.body,
            timeout_s=left_s,
        )
        if answer.status >= _ERROR:
            return Response(answer.status, answer.body.decode("utf-8", "replace"))
        if answer.status in _OK:
            self._success = _decoded(method, url, answer.body)
        return Response(answer.status, _for_the_sdk(self._success))


class Given(Struct, frozen=True):
    """What goes out with a request."""

    headers: Mapping[str, str]
    body: bytes | None


_current: ContextVar[Exchange] = ContextVar("exchange")


def begin(within_s: float) -> Exchange:
    """Begin an adapter call in this task; what the SDK sends from now on belongs to it."""
    exchange = Exchange(within_s)
    _current.set(exchange)
    return exchange


class SdkTransport(AsyncHttpClient):  # type: ignore[misc] # the SDK has no types
    """The SDK's HTTP client; never logs requests, as their addresses hold phone numbers."""

    def __init__(self, transport: Transport) -> None:
        """``transport`` is shared; it owns time-outs and connections."""
        super().__init__(logging.getLogger("twilio.unused"), is_async=True)
        self._transport = transport
        self._basic: dict[tuple[str, str], str] = {}

    async def request(  # noqa: PLR0913, PLR0917 - the SDK's signature
        self,
        method: str,
        uri: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109, ARG002 - the exchange has a deadline
        allow_redirects: bool = False,  # noqa: FBT001, FBT002, ARG002 - the SDK's signature
    ) -> Response:
        """Send; raises `TransportFault`, `MalformedAnswerError`."""
        sent = dict(headers or {})
        if auth is not None:
            sent["Authorization"] = self._authorization(auth)
        url = f"{uri}?{urlencode(params)}" if params else uri
        given = Given(sent, urlencode(data).encode() if data else None)
        return await _current.get().send(self._transport, method, url, given)

    def _authorization(self, auth: tuple[str, str]) -> str:
        known = self._basic.get(auth)
        if known is None:
            token = base64.b64encode(":".join(auth).encode()).decode()
            known = self._basic[auth] = f"Basic {token}"
        return known


def _decoded(method: str, url: str, body: bytes) -> Message | Page | Account:
    path = urlsplit(url).path
    shape: type[Message | Page | Account] = Account
    if method == "POST" or "/Messages/" in path:
        shape = Message
    elif path.endswith("/Messages.json"):
        shape = Page
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    # Outside of the handler: the decoder's message may quote what it met.
    raise MalformedAnswerError


def _for_the_sdk(success: Message | Page | Account | None) -> str:
    """No more than it needs to go on: the address of the next page."""
    if isinstance(success, Page):
        return msgspec.json.encode(Page([], success.next_page_uri)).decode()
    return "{}"
