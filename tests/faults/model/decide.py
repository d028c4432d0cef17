"""What must follow from a claim and a provider's answer, in the model's own words."""

from __future__ import annotations

from msgspec import Struct

from outbox.domain.plans import Channel, Plan
from outbox.domain.states import Lane, Work

ANSWERS = {
    "takes it": "accepted",
    "takes it, and the answer is lost": "outcome_unknown",
    "never gets it, nor does anybody hear so": "outcome_unknown",
    "says: later": "retryable",
    "says: in 30 seconds": "retryable",
    "says: this address is dead": "channel_final",
    "says: they opted out": "recipient_suppressed",
    "says: not this text": "content_final",
    "says: not with this account": "configuration_fault",
}
"""What a provider does with a call, and the class of that."""

_WISHES = {"says: in 30 seconds": 30.0}
_URGENT_LOOK_S, _LOOK_S, _LAST_LOOK_S = 15.0, 30.0, 5.0


class Next(Struct, frozen=True):
    """The due row stays."""

    work: Work
    step: int
    attempt: int
    asked: int = 0
    in_s: float = 0.0
    receipt_within_s: float | None = None
    parked: bool = False


class End(Struct, frozen=True):
    """It is final."""

    state: str


class Claimed(Struct, frozen=True, kw_only=True):
    """A claim as the model saw it, with what could be known at its moment."""

    notification: str
    plan: Plan
    work: int
    step: int
    attempt: int
    asked: int
    suspect: int
    cancel: bool
    step_age_s: float
    """By the database's clock; whether a window is over is decided at the claim."""
    left_s: float
    """Until the receipt's deadline."""
    may_have_been_sent: bool
    number_is_dead: bool
    said: tuple[bool, ...]
    """Of the newest call: whether each receipt told of a failure."""
    known: frozenset[str | None]
    """Messages that the provider is known to have of other calls."""
    devices: int
    standing: str | None
    """Of the alert that an all-clear takes back: ``reached``, ``open``, or null: never."""


def next_step(claim: Claimed, *, suppressed: bool = False) -> Next | End:
    if claim.step + 1 < len(claim.plan.steps):
        return Next(Work.SEND, claim.step + 1, 0)
    return End("suppressed" if suppressed else "undeliverable")


def without_a_call(claim: Claimed) -> Next | End | None:  # noqa: PLR0911 - one return for each reason
    """What follows where no provider is called, or asked; null where one is."""
    if claim.cancel and claim.work != Work.RESOLVE:
        return End("undeliverable" if claim.may_have_been_sent else "cancelled")
    if claim.work == Work.HOLD:
        if claim.standing == "reached":
            return Next(Work.SEND, 0, 0)
        return End("cancelled") if claim.standing is None else Next(Work.HOLD, 0, 0, in_s=0.5)
    if claim.step >= len(claim.plan.steps):
        return End("undeliverable")
    if claim.suspect >= 5:
        urgent = claim.plan.lane_number is Lane.SAFETY
        return next_step(claim) if urgent else Next(Work.SEND, 0, 0, in_s=0.0, parked=True)
    again = claim.step > 0 and claim.plan.steps[claim.step].channel is Channel.SMS
    if claim.work == Work.SEND and again and claim.number_is_dead:
        return next_step(claim)
    return None


def after_call(claim: Claimed, answer: str) -> Next | End:  # noqa: PLR0911 - one return for each reason
    """A provider was called and did this."""
    result, step = ANSWERS[answer], claim.plan.steps[claim.step]
    urgent = claim.plan.lane_number is Lane.SAFETY
    if step.channel is Channel.PUSH and not claim.devices:
        return next_step(claim)
    match result:
        case "accepted":
            return accepted(claim)
        case "channel_final" | "recipient_suppressed" | "content_final":
            return next_step(claim, suppressed=result == "recipient_suppressed")
        case "configuration_fault":
            return next_step(claim) if urgent else Next(Work.SEND, claim.step, 0, parked=True)
        case "outcome_unknown" if step.channel is Channel.SMS:
            return Next(Work.RESOLVE, claim.step, claim.attempt, in_s=3.0)
    ceiling = _ceiling(claim)
    wish = _WISHES.get(answer)
    wait = ceiling / 2 if wish is None else wish + min(ceiling, 1.0) / 2
    if claim.step_age_s + wait > step.retry_within_s:
        return next_step(claim)
    return Next(Work.SEND, claim.step, claim.attempt, in_s=wait)


def _ceiling(claim: Claimed) -> float:
    base, most = (0.5, 8.0) if claim.plan.urgent else (1.0, 120.0)
    return min(most, base * 2.0 ** (max(claim.attempt, 1) - 1))


def accepted(claim: Claimed) -> Next | End:
    step = claim.plan.steps[claim.step]
    if step.receipt_within_s is None:
        return End("delivered")
    within = float(step.receipt_within_s)
    asked = step.channel is Channel.SMS
    wait = _until_look(claim, asked=0, left_s=within) if asked else within
    return Next(Work.AWAIT, claim.step, claim.attempt, in_s=wait, receipt_within_s=within)


def _until_look(claim: Claimed, *, asked: int, left_s: float) -> float:
    following = (_URGENT_LOOK_S if claim.plan.urgent else _LOOK_S) * 2.0**asked
    last = left_s - _LAST_LOOK_S
    return min(following, last) if last > 1.0 else max(0.0, left_s)


def after_look(claim: Claimed) -> Next:
    """The provider was asked for a receipt, and goes on waiting."""
    asked = claim.asked + 1
    wait = _until_look(claim, asked=asked, left_s=claim.left_s)
    return Next(Work.AWAIT, claim.step, claim.attempt, asked, in_s=wait)


def resolved(claim: Claimed, *, found: bool, answers: bool) -> Next | End:  # noqa: PLR0911 - one return for each reason
    """What became of a call is not known: by its receipts, else by the provider's own list."""
    if claim.said:
        return next_step(claim) if any(claim.said) else accepted(claim)
    step = claim.plan.steps[claim.step]
    if step.channel is not Channel.SMS:
        return Next(Work.SEND, claim.step, claim.attempt)
    too_late = claim.step_age_s > step.retry_within_s
    if not answers:
        if not too_late:
            wait = 5.0 + _ceiling(claim) / 2
            return Next(Work.RESOLVE, claim.step, claim.attempt, claim.asked, in_s=wait)
        return next_step(claim) if claim.plan.on_unknown == "resend" else End("undeliverable")
    if found:
        return accepted(claim)
    if claim.asked + 1 < 2:
        return Next(Work.RESOLVE, claim.step, claim.attempt, claim.asked + 1, in_s=5.0)
    return next_step(claim) if too_late else Next(Work.SEND, claim.step, claim.attempt)
