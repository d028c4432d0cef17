"""Hands spans to a collector over OTLP, from a thread of its own; drops them rather than wait.

Nothing here can hold up a request or a claim: a collector that hangs or is away costs the spans
that do not fit into the queue meanwhile, and they are counted.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter

from observability.tracing import Span, Tracer

_log = logging.getLogger(__name__)

_QUEUE = 4096
_BATCH = 256
_LINGER_S = 1.0
"""Spans of a quiet process wait so long for others."""
_LAST_S = 0.5
CLOSE_S = 3.0
"""For what is left at the end; a process that drains has more important things to wait for."""


class TraceSettings(Struct, frozen=True, kw_only=True):
    """Where spans go; a process without it traces nothing."""

    endpoint: str
    """Base of a collector's OTLP/HTTP, without a trailing slash."""
    headers: dict[str, str] = {}
    """Sent with each export; may hold secrets."""
    ratio: float = 1.0
    """Share of the traces that begin here that are sampled."""


class SpanCounts:
    """What became of spans, in the process's metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register, with both series at once."""
        self._counter = Counter(
            "pruuf_trace_spans",
            "Spans that were to be exported: exported, or dropped as the collector was away.",
            ("result",),
            registry=registry,
        )
        self.exported = self._counter.labels("exported")
        self.dropped = self._counter.labels("dropped")


class Sender(Protocol):
    """Carries spans to the collector; blocks."""

    def send(self, spans: Sequence[Span]) -> bool:
        """Whether the collector took them."""
        ...

    def close(self) -> None:
        """Give up what is under way."""
        ...


class Exporter:
    """A bounded queue, and the thread that empties it."""

    def __init__(self, sender: Sender, counts: SpanCounts) -> None:
        """The thread starts at once."""
        self._sender = sender
        self._counts = counts
        self._queue: deque[Span] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def put(self, spans: Sequence[Span]) -> None:
        """Take spans that have ended, or drop them when the queue is full; never waits."""
        if self._stopping or len(self._queue) + len(spans) > _QUEUE:
            self._counts.dropped.inc(len(spans))
            return
        self._queue.extend(spans)
        if len(self._queue) >= _BATCH:
            self._wake.set()

    def close(self, within_s: float = CLOSE_S) -> None:
        """Send what is left, within a bound; what does not go in time is dropped."""
        self._stopping = True
        self._wake.set()
        self._thread.join(within_s)
        self._sender.close()
        # What is under way ends now, unless it hangs in a call: then its spans are not counted.
        self._thread.join(_LAST_S)
        self._counts.dropped.inc(len(self._queue))
        self._queue.clear()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(_LINGER_S)
            self._wake.clear()
            for batch in self._batches():
                self._send(batch)

    def _batches(self) -> Iterator[list[Span]]:
        while self._queue:
            yield [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]

    def _send(self, batch: Sequence[Span]) -> None:
        took = self._sender.send(batch)
        (self._counts.exported if took else self._counts.dropped).inc(len(batch))
        if took == self._failing:
            self._failing = not took
            if took:
                _log.warning("the collector takes traces again")
            else:
                _log.warning("the collector takes no traces: they are dropped, and counted")


@asynccontextmanager
async def tracing(
    settings: TraceSettings | None,
    *,
    service: str,
    counts: SpanCounts,
) -> AsyncIterator[Tracer | None]:
    """The tracer of a process; null where nothing is traced. At the end the rest is sent."""
    if settings is None:
        yield None
        return
    from observability.otlp import OtlpSender  # noqa: PLC0415 - takes 0.3 s and 30 MB

    exporter = Exporter(OtlpSender(settings, service=service), counts)
    try:
        yield Tracer(ratio=settings.ratio, export=exporter.put, drop=counts.dropped.inc)
    finally:
        # In a thread of its own: the loop goes on with what else ends.
        await asyncio.to_thread(exporter.close)
