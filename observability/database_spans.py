"""Spans of transactions, as OpenTelemetry's semantic conventions name them; no value is told."""

from __future__ import annotations

from collections.abc import Sequence

from observability.tracing import Kind, Span

_SYSTEM = "postgresql"


def committing(what: str, spans: Sequence[Span]) -> Span | None:
    """One transaction that several wait for, linked with each; null where nothing is traced."""
    if not spans:
        return None
    name = f"COMMIT {what}"
    made = spans[0].tracer.batch(name, Kind.CLIENT, spans)
    made.set(
        {
            "db.system.name": _SYSTEM,
            "db.operation.name": "COMMIT",
            "db.query.summary": name,
            # One alone is no batch, say the conventions.
            "db.operation.batch.size": len(spans) if len(spans) > 1 else None,
        },
    )
    return made


def committed(span: Span | None, error: BaseException | None = None) -> None:
    """It is over; ``error`` is told by its class and, where the server gave one, its state."""
    if span is None:
        return
    if error is not None:
        state = getattr(error, "sqlstate", None)
        span.set({"db.response.status_code": state})
        span.fail(type(error).__name__)
    span.end()
