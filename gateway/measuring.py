"""Counts, times and traces every answer, those of unknown addresses and of faults too."""

from __future__ import annotations

import time
from collections.abc import Callable

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from prometheus_client import Counter, Histogram

from gateway.resources import Resources
from gateway.tally import Tally, outcome_of
from observability import tracing
from observability.http_spans import served
from observability.tracing import Kind, Span, Tracer

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})
_CALLBACKS = "/webhooks/"
_CONTEXT = frozenset({b"traceparent", b"tracestate"})

_Count = Callable[[float, dict[str, str] | None], None]


class Measured:
    """Wraps the whole app; label values are kept, as looking them up costs more than counting."""

    def __init__(self, app: ASGIApp) -> None:
        """Take what to measure."""
        self._app = app
        self._children: dict[tuple[str, str, int], _Count] = {}
        self.tracer: Tracer | None = None
        """Set once the process is open; null: nothing is traced."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        span = None if self.tracer is None else _begun(self.tracer, scope)
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
            exemplar = None
            if span is not None:
                exemplar = _served(span, scope, status)
            self._count(scope, status or 499, time.perf_counter() - started, exemplar)

    def _count(
        self, scope: HTTPScope, status: int, seconds: float, exemplar: dict[str, str] | None
    ) -> None:
        route = scope.get("path_template") or "unmatched"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        key = (route, method, status)
        count = self._children.get(key)
        if count is None:
            resources: Resources = scope["litestar_app"].state.resources
            count = self._children[key] = _child(
                resources.metrics.requests,
                resources.metrics.request_seconds,
                resources.tally,
                key,
            )
        count(seconds, exemplar)


def _begun(tracer: Tracer, scope: HTTPScope) -> Span | None:
    """The span of one request, entered; null for what only asks whether we live."""
    path = scope["path"]
    if path in _UNTRACED:
        return None
    given: dict[bytes, str] = {}
    # A provider's callback belongs to no trace of its caller: its way back is by links.
    if not path.startswith(_CALLBACKS):
        for name, value in scope["headers"]:
            if name in _CONTEXT:
                given.setdefault(name, value.decode("latin-1"))
    parent = tracing.parse(given.get(b"traceparent"), given.get(b"tracestate"))
    span = tracer.start(scope["method"], Kind.SERVER, parent=parent)
    tracing.enter(span)
    return span


def _served(span: Span, scope: HTTPScope, status: int) -> dict[str, str] | None:
    """End the span; what the histogram may say of it."""
    served(
        span,
        method=scope["method"] if scope["method"] in _METHODS else "_OTHER",
        route=scope.get("path_template"),
        scheme=scope["scheme"],
        status=status or None,
    )
    span.end()
    tracing.enter(None)
    return span.exemplar


def _child(
    requests: Counter,
    durations: Histogram,
    tally: Tally,
    key: tuple[str, str, int],
) -> _Count:
    route, method, status = key
    counter = requests.labels(route, method, status)
    histogram = durations.labels(route, method)
    outcome = outcome_of(route, method, status)

    def count(seconds: float, exemplar: dict[str, str] | None) -> None:
        counter.inc()
        histogram.observe(seconds, exemplar)
        if outcome is not None:
            tally.add(outcome)

    return count
