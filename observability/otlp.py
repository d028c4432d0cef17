"""Spans as OpenTelemetry's SDK knows them, and its own exporter; imported only to export."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from importlib.metadata import version
from uuid import uuid4

from opentelemetry import trace as api
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from observability.exporting import TraceSettings
from observability.tracing import Span, SpanContext

_log = logging.getLogger(__name__)

_PATH = "/v1/traces"
_ONE_CALL_S = 5.0
"""The exporter repeats within it what the collector wants repeated."""


class OtlpSender:
    """Sends over HTTP, as protobuf; what else OTEL_EXPORTER_OTLP_… says is read by the exporter."""

    def __init__(self, settings: TraceSettings, *, service: str) -> None:
        """``service`` is what the process is called, unless OTEL_SERVICE_NAME says otherwise."""
        # It speaks of addresses and answers; what a person needs to know is said by `Exporter`.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._exporter = OTLPSpanExporter(
            endpoint=f"{settings.endpoint}{_PATH}",
            headers=settings.headers or None,
            timeout=_ONE_CALL_S,
        )
        own: dict[str, str] = {
            "service.namespace": "pruuf",
            "service.instance.id": str(uuid4()),
            "service.version": version("pruuf-gateway"),
        }
        if not os.environ.get("OTEL_SERVICE_NAME"):
            own["service.name"] = service
        self._resource = Resource.create(own)
        self._scope = InstrumentationScope("pruuf", version("pruuf-gateway"))

    def send(self, spans: Sequence[Span]) -> bool:
        """Whether the collector took them; never raises."""
        try:
            result = self._exporter.export([self._readable(span) for span in spans])
        except Exception as error:  # noqa: BLE001 - the thread must live, whatever it was
            _log.debug("spans cannot be exported: %s", type(error).__name__)
            return False
        return result is SpanExportResult.SUCCESS

    def close(self) -> None:
        """Give up what is under way."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def _readable(self, span: Span) -> ReadableSpan:
        own = _named(span.context, remote=False)
        parent = None
        if span.parent_id is not None:
            of_parent = SpanContext(span.trace_id, span.parent_id, sampled=True)
            parent = _named(of_parent, remote=span is span.tree.outermost)
        code = api.StatusCode.UNSET if span.error is None else api.StatusCode.ERROR
        return ReadableSpan(
            name=span.name,
            context=own,
            parent=parent,
            resource=self._resource,
            attributes=span.attributes,
            links=[api.Link(_named(context, remote=True)) for context in span.links],
            kind=api.SpanKind(int(span.kind)),
            status=api.Status(code),
            start_time=span.start_ns,
            end_time=span.end_ns,
            instrumentation_scope=self._scope,
        )


def _named(context: SpanContext, *, remote: bool) -> api.SpanContext:
    return api.SpanContext(
        context.trace_id,
        context.span_id,
        remote,
        api.TraceFlags(int(context.sampled)),
        api.TraceState.from_header([context.state] if context.state else []),
    )
