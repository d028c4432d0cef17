"""Faults of our own on one row: it is tried once more by itself, then out of everybody's way.

Nothing here needs the row to be sound: what cannot be read is what it is for.
"""

from __future__ import annotations

import logging

import msgspec
from msgspec.structs import replace

from outbox.domain import decide, plans
from outbox.domain.decide import Final, Move
from outbox.domain.plans import Plan
from outbox.domain.states import Lane, State, Work
from outbox.store.claims import Claim
from outbox.store.settle import Settlement

_log = logging.getLogger(__name__)

QUARANTINED = "quarantined"
"""Reason of what our own code failed on."""


def plan_of(claim: Claim) -> Plan:
    """The plan that a notification was accepted with; its kind's default where none can be read.

    Another version of this program may have written it: an alert goes out all the same.
    """
    try:
        return plans.decode(claim.plan)
    except msgspec.DecodeError:
        _log.error("the plan of %s cannot be read: the default is taken", claim.notification)
        return plans.defaults()[claim.kind]


def failed(claim: Claim) -> Settlement:
    """Our own code failed on this claim: a bug, to be seen and kept from spreading."""
    return Settlement(claim=claim, move=_move(claim))


def not_now(claim: Claim) -> Settlement:
    """Give back a suspect that waits for its turn: nothing was done, and nothing is forgotten."""
    tried = 1 if claim.work == Work.SEND else 0
    move = Move(
        work=Work.AWAIT if claim.work == Work.ASK else Work(claim.work),
        step=claim.step,
        attempt=max(0, claim.attempt - tried),
        asked=claim.asked,
        suspect=claim.suspect,
    )
    return Settlement(claim=claim, move=move)


def _move(claim: Claim) -> Move | Final:
    if claim.work == Work.ASK:
        # The message is out; what cannot be asked may still be told.
        left_s = max(0.0, claim.receipt_left_s or 0.0)
        return Move(work=Work.AWAIT, step=claim.step, attempt=claim.attempt, delay_s=left_s)
    try:
        plan = plan_of(claim)
    except LookupError:
        if claim.lane == Lane.SAFETY:
            return Final(state=State.UNDELIVERABLE, reason=QUARANTINED)
        return Move(work=Work.SEND, step=0, attempt=0, delay_s=None, parked=QUARANTINED)
    return decide.after_fault(
        plan,
        work=Work(claim.work),
        step=min(claim.step, len(plan.steps) - 1),
        attempt=claim.attempt,
        suspect=claim.suspect,
    )


def still_suspect(settlement: Settlement) -> Settlement:
    """A claim that ended without a call says nothing about a row that failed before."""
    claim, move = settlement.claim, settlement.move
    if not claim.suspect or isinstance(move, Final) or move.work == Work.AWAIT:
        return settlement
    called = any(attempt.what == "send" for attempt in settlement.attempts)
    if called or move.step != claim.step or move.suspect:
        return settlement
    return replace(settlement, move=replace(move, suspect=claim.suspect))


def places(error: Exception) -> str:
    """The type of an exception and where it came from, innermost last."""
    error = error.__cause__ if isinstance(error.__cause__, Exception) else error
    frames = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_qualname if hasattr(code, 'co_qualname') else code.co_name}")
        trace = trace.tb_next
    return f"{type(error).__name__} in {' > '.join(frames)}"
