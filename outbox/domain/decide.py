"""What happens next: from a step's outcome to the move of its due row. Pure; the heart of delivery.

Nothing here is retried without bound: every retry lies inside its step's window, every step
leads to the next, and the last one to a final state.
"""

from __future__ import annotations

from msgspec import Struct

from outbox.domain import backoff
from outbox.domain.backoff import Jitter
from outbox.domain.outcomes import SENT, STEP_IS_OVER, Outcome, Result
from outbox.domain.plans import Channel, OnUnknown, Plan, Step
from outbox.domain.receipts import is_failure
from outbox.domain.states import Lane, State, Work

ASK_AGAIN_S = 5.0
"""Between two questions about the same message; a provider's list may lag behind by seconds."""

RESOLVE_AFTER_S = 3.0
"""From an unknown outcome to the first question: the callback may answer before."""

ASK_TIMES = 2
"""Answers "no such message" before it is believed."""

PAGE_RETRY_S = 60.0
"""A page that was refused by configuration is tried again: there is nothing after it."""


class Move(Struct, frozen=True, kw_only=True):
    """The due row stays: new work, step, counters and time."""

    work: Work
    step: int
    attempt: int
    asked: int = 0
    delay_s: float | None = 0.0
    """From the settle, by the database's clock; null: until somebody puts it back to work."""
    parked: str | None = None
    """Why it needs a person; null unless parked."""


class Final(Struct, frozen=True, kw_only=True):
    """The notification is finished and its due row goes."""

    state: State
    reason: str | None = None
    proof: str | None = None
    channel: str | None = None


class Called(Struct, frozen=True, kw_only=True):
    """An earlier attempt of the same notification."""

    step: int
    fence: int
    what: str
    channel: str
    provider: str
    result: str
    code: str | None
    provider_id: str | None


class Heard(Struct, frozen=True, kw_only=True):
    """A receipt of the same notification."""

    step: int
    fence: int
    source: str
    status: str
    code: str | None
    rank: int
    provider_id: str | None


class History(Struct, frozen=True):
    """What is stored of a notification so far, oldest first."""

    calls: tuple[Called, ...] = ()
    receipts: tuple[Heard, ...] = ()

    def of_call(self, fence: int) -> tuple[Heard, ...]:
        """Receipts of one call."""
        return tuple(heard for heard in self.receipts if heard.fence == fence)

    def number_is_unusable(self) -> bool:
        """Whether a provider refused the recipient's number itself: another sender cannot help."""
        refused = {Result.CHANNEL_FINAL, Result.RECIPIENT_SUPPRESSED}
        return any(c.channel == Channel.SMS and c.result in refused for c in self.calls)

    def why(self) -> str:
        """The last failure in a few characters: ``twilio_30005``, ``no_receipt``, ``no_device``."""
        if not self.calls:
            return "no_channel"
        last = self.calls[-1]
        failures = [heard for heard in self.of_call(last.fence) if is_failure(heard.rank)]
        if failures:
            code = failures[-1].code
            return f"{last.provider}_{code}" if code else f"{last.provider}_{failures[-1].status}"
        if last.result in SENT:
            return "no_receipt"
        return reason_of(last.provider, last.code, last.result)


def reason_of(provider: str, code: str | None, result: str) -> str:
    """A failure in a few characters; our own codes (``no_device``) stand for themselves."""
    if code is None:
        return f"{provider}_{result}"
    return code if code.startswith("no_") else f"{provider}_{code}"


def next_step(plan: Plan, step: int, reason: str, *, suppressed: bool = False) -> Move | Final:
    """The plan's next step at once, or the end of it."""
    if step + 1 < len(plan.steps):
        return Move(work=Work.SEND, step=step + 1, attempt=0)
    state = State.SUPPRESSED if suppressed else State.UNDELIVERABLE
    return Final(state=state, reason=reason)


def after_call(
    plan: Plan,
    *,
    step: int,
    attempt: int,
    step_age_s: float,
    outcome: Outcome,
    jitter: Jitter,
) -> Move | Final:
    """The move after a provider was called for ``step`` for the ``attempt``-th time."""
    current = plan.steps[step]
    if outcome.result in SENT:
        return _after_acceptance(current, step, attempt)
    reason = reason_of(outcome.provider, outcome.code, outcome.result)
    if outcome.result in STEP_IS_OVER:
        suppressed = outcome.result is Result.RECIPIENT_SUPPRESSED
        return next_step(plan, step, reason, suppressed=suppressed)
    if outcome.result is Result.CONFIGURATION_FAULT:
        if current.channel is Channel.PAGE:
            return Move(work=Work.SEND, step=step, attempt=attempt, delay_s=PAGE_RETRY_S)
        if plan.lane_number is Lane.SAFETY:
            return next_step(plan, step, reason)
        return Move(work=Work.SEND, step=step, attempt=0, delay_s=None, parked=reason)
    if outcome.result is Result.OUTCOME_UNKNOWN and current.channel is Channel.SMS:
        return Move(work=Work.RESOLVE, step=step, attempt=attempt, delay_s=RESOLVE_AFTER_S)
    # Retryable; or unknown on a channel whose receiver drops repetitions by their id.
    delay_s = backoff.delay_s(
        attempt,
        urgent=plan.urgent,
        jitter=jitter,
        retry_after_s=outcome.retry_after_s,
    )
    if step_age_s + delay_s > current.retry_within_s:
        return next_step(plan, step, reason)
    return Move(work=Work.SEND, step=step, attempt=attempt, delay_s=delay_s)


def _after_acceptance(current: Step, step: int, attempt: int) -> Move | Final:
    if current.receipt_within_s is None:
        return Final(state=State.DELIVERED, proof="accepted", channel=current.channel)
    delay_s = float(current.receipt_within_s)
    return Move(work=Work.AWAIT, step=step, attempt=attempt, delay_s=delay_s)


def after_found(plan: Plan, *, step: int, attempt: int, failed: str | None) -> Move | Final:
    """The provider has the message after all: wait for its receipt, or go on if it failed."""
    if failed is not None:
        return next_step(plan, step, failed)
    return _after_acceptance(plan.steps[step], step, attempt)


def after_absent(
    plan: Plan,
    *,
    step: int,
    attempt: int,
    asked: int,
    step_age_s: float,
) -> Move | Final:
    """The provider says for the ``asked``-th time that it has no such message."""
    if asked < ASK_TIMES:
        return Move(
            work=Work.RESOLVE,
            step=step,
            attempt=attempt,
            asked=asked,
            delay_s=ASK_AGAIN_S,
        )
    if step_age_s > plan.steps[step].retry_within_s:
        return next_step(plan, step, "outcome_unknown")
    return Move(work=Work.SEND, step=step, attempt=attempt)


def after_unanswered(
    plan: Plan,
    *,
    step: int,
    attempt: int,
    asked: int,
    step_age_s: float,
    jitter: Jitter,
) -> Move | Final:
    """The provider could not be asked: ask on inside the step's window.

    After it an alert goes on to its next step, a duplicate being better than silence; anything
    else ends here, silence being better than a duplicate.
    """
    if step_age_s > plan.steps[step].retry_within_s:
        if plan.on_unknown is OnUnknown.RESEND:
            return next_step(plan, step, "outcome_unknown")
        return Final(state=State.UNDELIVERABLE, reason="outcome_unknown")
    delay_s = ASK_AGAIN_S + backoff.delay_s(attempt, urgent=plan.urgent, jitter=jitter)
    return Move(work=Work.RESOLVE, step=step, attempt=attempt, asked=asked, delay_s=delay_s)
