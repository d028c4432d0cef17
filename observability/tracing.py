"""Traces: what a request, a commit, a claim or a callback did, as spans that nest and link.

A span is a small object here, and whether it is kept is known when its tree has ended: when its
trace is sampled, when anything in the tree failed, or when it is about somebody's safety. What is
kept goes to `observability.exporting`. Without a tracer nothing of this is made.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from enum import IntEnum

from observability.trace_context import SpanContext, parse

__all__ = ["Kind", "Span", "SpanContext", "Tracer", "current", "enter", "parse"]

Value = str | int | float | bool

NEAR_S = 600.0
"""What follows within it belongs to the same trace: an alert's steps all do."""
_MOST_SPANS = 200
"""Of one tree: more are dropped, so that no loop of ours fills the memory."""
_MOST_LINKS = 128
"""Of one span, as OpenTelemetry bounds them by default."""
_RATIO_BITS = 64
"""The lower half of a trace's id decides, as in OpenTelemetry's SDKs: all of them agree."""


class Kind(IntEnum):
    """OpenTelemetry's kinds of spans, with its numbers."""

    INTERNAL = 0
    SERVER = 1
    CLIENT = 2
    PRODUCER = 3
    CONSUMER = 4


class Tree:
    """The spans of one process that belong together, until the outermost of them has ended."""

    __slots__ = ("ended", "kept", "outermost", "sampled")

    def __init__(self, *, sampled: bool) -> None:
        """``sampled``: as its trace is."""
        self.sampled = sampled
        self.kept = False
        """Something failed in it, or it is about safety: exported whatever the sampling says."""
        self.outermost: Span | None = None
        self.ended: list[Span] | None = []
        """Spans that have ended before the outermost one; null once that has ended too."""


class Span:
    """Something that takes time; made by a `Tracer` or as the child of another span."""

    __slots__ = (
        "attributes",
        "context_state",
        "end_ns",
        "error",
        "kind",
        "links",
        "name",
        "parent_id",
        "span_id",
        "start_ns",
        "trace_id",
        "tracer",
        "tree",
    )

    def __init__(  # noqa: PLR0913 - what a span is made of
        self,
        tracer: Tracer,
        name: str,
        kind: Kind,
        *,
        tree: Tree,
        trace_id: int,
        parent_id: int | None,
        state: str | None,
        start_ns: int | None = None,
    ) -> None:
        """Begin now, or at ``start_ns`` of the Unix clock."""
        self.tracer = tracer
        self.name = name
        self.kind = kind
        self.tree = tree
        self.trace_id = trace_id
        self.span_id = random.getrandbits(64) or 1
        self.parent_id = parent_id
        self.context_state = state
        self.start_ns = start_ns or time.time_ns()
        self.end_ns = 0
        self.attributes: dict[str, Value] = {}
        self.links: list[SpanContext] = []
        self.error: str | None = None

    @property
    def is_kept(self) -> bool:
        """Whether it will be exported, as far as it is known now."""
        return self.tree.sampled or self.tree.kept

    @property
    def context(self) -> SpanContext:
        """How others name it."""
        return SpanContext(self.trace_id, self.span_id, self.is_kept, self.context_state)

    @property
    def exemplar(self) -> dict[str, str] | None:
        """For a histogram; null when nobody will find the trace."""
        if not self.is_kept:
            return None
        return {"trace_id": f"{self.trace_id:032x}", "span_id": f"{self.span_id:016x}"}

    def child(self, name: str, kind: Kind = Kind.INTERNAL) -> Span:
        """A span within this one."""
        return Span(
            self.tracer,
            name,
            kind,
            tree=self.tree,
            trace_id=self.trace_id,
            parent_id=self.span_id,
            state=self.context_state,
        )

    def set(self, attributes: Mapping[str, Value | None]) -> None:
        """Take attributes; what is null is left out."""
        for name, value in attributes.items():
            if value is not None:
                self.attributes[name] = value

    def link(self, context: SpanContext | None) -> None:
        """Point to a span that it has to do with and that is none of its own tree."""
        if context is not None and len(self.links) < _MOST_LINKS:
            self.links.append(context)

    def keep(self) -> None:
        """Export its tree whatever the sampling says."""
        self.tree.kept = True

    def fail(self, why: str) -> None:
        """It failed; ``why`` is a class of errors, never the text of one."""
        self.error = why
        self.attributes["error.type"] = why
        self.tree.kept = True

    def end(self) -> None:
        """It is over; the end of the outermost span decides about all of its tree."""
        if self.end_ns:
            return
        # A clock that was set back meanwhile must not make it end before it began.
        self.end_ns = max(time.time_ns(), self.start_ns)
        self.tracer.ended(self)


