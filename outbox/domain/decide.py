"""What happens next: from a step's outcome to the move of its due row. Pure; the heart of delivery.

Nothing here is retried without bound: every retry lies inside its step's window, every step
leads to the next, and the last one to a final state.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from outbox.domain import backoff
from outbox.domain.backoff import Jitter
from outbox.domain.history import History, reason_of
from outbox.domain.outcomes import SENT, STEP_IS_OVER, Outcome, Result
from outbox.domain.plans import Channel, OnUnknown, Plan
from outbox.domain.states import Lane, State, Work

ASK_AGAIN_S = 5.0
"""Between two questions about the same message; a provider's list may lag behind by seconds."""

RESOLVE_AFTER_S = 3.0
"""From an unknown outcome to the first question: the callback may answer before."""

ASK_TIMES = 2
"""Answers "no such message" before it is believed."""

FIRST_LOOK_S = (15.0, 30.0)
"""From acceptance to the first question about a receipt that did not come: urgent, and others;
each further one after twice the time. An outage of our own webhook loses nothing."""

LAST_LOOK_S = 5.0
"""One question comes so long before the deadline, so that no step is taken for a lost callback."""

FAULTS = 2
"""Faults of our own code on one row in a row, after which it is quarantined."""

FAULT_PAUSE_S = 5.0

HOLD_AGAIN_S = 0.5
"""Between two looks at an alert whose outcome decides whether there is an all-clear."""

PAGE_RETRY_S = 60.0
"""A page that was refused by configuration is tried again: there is nothing after it."""

WITHDRAWN = "withdrawn"
"""Reason of what somebody took back after a call had been made."""


class Move(Struct, frozen=True, kw_only=True):
    """The due row stays: new work, step, counters and time."""

    work: Work
    step: int
    attempt: int
    asked: int = 0
    delay_s: float | None = 0.0
    """From the settle, by the database's clock; null: until somebody puts it back to work."""
    receipt_within_s: float | None = None
    """Deadline of the receipt, from the settle; null: as it was, or none is awaited."""
    parked: str | None = None
    """Why it needs a person; null unless parked."""
    suspect: int = 0
    """Faults of our own in a row; a normal end of a claim clears them."""
    anew: bool = False
    """The step's window begins again: what passed was not the recipient's fault."""


class Final(Struct, frozen=True, kw_only=True):
    """The notification is finished and its due row goes."""

    state: State
    reason: str | None = None
    proof: str | None = None
    channel: str | None = None


def next_step(plan: Plan, step: int, reason: str, *, suppressed: bool = False) -> Move | Final:
    """The plan's next step at once, or the end of it."""
    if step + 1 < len(plan.steps):
        return Move(work=Work.SEND, step=step + 1, attempt=0)
    state = State.SUPPRESSED if suppressed else State.UNDELIVERABLE
    return Final(state=state, reason=reason)


def after_call(  # noqa: PLR0911, PLR0913 - one return for each class of outcome
    plan: Plan,
    *,
    step: int,
    attempt: int,
    step_age_s: float,
    outcome: Outcome,
    jitter: Jitter,
    another_sender: bool = False,
    repairable: bool = True,
) -> Move | Final:
    """The move after a provider was called for ``step`` for the ``attempt``-th time.

    ``another_sender``: one has not been refused in this step. ``repairable``: people can end that.
    """
    current = plan.steps[step]
    if outcome.result in SENT:
        return _after_acceptance(plan, step, attempt)
    reason = reason_of(outcome.provider, outcome.code, outcome.result)
    if outcome.result in STEP_IS_OVER:
        suppressed = outcome.result is Result.RECIPIENT_SUPPRESSED
        return next_step(plan, step, reason, suppressed=suppressed)
    if outcome.result is Result.SENDER_FAULT and another_sender:
        return Move(work=Work.SEND, step=step, attempt=attempt)
    if outcome.result in {Result.CONFIGURATION_FAULT, Result.SENDER_FAULT}:
        if current.channel is Channel.PAGE:
            return Move(work=Work.SEND, step=step, attempt=attempt, delay_s=PAGE_RETRY_S)
        if plan.lane_number is Lane.SAFETY or not repairable:
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


