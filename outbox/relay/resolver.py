"""What the provider is asked: what became of a call, and of a message whose receipt is late.

Unknown outcomes: the callback first, then the provider's own list, then the kind's policy.

Works from what is stored, so it makes no difference whether the call's answer was lost or the
relay that made it died.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from outbox.domain import decide
from outbox.domain.callbacks import Callback
from outbox.domain.content import Content, short_reference
from outbox.domain.decide import Final, Move
from outbox.domain.history import History
from outbox.domain.messages import SentSms
from outbox.domain.outcomes import Outcome, Result
from outbox.domain.plans import Channel, Plan
from outbox.domain.receipts import is_failure, rank_of
from outbox.domain.states import Lane, Work
from outbox.providers.twilio import LookupFailedError
from outbox.relay.gate import Gate
from outbox.relay.ports import SmsProvider
from outbox.sealing import Sealer
from outbox.store.claims import Claim
from outbox.store.inbox import sealed
from outbox.store.settle import Attempt, Settlement

_LOOK_BACK = timedelta(minutes=10)
"""Before the step began: covers clocks that differ by minutes."""

_HELD_AGAIN_S = 30.0
"""Between two looks whether a person has released what would be asked."""


class Resolver:
    """Finds out what became of a call, or of a message."""

    def __init__(
        self,
        *,
        sms: SmsProvider,
        gate: Gate,
        sealer: Sealer,
        jitter: Callable[[], float],
    ) -> None:
        """``sms`` is asked for what it has, ``gate`` whether it works at all."""
        self._sms = sms
        self._gate = gate
        self._sealer = sealer
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
        if plan.lane_number is Lane.SAFETY and self._gate.is_down("twilio"):
            # Nobody there to ask: an alert prefers a duplicate to silence.
            move = decide.next_step(plan, claim.step, "outcome_unknown")
            return Settlement(claim=claim, move=move)
        if self._gate.is_held("twilio"):
            # Silence is better than a duplicate: it waits until it may be asked.
            wait = Move(
                work=Work.RESOLVE,
                step=claim.step,
                attempt=claim.attempt,
                asked=claim.asked,
                delay_s=_HELD_AGAIN_S,
            )
            return Settlement(claim=claim, move=wait)
        return await self._ask(claim, plan, content.phone, history)

    async def look(self, claim: Claim, plan: Plan, history: History) -> Settlement:
        """Ask for the receipt of a message that the provider took.

        The answer goes into the inbox as if the provider had called back, so it is applied once,
        by the same rules, also when the callback comes after all.
        """
        held = self._gate.is_held("twilio")
        asked = claim.asked + (not held)
        move = decide.after_look(
            plan,
            step=claim.step,
            attempt=claim.attempt,
            asked=asked,
            left_s=claim.receipt_left_s or 0.0,
        )
        message = history.message_of(claim.call_fence)
        if message is None or held:
            return Settlement(claim=claim, move=move)
        at = datetime.now(UTC)
        try:
            found = await self._sms.fetch(message)
        except LookupFailedError as error:
            attempt = _unanswered(at, error)
            return Settlement(claim=claim, move=move, attempts=(attempt,))
        if found is None:
            return Settlement(claim=claim, move=move, attempts=(_no_such_message(at),))
        outcome = Outcome(
            result=Result.ACCEPTED,
            provider="twilio",
            provider_id=message,
            code=found.code,
            detail=f"asked for its receipt: {found.status}",
            latency_ms=_since_ms(at),
        )
        heard = Callback(
            source="twilio",
            status=found.status,
            provider_id=message,
            code=found.code,
            notification=claim.notification,
            step=claim.step,
            fence=claim.call_fence,
        )
        return Settlement(
            claim=claim,
            move=move,
            attempts=(Attempt(channel="sms", outcome=outcome, at=at, what="ask"),),
            heard=(sealed(self._sealer, heard, lane=claim.lane),),
        )

    def _found(self, claim: Claim, plan: Plan, failed: str | None) -> Move | Final:
        return decide.after_found(plan, step=claim.step, attempt=claim.attempt, failed=failed)

    async def _ask(self, claim: Claim, plan: Plan, phone: str, history: History) -> Settlement:
        at = datetime.now(UTC)
        since = at - timedelta(seconds=claim.step_age_s) - _LOOK_BACK
        reference = short_reference(claim.notification, claim.step)
        try:
            messages = await self._sms.find(to=phone, sent_since=since, containing=reference)
        except LookupFailedError as error:
            move = decide.after_unanswered(
                plan,
                step=claim.step,
                attempt=claim.attempt,
                asked=claim.asked,
                step_age_s=claim.step_age_s,
                jitter=self._jitter,
            )
            return Settlement(claim=claim, move=move, attempts=(_unanswered(at, error),))
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
        move = decide.after_absent(
            plan,
            step=claim.step,
            attempt=claim.attempt,
            asked=claim.asked + 1,
            step_age_s=claim.step_age_s,
        )
        return Settlement(claim=claim, move=move, attempts=(_no_such_message(at),))


def _no_such_message(at: datetime) -> Attempt:
    outcome = Outcome(
        result=Result.RETRYABLE,
        provider="twilio",
        code="no_such_message",
        detail="asked, and the provider has no such message",
        latency_ms=_since_ms(at),
    )
    return Attempt(channel="sms", outcome=outcome, at=at, what="ask")


def _unanswered(at: datetime, error: LookupFailedError) -> Attempt:
    outcome = Outcome(
        result=Result.OUTCOME_UNKNOWN,
        provider="twilio",
        code="lookup_failed",
        detail=f"asked, and the provider did not answer ({error.code})",
        latency_ms=_since_ms(at),
    )
    return Attempt(channel="sms", outcome=outcome, at=at, what="ask")


def _newest(messages: Iterable[SentSms]) -> SentSms | None:
    return max(messages, key=lambda message: message.created_at, default=None)


def _since_ms(at: datetime) -> int:
    return int((datetime.now(UTC) - at).total_seconds() * 1000)
