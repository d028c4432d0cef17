"""Unknown outcomes: the callback first, then the provider's own list, then the kind's policy.

Works from what is stored, so it makes no difference whether the call's answer was lost or the
relay that made it died.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from outbox.domain import decide
from outbox.domain.content import Content, short_reference
from outbox.domain.decide import Final, History, Move
from outbox.domain.messages import SentSms
from outbox.domain.outcomes import Outcome, Result
from outbox.domain.plans import Channel, Plan
from outbox.domain.receipts import is_failure, rank_of
from outbox.domain.states import Work
from outbox.providers.twilio import LookupFailedError
from outbox.relay.ports import SmsProvider
from outbox.store.claims import Claim
from outbox.store.settle import Attempt, Settlement

_LOOK_BACK = timedelta(minutes=10)
"""Before the step began: covers clocks that differ by minutes."""


class Resolver:
    """Finds out what became of a call."""

    def __init__(self, *, sms: SmsProvider, jitter: Callable[[], float]) -> None:
        """``sms`` is asked for what it has."""
        self._sms = sms
        self._jitter = jitter

    async def resolve(
        self,
        claim: Claim,
        plan: Plan,
        content: Content,
        history: History,
    ) -> Settlement:
        """Settle a row whose newest call has no known outcome."""
        heard = history.of_call(claim.call_fence)
        if heard:
            # The provider spoke of this very call, so it has the message.
            failed = next((r for r in heard if is_failure(r.rank)), None)
            reason = None if failed is None else f"twilio_{failed.code or failed.status}"
            return Settlement(claim=claim, move=self._found(claim, plan, reason))
        if plan.steps[claim.step].channel is not Channel.SMS or content.phone is None:
            # The receiver drops repetitions by the notification's id: send again.
            return Settlement(
                claim=claim,
                move=Move(work=Work.SEND, step=claim.step, attempt=claim.attempt),
            )
        return await self._ask(claim, plan, content.phone, history)

    def _found(self, claim: Claim, plan: Plan, failed: str | None) -> Move | Final:
        return decide.after_found(plan, step=claim.step, attempt=claim.attempt, failed=failed)

    async def _ask(self, claim: Claim, plan: Plan, phone: str, history: History) -> Settlement:
        at = datetime.now(UTC)
        since = at - timedelta(seconds=claim.step_age_s) - _LOOK_BACK
        reference = short_reference(claim.notification, claim.step)
        try:
            messages = await self._sms.find(to=phone, sent_since=since, containing=reference)
        except LookupFailedError as error:
            return self._unanswered(claim, plan, at, error)
        known = {called.provider_id for called in history.calls if called.fence != claim.call_fence}
        found = _newest(m for m in messages if m.provider_id not in known)
        if found is None:
            return self._absent(claim, plan, at)
        failed = None
        if is_failure(rank_of("twilio", found.status)):
            failed = f"twilio_{found.code or found.status}"
        outcome = Outcome(
            result=Result.ACCEPTED,
            provider="twilio",
            provider_id=found.provider_id,
            detail="found by asking",
            latency_ms=_since_ms(at),
        )
        attempt = Attempt(channel="sms", outcome=outcome, at=at, what="ask")
        return Settlement(claim=claim, move=self._found(claim, plan, failed), attempts=(attempt,))

    def _absent(self, claim: Claim, plan: Plan, at: datetime) -> Settlement:
        outcome = Outcome(
            result=Result.RETRYABLE,
            provider="twilio",
            code="no_such_message",
            detail="asked, and the provider has no such message",
            latency_ms=_since_ms(at),
        )
        move = decide.after_absent(
            plan,
            step=claim.step,
            attempt=claim.attempt,
            asked=claim.asked + 1,
            step_age_s=claim.step_age_s,
        )
        attempt = Attempt(channel="sms", outcome=outcome, at=at, what="ask")
        return Settlement(claim=claim, move=move, attempts=(attempt,))

    def _unanswered(
        self,
        claim: Claim,
        plan: Plan,
        at: datetime,
        error: LookupFailedError,
    ) -> Settlement:
        outcome = Outcome(
            result=Result.OUTCOME_UNKNOWN,
            provider="twilio",
            code="lookup_failed",
            detail=f"asked, and the provider did not answer ({type(error).__name__})",
            latency_ms=_since_ms(at),
        )
        move = decide.after_unanswered(
            plan,
            step=claim.step,
            attempt=claim.attempt,
            asked=claim.asked,
            step_age_s=claim.step_age_s,
            jitter=self._jitter,
        )
        attempt = Attempt(channel="sms", outcome=outcome, at=at, what="ask")
        return Settlement(claim=claim, move=move, attempts=(attempt,))


def _newest(messages: Iterable[SentSms]) -> SentSms | None:
    return max(messages, key=lambda message: message.created_at, default=None)


def _since_ms(at: datetime) -> int:
    return int((datetime.now(UTC) - at).total_seconds() * 1000)
