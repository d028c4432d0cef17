"""The little of HTTP that the simulated providers need, on bare ASGI for speed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

TRANSPORT = "pruuf.transport"


class DroppingProtocol(HttpToolsProtocol):
    """Lets the application close a connection without an answer, as networks do."""

    def on_message_begin(self) -> None:
        """Hand the connection's transport to the application."""
        super().on_message_begin()
        self.scope[TRANSPORT] = self.transport  # type: ignore[literal-required]


@dataclass
class Request:
    """One request, read whole."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[bytes, bytes]
    body: bytes
    transport: asyncio.Transport

    def form(self) -> dict[str, str]:
        """The body's form fields."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    def authorization(self) -> str:
        """The Authorization header, or nothing."""
        return self.headers.get(b"authorization", b"").decode("latin-1")


@dataclass
class Reply:
    """One answer; ``drop`` closes the connection instead."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    retry_after: int | None = None
    drop: bool = False


def json_reply(status: int, value: object, *, retry_after: int | None = None) -> Reply:
    """An answer in JSON."""
    return Reply(status, msgspec.json.encode(value), retry_after=retry_after)


async def read(scope: Scope, receive: Receive) -> Request:
    """Read a request to its end."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True)),
        headers=dict(scope["headers"]),
        body=body,
        transport=scope[TRANSPORT],
    )


async def answer(reply: Reply, request: Request, send: Send) -> None:
    """Send an answer, or drop the connection."""
    if reply.drop:
        request.transport.abort()
        return
    headers = [
        (b"content-type", reply.content_type.encode()),
        (b"content-length", str(len(reply.body)).encode()),
    ]
    if reply.retry_after is not None:
        headers.append((b"retry-after", str(reply.retry_after).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
