"""The lean way of POST /v1/events for one event: what most requests are, without the framework.

Checks, decoding, commit and problems are those of the documented route (`gateway.events`), which
serves everything else: batches, other media types, bodies of unknown length.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from litestar import Litestar
from litestar.connection import Request
from litestar.enums import HttpMethod, ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from gateway.events import PATH, REPLAY, accept_one
from gateway.failures import answer_to
from gateway.resources import Resources
from outbox.store.keys import Scope as KeyScope

_MOST = 64 * 1024
"""Bytes of a body; longer ones are not what this is for."""

_DIGITS = 5

_WANTED = frozenset({b"authorization", b"content-type", b"content-encoding"}) | {
    b"traceparent",
    b"tracestate",
}
_JSON = b"application/json"


class _GoneError(Exception):
    """The client went away before its request was whole."""


def _length(value: bytes) -> int:
    """Of a body that is said to be short; -1 for any other."""
    length = int(value) if value.isdigit() and len(value) <= _DIGITS else -1
    return length if length <= _MOST else -1


class SingleEvents:
    """Wraps the app; takes the requests that it can serve itself."""

    def __init__(self, app: Litestar, inner: ASGIApp) -> None:
        """``inner`` serves all others; ``app`` has the resources."""
        self._app = app
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if (
            scope["type"] == ScopeType.HTTP
            and scope["path"] == PATH
            and scope["method"] == HttpMethod.POST
        ):
            headers: dict[bytes, bytes] = {}
            length = -1
            for name, value in scope["headers"]:
                if name in _WANTED:
                    headers.setdefault(name, value)
                elif name == b"content-length":
                    length = _length(value)
            if length >= 0 and headers.get(b"content-type") == _JSON:
                await self._serve(scope, receive, send, headers)
                return
        await self._inner(scope, receive, send)

    async def _serve(
        self,
        scope: HTTPScope,
        receive: Receive,
        send: Send,
        headers: dict[bytes, bytes],
    ) -> None:
        # As the framework leaves it, for those who measure and those who answer faults.
        scope["path_template"] = PATH
        resources: Resources = self._app.state.resources
        known = {name.decode(): value.decode("latin-1") for name, value in headers.items()}
        try:
            await resources.keys.authorize(known.get("authorization"), KeyScope.EVENTS)
            body, replay = await accept_one(resources, known, await _body(receive))
        except _GoneError:
            return
        except Exception as error:  # noqa: BLE001 - every fault is answered, as in the framework
            request: Request[Any, Any, Any] = Request(scope, receive, send)
            response = answer_to(request, error).to_asgi_response(None, request)
            await response(scope, receive, send)
            return
        answered = [(b"content-type", _JSON), (b"content-length", str(len(body)).encode())]
        if replay:
            answered += [(name.lower().encode(), value.encode()) for name, value in REPLAY.items()]
        await send(
            {
                "type": "http.response.start",
                "status": int(HTTPStatus.ACCEPTED),
                "headers": answered,
            },
        )
        await send({"type": "http.response.body", "body": body, "more_body": False})


async def _body(receive: Receive) -> bytes:
    """The whole body; the server holds a sender to the length that was said."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _GoneError
        parts.append(message["body"])
        if not message["more_body"]:
            return b"".join(parts) if len(parts) > 1 else parts[0]
