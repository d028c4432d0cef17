"""The little of HTTP that simulated providers need, on bare ASGI for speed.

An answer can be withheld: the connection then closes after the request was accepted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_TRANSPORT = "pruuf.transport"
_encode = msgspec.json.Encoder().encode


class DroppingProtocol(HttpToolsProtocol):
    """Lets the application close a connection without an answer, as networks do."""

    def on_message_begin(self) -> None:
        """Hand the connection's transport to the application."""
        super().on_message_begin()
        self.scope[_TRANSPORT] = self.transport  # type: ignore[literal-required]


@dataclass(slots=True)
class Request:
    """One request, read whole."""

    method: str
    path: str
    query_string: bytes
    headers: list[tuple[bytes, bytes]]
    """Names in lower case."""
    body: bytes
    transport: asyncio.Transport

    def form(self) -> dict[str, str]:
        """The body's form fields; of a repeated one the last."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def query(self) -> dict[str, str]:
        """The query's fields; of a repeated one the last."""
        return dict(parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True))

    def header(self, wanted: bytes) -> bytes:
        """A header, or nothing."""
        for name, value in self.headers:
            if name == wanted:
                return value
        return b""


@dataclass(slots=True)
class Reply:
    """One answer."""

    status: int
    body: bytes = b""
    content_type: bytes = b"application/json"
    retry_after: int | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """More of them."""
    accepted: str | None = None
    """Id of the ledger's entry that this answer is about."""
    refused: str | None = None
    """Why it was refused, for the statistics."""
    drop: bool = False
    """Close the connection instead of answering."""
    chunks: AsyncIterator[bytes] | None = None
    """A body that is made while it is sent, in place of ``body``."""


def json_reply(status: int, value: object) -> Reply:
    """An answer in JSON."""
    return Reply(status, _encode(value))


async def read(scope: Scope, receive: Receive) -> Request:
    """Read a request to its end."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return Request(
        scope["method"],
        scope["path"],
        scope["query_string"],
        scope["headers"],
        body,
        scope[_TRANSPORT],
    )


async def answer(reply: Reply, request: Request, receive: Receive, send: Send) -> bool:
    """Send an answer; false when it was withheld, or when nobody was there to take it."""
    if reply.drop:
        request.transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass
        return False
    if request.transport.is_closing():
        return False
    headers = [(b"content-type", reply.content_type), *reply.headers]
    if reply.retry_after is not None:
        headers.append((b"retry-after", b"%d" % reply.retry_after))
    if reply.chunks is None:
        headers.append((b"content-length", b"%d" % len(reply.body)))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if reply.chunks is not None:
        async for chunk in reply.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": reply.body})
    return True
