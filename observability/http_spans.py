"""Spans of HTTP, as OpenTelemetry's semantic conventions name them; no path of a request is told.

Paths and queries hold phone numbers, tokens and secrets: a server's span has the route's template,
a client's the host alone.
"""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

from observability.tracing import Kind, Span

_PORTS = {"http": 80, "https": 443}


def requesting(outer: Span, method: str, url: str) -> Span:
    """The span of one request to somebody else, which has begun."""
    span = outer.child(method, Kind.CLIENT)
    parts = urlsplit(url)
    port = parts.port or _PORTS.get(parts.scheme)
    span.set(
        {
            "http.request.method": method,
            "server.address": parts.hostname,
            "server.port": port,
            "url.full": f"{parts.scheme}://{parts.hostname}:{port}/REDACTED",
        },
    )
    return span


def answered(span: Span, status: int) -> None:
    """Somebody else answered."""
    span.attributes["http.response.status_code"] = status
    if status >= HTTPStatus.BAD_REQUEST:
        span.fail(str(status))


def served(span: Span, *, method: str, route: str | None, scheme: str, status: int | None) -> None:
    """One request was answered; ``status`` is null when its client did not wait for that."""
    span.name = method if route is None else f"{method} {route}"
    span.set(
        {
            "http.request.method": method,
            "http.route": route,
            "url.path": route or "REDACTED",
            "url.scheme": scheme,
            "http.response.status_code": status,
        },
    )
    if status is None:
        span.attributes["error.type"] = "client_gone"
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        span.fail(str(status))
