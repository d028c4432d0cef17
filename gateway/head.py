"""HEAD and OPTIONS, for every address.

HEAD is answered wherever GET is: the same head without its body (RFC 9110, section 9.3.2).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import cast

from litestar.enums import HttpMethod, ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Method, Receive, Scope, Send

_NONE = cast("Method", "*")
"""A method that no route has: the router then says which ones it has."""


def with_head(allow: str) -> str:
    """An Allow header that names HEAD beside GET."""
    methods = {method.strip() for method in allow.split(",")}
    if HttpMethod.GET in methods:
        methods.add(HttpMethod.HEAD)
    return ", ".join(sorted(methods))


class HeadAndOptions:
    """Wraps the app, whose routes know neither."""

    def __init__(self, app: ASGIApp) -> None:
        """Take the app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
        elif scope["method"] == HttpMethod.HEAD:
            await self._head(scope, receive, send)
        elif scope["method"] == HttpMethod.OPTIONS:
            await self._options(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _head(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        async def headless(message: Message) -> None:
            if message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        # The server goes by its own scope, which must go on to say HEAD.
        inner = scope.copy()
        inner["method"] = HttpMethod.GET
        try:
            await self._app(inner, receive, headless)
        finally:
            if "path_template" in inner:
                scope["path_template"] = inner["path_template"]

    async def _options(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        # The framework's own answer lists the methods of the first route at an address only.
        named = False

        async def naming(message: Message) -> None:
            nonlocal named
            if message["type"] == "http.response.start":
                named = message["status"] == HTTPStatus.METHOD_NOT_ALLOWED
                if named:
                    message["status"] = HTTPStatus.NO_CONTENT
                    message["headers"] = [
                        header for header in message["headers"] if header[0].lower() == b"allow"
                    ]
            elif message["type"] == "http.response.body" and named:
                message["body"] = b""
            await send(message)

        inner = scope.copy()
        inner["method"] = _NONE
        await self._app(inner, receive, naming)
