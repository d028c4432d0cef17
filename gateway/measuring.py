"""Counts and times every answer, those of unknown addresses and of faults too."""

from __future__ import annotations

import time
from collections.abc import Callable

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from prometheus_client import Counter, Histogram

from gateway.resources import Resources

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Measured:
    """Wraps the whole app; label values are kept, as looking them up costs more than counting."""

    def __init__(self, app: ASGIApp) -> None:
        """Take what to measure."""
        self._app = app
        self._children: dict[tuple[str, str, int], Callable[[float], None]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def watching(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watching)
        finally:
            # A client that went away before the answer counts as 499, as in nginx's logs.
            self._count(scope, status or 499, time.perf_counter() - started)

    def _count(self, scope: HTTPScope, status: int, seconds: float) -> None:
        route = scope.get("path_template") or "unmatched"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        key = (route, method, status)
        count = self._children.get(key)
        if count is None:
            resources: Resources = scope["litestar_app"].state.resources
            count = self._children[key] = _child(
                resources.metrics.requests,
                resources.metrics.request_seconds,
                key,
            )
        count(seconds)


def _child(
    requests: Counter,
    durations: Histogram,
    key: tuple[str, str, int],
) -> Callable[[float], None]:
    route, method, status = key
    counter = requests.labels(route, method, status)
    histogram = durations.labels(route, method)

    def count(seconds: float) -> None:
        counter.inc()
        histogram.observe(seconds)

    return count
