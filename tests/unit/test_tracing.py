"""Spans: what is kept of them, what they cost when they are off, and who they belong to."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry

from observability import exporting, tracing
from observability.exporting import Exporter, SpanCounts, TraceSettings
from observability.tracing import NEAR_S, Kind, Span, SpanContext, Tracer, parse

_ORIGIN = SpanContext(0xA, 0xB, sampled=True, state="v=1")


class _Kept:
    def __init__(self, ratio: float) -> None:
        self.spans: list[Span] = []
        self.dropped = 0
        self.tracer = Tracer(ratio=ratio, export=self.spans.extend, drop=self._drop)

    def _drop(self, count: int) -> None:
        self.dropped += count

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]


def _tree(kept: _Kept, *, fail: bool = False, keep: bool = False) -> Span:
    outer = kept.tracer.start("outer", Kind.SERVER)
    inner = outer.child("inner", Kind.CLIENT)
    if fail:
        inner.fail("timeout")
    if keep:
        outer.keep()
    inner.end()
    outer.end()
    return outer


@pytest.mark.parametrize(
    ("ratio", "fail", "keep", "expected"),
    [
        (1.0, False, False, ["inner", "outer"]),
        (0.0, False, False, []),
        (0.0, True, False, ["inner", "outer"]),
        (0.0, False, True, ["inner", "outer"]),
    ],
)
def test_a_tree_is_kept_whole_or_not_at_all(
    ratio: float, fail: bool, keep: bool, expected: list[str]
) -> None:
    kept = _Kept(ratio)
    _tree(kept, fail=fail, keep=keep)
    assert kept.names == expected


def test_the_ratio_is_that_of_the_traces_id_and_others_traces_decide_themselves() -> None:
    kept = _Kept(0.25)
    assert sum(_tree(kept).tree.sampled for _ in range(2000)) == pytest.approx(500, abs=120)
    assert kept.tracer.samples(0x3FFF_FFFF_FFFF_FFFF)
    assert not kept.tracer.samples(0x4000_0000_0000_0000)
    for sampled in (True, False):
        parent = SpanContext(1, 2, sampled)
        assert kept.tracer.start("x", Kind.SERVER, parent=parent).tree.sampled is sampled


def test_what_is_near_joins_the_trace_and_what_is_far_links_to_it() -> None:
    kept = _Kept(0.0)
    near = kept.tracer.follow(_ORIGIN, "near", Kind.CONSUMER, age_s=NEAR_S)
    assert (near.trace_id, near.parent_id, near.links) == (0xA, 0xB, [])
    assert near.context.traceparent == f"00-{0xA:032x}-{near.span_id:016x}-01"
    far = kept.tracer.follow(_ORIGIN, "far", Kind.CONSUMER, age_s=NEAR_S + 1)
    assert far.trace_id != 0xA
    assert far.parent_id is None
    assert far.links == [_ORIGIN]
    assert far.tree.sampled


def test_a_batch_is_linked_both_ways_and_kept_with_any_of_its_own() -> None:
    kept = _Kept(0.0)
    quiet, loud = (kept.tracer.start(name, Kind.SERVER) for name in ("quiet", "loud"))
    loud.keep()
    batch = kept.tracer.batch("COMMIT", Kind.CLIENT, [quiet, loud])
    batch.end()
    assert kept.names == ["COMMIT"]
    assert [link.span_id for link in batch.links] == [quiet.span_id, loud.span_id]
    assert [link.span_id for link in quiet.links + loud.links] == [batch.span_id] * 2


def test_a_tree_and_a_span_are_bounded() -> None:
    kept = _Kept(1.0)
    outer = kept.tracer.start("outer", Kind.SERVER)
    for _ in range(1000):
        outer.child("inner").end()
        outer.link(_ORIGIN)
    outer.end()
    assert len(kept.spans) + kept.dropped == 1001
    assert len(kept.spans) <= 201
    assert len(outer.links) == 128


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{0xA:032x}-{0xB:016x}-01", True),
        (f"00-{0xA:032x}-{0xB:016x}-02", False),
        (f"cc-{0xA:032x}-{0xB:016x}-01-what-will-be", True),
        (f"ff-{0xA:032x}-{0xB:016x}-01", None),
        (f"00-{0xA:032x}-{0xB:016x}-01-more", None),
        (f"00-{0:032x}-{0xB:016x}-01", None),
        (f"00-{0xA:032x}-{0:016x}-01", None),
        (f"00-{0xA:032X}-{0xB:016x}-01", None),
        ("", None),
        (None, None),
    ],
)
def test_contexts_are_read_as_w3c_says(header: str | None, sampled: bool | None) -> None:
    context = parse(header)
    assert (None if context is None else context.sampled) is sampled


class _Stuck:
    """A collector that hangs until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked = threading.Event()
        self.took = 0

    def send(self, spans: Sequence[Span]) -> bool:
        self.asked.set()
        self.go.wait(30)
        self.took += len(spans)
        return True

    def close(self) -> None:
        self.go.set()


def test_a_collector_that_hangs_costs_spans_and_nothing_else() -> None:
    registry, stuck = CollectorRegistry(), _Stuck()
    exporter = Exporter(stuck, SpanCounts(registry))
    tracer = Tracer(ratio=1.0, export=exporter.put)
    for _ in range(exporting._BATCH):
        tracer.start("x", Kind.SERVER).end()
    assert stuck.asked.wait(10)
    for _ in range(exporting._QUEUE + 100):
        tracer.start("x", Kind.SERVER).end()
    assert _count(registry, "dropped") >= 100
    assert len(exporter._queue) <= exporting._QUEUE
    exporter.close(within_s=0.05)
    exporter._thread.join(10)
    total = exporting._BATCH + exporting._QUEUE + 100
    assert _count(registry, "dropped") + _count(registry, "exported") == total


def _count(registry: CollectorRegistry, result: str) -> float:
    return registry.get_sample_value("pruuf_trace_spans_total", {"result": result}) or 0.0


async def test_a_collector_that_is_away_is_told_of_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry = CollectorRegistry()
    settings = TraceSettings(endpoint="http://127.0.0.1:9")
    async with exporting.tracing(settings, service="x", counts=SpanCounts(registry)) as tracer:
        assert tracer is not None
        tracer.start("x", Kind.SERVER).end()
    assert (_count(registry, "dropped"), _count(registry, "exported")) == (1, 0)
    assert [r.getMessage() for r in caplog.records if r.name == exporting.__name__] == [
        "the collector takes no traces: they are dropped, and counted"
    ]


async def test_without_an_endpoint_there_is_no_tracer_and_no_thread() -> None:
    counts = SpanCounts(CollectorRegistry())
    async with exporting.tracing(None, service="x", counts=counts) as tracer:
        assert tracer is None
        assert "traces" not in {thread.name for thread in threading.enumerate()}
    assert tracing.current() is None


def test_what_exports_is_loaded_only_to_export() -> None:
    code = (
        "import sys, gateway.app, outbox.relay.process;"
        "print([m for m in sys.modules if m.startswith('opentelemetry.')])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert "opentelemetry.sdk" not in found.stdout
    assert "opentelemetry.exporter" not in found.stdout
