"""The story of one notification, told from what is stored: calls, receipts, and why it went on.

Decisions are not stored, they follow: each step change and the end are named with the fact that
caused them. Pure; nothing personal is in here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby, pairwise

import msgspec
from msgspec import Struct

from outbox.domain.outcomes import SENT, Result
from outbox.domain.plans import Plan
from outbox.domain.receipts import is_failure
from outbox.domain.states import FINAL, State


class Call(Struct, frozen=True, kw_only=True):
    """One stored attempt."""

    at: datetime
    """Its start, by the relay's clock."""
    step: int
    fence: int
    attempt: int
    """Of its step, from 1."""
    what: str
    """``send``, ``ask``, or ``skip``: no call was made, as the provider was down."""
    channel: str
    provider: str
    provider_id: str | None
    result: str
    code: str | None
    detail: str | None
    latency_ms: int
    stale: bool
    """Its claim had been lost when it was settled: kept, but it moved nothing."""

    @property
    def ended_at(self) -> datetime:
        """When its outcome was known."""
        return self.at + timedelta(milliseconds=self.latency_ms)


class Receipt(Struct, frozen=True, kw_only=True):
    """One stored receipt."""

    at: datetime
    step: int
    fence: int
    source: str
    provider_id: str | None
    status: str
    code: str | None
    rank: int


class Act(Struct, frozen=True, kw_only=True):
    """What a person did to it."""

    at: datetime
    what: str
    """``cancel`` or ``redrive``."""
    actor: str
    reason: str
    result: str


class Life(Struct, frozen=True, kw_only=True):
    """All that is stored of one notification."""

    plan: Plan
    state: str
    reason: str | None
    proof: str | None
    channel: str | None
    created_at: datetime
    final_at: datetime | None
    step: int
    """The current one, or the last; equal to the number of steps when none was left."""
    origin: str
    """Which event it came from."""
    calls: Sequence[Call]
    receipts: Sequence[Receipt]
    acts: Sequence[Act] = ()


class Entry(Struct, frozen=True, kw_only=True):
    """One line of the story."""

    at: datetime
    what: str
    """``accepted``, ``attempt``, ``receipt``, ``decision``, ``cancelled`` or ``redriven``."""
    channel: str | None = None
    step: int | None = None
    """Position in the plan, from 0."""
    provider: str | None = None
    provider_id: str | None = None
    outcome: str | None = None
    """An attempt's class, a receipt's status, a decision's ``next_step`` or final state."""
    code: str | None = None
    """The provider's error code; of a final state its reason."""
    detail: str | None = None
    attempt: int | None = msgspec.field(default=None, name="try")
    """Tries of this step so far; null unless it is an attempt."""
    latency_ms: int | None = None


SKIPPED = {"provider_down": "is down", "provider_held": "is held by a person"}
"""Why a step was passed over without a call, by its code."""
NOT_FASTER = "may not be called faster"
"""The same for any other code."""

ASKED = "asked what became of it"
"""How the detail of an attempt begins that only asked the provider."""

_WHY = {
    Result.RETRYABLE: "temporary faults for too long",
    Result.CHANNEL_FINAL: "final for {channel}",
    Result.RECIPIENT_SUPPRESSED: "the recipient opted out of {channel}",
    Result.CONTENT_FINAL: "the text was refused",
    Result.SENDER_FAULT: "every sender was refused",
    Result.CONFIGURATION_FAULT: "a fault of our configuration",
    Result.OUTCOME_UNKNOWN: "the outcome stayed unknown",
}
_REASONS = {
    "no_receipt": "no receipt came in time",
    "no_number": "there is no number that can work",
    "no_device": "there is no device",
    "no_channel": "there is neither a number nor a device",
    "too_late": "it expired before anybody was reached",
    "outcome_unknown": "it expired while the outcome of a call was unknown",
    "superseded": "a later check-in was known already",
    "cancelled": "it was withdrawn",
    "erased": "the recipient asked to be forgotten",
    "withdrawn": "it was withdrawn after a call had been made",
    "checked_in": "the Member checked in before anything was sent",
    "never_alerted": "nobody had been alerted, so there is nothing to take back",
    "quarantined": "our own code failed on it; a person has to look",
    "opted_out": "the recipient opted out",
    "no_sender": "every sender was refused",
}
_PROOFS = {
    "carrier": "by the carrier's word",
    "app": "acknowledged by the app",
    "accepted": "accepted by the provider",
}
_ORDER = {"accepted": 0, "attempt": 1, "receipt": 2, "redriven": 3, "decision": 4, "cancelled": 4}


def tell(life: Life) -> list[Entry]:
    """The story in order; what has the same time stands in the order of cause and effect."""
    entries = [*_calls(life), *_receipts(life), *_acts(life), *_moves(life), *_end(life)]
    entries.sort(key=lambda entry: (entry.at, _ORDER[entry.what]))
    # Clocks of two machines may differ by a little; nothing comes before its acceptance.
    accepted = Entry(at=life.created_at, what="accepted", detail=f"from {life.origin}")
    return [accepted, *entries]


