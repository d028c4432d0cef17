"""One call to a provider: measured, its outcome named, and logged once as one wide event.

Where the task that makes it is traced, the call is a span of the same name as its event.
"""

from __future__ import annotations

import time

from observability import tracing
from observability.logs import wide
from observability.tracing import Kind, Span
from outbox.domain.outcomes import SENT, Outcome, Result
from outbox.providers.transport import TransportFault

MALFORMED = "malformed_answer"
"""Our code for a success that is not in the provider's shape: a proxy may have spoken for it."""


_FAILED = frozenset(Result) - SENT - {Result.CHANNEL_FINAL, Result.RECIPIENT_SUPPRESSED}
"""Of a call as such; that a number is dead is an answer like another."""


class Call:
    """A call that has begun; its event has these keys always, and those of its adapter."""

    def __init__(self, provider: str, event: str, **fields: object) -> None:
        """``event`` is the log event's name: ``sms.send``; ``fields`` are for the log alone."""
        self._provider = provider
        self._event = event
        self._fields = fields
        self._started = time.perf_counter()
        self._outer = tracing.current()
        self._span = None if self._outer is None else self._outer.child(event, Kind.INTERNAL)
        if self._span is not None:
            # What the transport does for it is within it.
            tracing.enter(self._span)

    @property
    def age_s(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self._started

    def ended(
        self,
        result: Result,
        *,
        code: str | None = None,
        detail: str | None = None,
        provider_id: str | None = None,
        retry_after_s: float | None = None,
        **fields: object,
    ) -> Outcome:
        """Log the call and return its outcome; ``fields`` join those of the beginning."""
        outcome = Outcome(
            result=result,
            provider=self._provider,
            provider_id=provider_id,
            code=code,
            detail=detail,
            retry_after_s=retry_after_s,
            latency_ms=int(self.age_s * 1000),
        )
        wide(
            self._event,
            provider=outcome.provider,
            result=outcome.result,
            code=outcome.code,
            provider_id=outcome.provider_id,
            retry_after_s=outcome.retry_after_s,
            latency_ms=outcome.latency_ms,
            **self._fields,
            **fields,
        )
        if self._span is not None:
            self._end(self._span, outcome)
        return outcome

    def _end(self, span: Span, outcome: Outcome) -> None:
        span.set(
            {
                "pruuf.provider": outcome.provider,
                "pruuf.result": str(outcome.result),
                "pruuf.code": outcome.code,
                "pruuf.provider_id": outcome.provider_id,
            },
        )
        if outcome.result in _FAILED:
            span.fail(outcome.code or str(outcome.result))
        span.end()
        tracing.enter(self._outer)

    def unanswered(
        self,
        fault: TransportFault,
        *,
        lost: Result = Result.OUTCOME_UNKNOWN,
    ) -> Outcome:
        """No answer came; ``lost`` is what that means where the request may have been sent."""
        result = Result.RETRYABLE if fault.certainly_unsent else lost
        return self.ended(result, code=fault.kind)
