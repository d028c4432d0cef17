"""W3C's trace context: how a span is named to others, in headers and in what is stored."""

from __future__ import annotations

import re

from msgspec import Struct

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z")
_TRACESTATE = re.compile(r"[\x20-\x7e]{1,512}\Z")
_INVALID_VERSION = "ff"
_SAMPLED = 0x01


class SpanContext(Struct, frozen=True):
    """Names a span to others: W3C's trace context."""

    trace_id: int
    span_id: int
    sampled: bool
    state: str | None = None
    """W3C's tracestate, as it came; null when there was none."""

    @property
    def traceparent(self) -> str:
        """As it is sent and stored."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{'01' if self.sampled else '00'}"


def parse(traceparent: str | None, tracestate: str | None = None) -> SpanContext | None:
    """A context from W3C's headers; null when it is none, or names nothing."""
    match = None if traceparent is None else _TRACEPARENT.match(traceparent)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == _INVALID_VERSION or (more and version == "00"):
        return None
    trace, span = int(trace_id, 16), int(span_id, 16)
    if not trace or not span:
        return None
    state = tracestate if tracestate and _TRACESTATE.match(tracestate) else None
    return SpanContext(trace, span, bool(int(flags, 16) & _SAMPLED), state)