def _calls(life: Life) -> list[Entry]:
    return [
        Entry(
            at=call.at,
            what="attempt",
            channel=call.channel,
            step=call.step,
            provider=call.provider,
            provider_id=call.provider_id,
            outcome=call.result,
            code=call.code,
            detail=_call_detail(call),
            attempt=call.attempt,
            latency_ms=call.latency_ms,
        )
        for call in life.calls
        if call.what != "skip"
    ]


def _call_detail(call: Call) -> str | None:
    said = [
        ASKED if call.what == "ask" else None,
        call.detail,
        "its claim had been lost, so it moved nothing" if call.stale else None,
    ]
    return "; ".join(part for part in said if part) or None


def _receipts(life: Life) -> list[Entry]:
    steps = life.plan.steps
    return [
        Entry(
            at=receipt.at,
            what="receipt",
            channel=steps[receipt.step].channel if receipt.step < len(steps) else None,
            step=receipt.step,
            provider=receipt.source,
            provider_id=receipt.provider_id,
            outcome=receipt.status,
            code=receipt.code,
        )
        for receipt in life.receipts
    ]


_DONE = {"cancel": "cancelled", "redrive": "redriven"}


def _acts(life: Life) -> list[Entry]:
    return [
        Entry(
            at=act.at,
            what=_DONE[act.what],
            outcome=act.result,
            detail=f"by {act.actor}: {act.reason}",
        )
        for act in life.acts
    ]


def _moves(life: Life) -> list[Entry]:
    """One decision for each time that the plan went on; a redrive begins it anew."""
    steps = life.plan.steps
    # By their fences, the order of the claims: the answer of a lost one may have come later.
    sends = sorted((c for c in life.calls if c.what != "ask"), key=lambda call: call.fence)
    visits = [list(calls) for _, calls in groupby(sends, key=lambda call: call.step)]
    first = visits[0][0].step if visits else life.step
    moves = []
    if 0 < first < len(steps):
        detail = f"starts with {steps[first].channel}: the steps before cannot work"
        moves.append(_move(life, life.created_at, first, None, detail))
    for visit, following in pairwise(visits):
        if following[0].step > visit[-1].step:
            moves.append(_went_on(life, visit[-1], following[0].step, following[0].at))
    # A step of a finished one that no call was made for was seen to be of no use.
    to_come = life.state not in FINAL
    if to_come and visits and visits[-1][-1].step < life.step < len(steps):
        moves.append(_went_on(life, visits[-1][-1], life.step, None))
    return moves


def _went_on(life: Life, last: Call, step: int, by: datetime | None) -> Entry:
    """From the last call of a step to ``step``, whose first call was made at ``by``, if it was."""
    at, code, why = _why(life, last)
    skipped = ", skipping what cannot work" if step > last.step + 1 else ""
    detail = f"{why}: next {life.plan.steps[step].channel}{skipped}"
    return _move(life, at if by is None else min(at, by), step, code, detail)


def _move(life: Life, at: datetime, step: int, code: str | None, detail: str) -> Entry:
    return Entry(
        at=at,
        what="decision",
        channel=life.plan.steps[step].channel,
        step=step,
        outcome="next_step",
        code=code,
        detail=detail,
    )


def _why(life: Life, call: Call) -> tuple[datetime, str | None, str]:
    """When a step was over after its last call, with which code, and why."""
    if call.what == "skip":
        why = SKIPPED.get(call.code or "", NOT_FASTER)
        return call.at, None, f"{call.provider} {why}"
    failures = [r for r in life.receipts if r.fence == call.fence and is_failure(r.rank)]
    if failures:
        first = min(failures, key=lambda receipt: receipt.at)
        return first.at, first.code, f"{call.channel} {first.status}"
    if call.result in SENT:
        within = life.plan.steps[call.step].receipt_within_s or 0
        return call.ended_at + timedelta(seconds=within), None, f"no receipt within {within} s"
    why = _WHY.get(Result(call.result), call.result)
    return call.ended_at, call.code, why.format(channel=call.channel)


def _end(life: Life) -> list[Entry]:
    if life.state == State.OPEN:
        return []
    known = [life.created_at, *(call.ended_at for call in life.calls)]
    words = _PROOFS.get(life.proof or "") or _REASONS.get(life.reason or "") or life.reason
    return [
        Entry(
            # A parked one has no end; it stopped after its last call.
            at=life.final_at or max(known),
            what="cancelled" if life.state == State.CANCELLED else "decision",
            channel=life.channel,
            outcome=life.state,
            code=life.reason,
            detail=words,
        ),
    ]