class Tracer:
    """Begins trees, and hands on what is kept of them."""

    def __init__(
        self,
        *,
        ratio: float,
        export: Callable[[Sequence[Span]], None],
        drop: Callable[[int], None] = lambda _: None,
    ) -> None:
        """``ratio`` of the traces that begin here are sampled; those of others as they say.

        ``drop`` is told how many spans of a tree were too many.
        """
        self._bound = round(ratio * (1 << _RATIO_BITS))
        self._export = export
        self._drop = drop

    def start(
        self,
        name: str,
        kind: Kind,
        *,
        parent: SpanContext | None = None,
        sampled: bool | None = None,
        start_ns: int | None = None,
    ) -> Span:
        """The outermost span of a tree: of ``parent``'s trace, or of a trace of its own.

        ``sampled`` decides for a trace of its own; null leaves it to the ratio.
        """
        if parent is not None:
            trace_id, decision = parent.trace_id, parent.sampled
        else:
            trace_id = random.getrandbits(128) or 1
            decision = self.samples(trace_id) if sampled is None else sampled
        tree = Tree(sampled=decision)
        tree.outermost = Span(
            self,
            name,
            kind,
            tree=tree,
            trace_id=trace_id,
            parent_id=None if parent is None else parent.span_id,
            state=None if parent is None else parent.state,
            start_ns=start_ns,
        )
        return tree.outermost

    def follow(
        self,
        origin: SpanContext | None,
        name: str,
        kind: Kind,
        *,
        age_s: float,
        start_ns: int | None = None,
    ) -> Span:
        """The outermost span of what follows from ``origin``, so many seconds after it began.

        Near it, it joins its trace; later it is a trace of its own that links to it: no backend
        shows a trace that lasts for days, and none keeps one open.
        """
        if origin is None:
            return self.start(name, kind, start_ns=start_ns)
        if age_s <= NEAR_S:
            return self.start(name, kind, parent=origin, start_ns=start_ns)
        span = self.start(name, kind, sampled=origin.sampled, start_ns=start_ns)
        span.link(origin)
        return span

    def samples(self, trace_id: int) -> bool:
        """Whether the ratio takes this trace."""
        return trace_id & ((1 << _RATIO_BITS) - 1) < self._bound

    def batch(
        self, name: str, kind: Kind, spans: Iterable[Span], *, start_ns: int | None = None
    ) -> Span:
        """A span about several trees at once: a trace of its own, linked with each, both ways.

        It is kept if one of theirs is.
        """
        links = list(spans)
        kept = any(each.is_kept for each in links)
        made = self.start(name, kind, sampled=kept, start_ns=start_ns)
        for each in links:
            made.link(each.context)
            each.link(made.context)
        return made

    def ended(self, span: Span) -> None:
        """A span of this tracer is over."""
        tree = span.tree
        if tree.ended is None:
            # Later than its tree, such as a token that several had waited for.
            if span.is_kept:
                self._export([span])
            return
        if span is tree.outermost:
            spans, tree.ended = [*tree.ended, span], None
            if span.is_kept:
                self._export(spans)
        elif len(tree.ended) < _MOST_SPANS:
            tree.ended.append(span)
        else:
            self._drop(1)


_current: ContextVar[Span | None] = ContextVar("pruuf_span", default=None)


def current() -> Span | None:
    """The span that this task works for; null where nothing is traced."""
    return _current.get()


def enter(span: Span | None) -> None:
    """What this task does from now on belongs to ``span``."""
    _current.set(span)