def after_blocked(  # noqa: PLR0913 - what a decision depends on
    plan: Plan,
    *,
    step: int,
    attempt: int,
    step_age_s: float,
    is_down: bool,
    wait_s: float,
    jitter: Jitter,
    usable: Callable[[Channel], bool],
) -> tuple[Move, bool]:
    """No call may be made now, and none was: ``attempt`` counts one that is given back.

    An alert does not wait for a provider that is down: it takes the next step whose provider is
    not. Where there is none it waits, and the second value says that a person must know. A rate
    that is used up is waited for, by an alert no longer than its step lasts.
    """
    back = max(0, attempt - 1)
    urgent = plan.lane_number is Lane.SAFETY
    too_long = step_age_s + wait_s > plan.steps[step].retry_within_s
    if urgent and (is_down or too_long):
        for other in range(step + 1, len(plan.steps)):
            if usable(plan.steps[other].channel):
                return Move(work=Work.SEND, step=other, attempt=0), False
    delay_s = wait_s * (1.0 + jitter()) if not urgent else wait_s * (0.75 + 0.5 * jitter())
    move = Move(work=Work.SEND, step=step, attempt=back, delay_s=delay_s, anew=is_down)
    return move, urgent and is_down


def after_cancel(history: History) -> Final:
    """It was withdrawn while it was claimed; nothing more is sent, whatever had been sent before.

    *Cancelled* promises that nothing of it is at a provider.
    """
    if history.may_have_been_sent():
        return Final(state=State.UNDELIVERABLE, reason=WITHDRAWN)
    return Final(state=State.CANCELLED, reason="cancelled")


def after_fault(
    plan: Plan,
    *,
    work: Work,
    step: int,
    attempt: int,
    suspect: int,
) -> Move | Final:
    """Our own code failed on it: once more by itself, then it is out of everybody's way.

    An alert goes on to its next step, and at the end of them somebody is called.
    """
    if suspect + 1 < FAULTS:
        # A text may have gone out before our code failed.
        maybe_sent = work != Work.HOLD and plan.steps[step].channel is Channel.SMS
        return Move(
            work=Work.RESOLVE if maybe_sent else work,
            step=step,
            attempt=attempt,
            delay_s=FAULT_PAUSE_S,
            suspect=suspect + 1,
        )
    if plan.lane_number is Lane.SAFETY:
        return next_step(plan, step, "quarantined")
    return Move(work=Work.SEND, step=step, attempt=0, delay_s=None, parked="quarantined")


class Standing(Struct, frozen=True):
    """How an alert's notification stands, for the all-clear that follows it."""

    state: str
    work: int | None
    """Of its due row; null when it is final."""
    claimed: bool
    history: History


def after_hold(standing: Standing | None) -> Move | Final:
    """Whether an all-clear is sent: to exactly those who were alerted, or may have been."""
    if standing is not None:
        waiting = standing.work in {Work.AWAIT, Work.ASK}
        reached = standing.state == State.DELIVERED or waiting
        if reached or standing.history.may_have_been_sent():
            return Move(work=Work.SEND, step=0, attempt=0)
        if standing.claimed or standing.work is not None:
            return Move(work=Work.HOLD, step=0, attempt=0, delay_s=HOLD_AGAIN_S)
    return Final(state=State.CANCELLED, reason="never_alerted")


def _after_acceptance(plan: Plan, step: int, attempt: int) -> Move | Final:
    current = plan.steps[step]
    if current.receipt_within_s is None:
        return Final(state=State.DELIVERED, proof="accepted", channel=current.channel)
    within_s = float(current.receipt_within_s)
    # Only Twilio can be asked; whatever else is awaited comes by itself or not at all.
    can_be_asked = current.channel is Channel.SMS
    delay_s = _until_look(plan, asked=0, left_s=within_s) if can_be_asked else within_s
    return Move(
        work=Work.AWAIT,
        step=step,
        attempt=attempt,
        delay_s=delay_s,
        receipt_within_s=within_s,
    )


def _until_look(plan: Plan, *, asked: int, left_s: float) -> float:
    """Seconds until the provider is asked for a receipt again, or until the deadline."""
    following = FIRST_LOOK_S[0 if plan.urgent else 1] * 2.0 ** min(asked, 16)
    last = left_s - LAST_LOOK_S
    return min(following, last) if last > 1.0 else max(0.0, left_s)


def after_look(plan: Plan, *, step: int, attempt: int, asked: int, left_s: float) -> Move:
    """The provider was asked for a receipt for the ``asked``-th time: go on waiting.

    What it said goes the way of all receipts, and ends the waiting if it has to.
    """
    delay_s = _until_look(plan, asked=asked, left_s=left_s)
    return Move(work=Work.AWAIT, step=step, attempt=attempt, asked=asked, delay_s=delay_s)


def after_found(plan: Plan, *, step: int, attempt: int, failed: str | None) -> Move | Final:
    """The provider has the message after all: wait for its receipt, or go on if it failed."""
    if failed is not None:
        return next_step(plan, step, failed)
    return _after_acceptance(plan, step, attempt)


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


def after_unanswered(  # noqa: PLR0913 - what a decision depends on
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
